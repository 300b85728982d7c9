"""Running a study: any order, number of processes, kill or batch width gives the same cube, and nothing twice."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.execution import progress, sweep
from biasprop.execution.encoders import encoder_digest
from biasprop.status import Status
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study import arm_status, design
from biasprop.study.load import load_study
from biasprop.study.study import Study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "studies" / "skin_tone.toml"
FEW = {"labels": [16, 32]}
"""Two of the smoke study's budgets."""


LONGER = "pretraining.schedule.steps=1000"
"""Makes a cell take seconds, so that work is left to interrupt when the first arms are stored."""


def small(*overrides: str) -> Study:
    return load_study(STUDY, smoke=True, set=overrides)


def compute(out: Path, **how: object) -> Store:
    study = small()
    store = study.store(out)
    sweep.run(study, store, only=FEW, progress=progress.make(quiet=True), **how)  # type: ignore[arg-type]
    return Store.open(store, writable=False)


def same(one: xr.Dataset, other: xr.Dataset) -> bool:
    names = [name for name in one.data_vars if name not in ("seconds", "checksum")]
    return all(np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in names)


def arms(store: Store) -> Counter[str]:
    return Counter(event["arm"] for event in store.events() if event["event"] == "arm")


def ended(study: Study, out: Path, only: dict[str, list]) -> set[tuple[object, Status]]:
    """What became of the chosen arms of each protocol."""
    cells = design.cells(study, only)
    status = arm_status.arm_status(study, cells, study.store(out))
    return {(arm.levels["protocol"], status[i, arm.name]) for i, cell in enumerate(cells) for arm in cell.arms}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The study computed without interruption, by the command in a process of its own."""
    out = tmp_path_factory.mktemp("whole")
    subprocess.run(command(out, "-q", "--workers", "0"), cwd=ROOT, check=True, capture_output=True)
    return Store.open(small().store(out), writable=False)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("width", [1, 3, 16])
def test_batches_have_one_size_and_repeat_their_last_cell(width: int, devices: int) -> None:
    cells = design.cells(load_study(STUDY, smoke=True))  # ten of one structure and two from scratch
    batches = sweep._batches(cells, width, devices)
    assert {len(batch) for batch in batches} == {width * devices}
    assert len(batches) == -(-10 // (width * devices)) + -(-2 // (width * devices)), "no more than need be"
    assert sorted(i for batch in batches for i in dict.fromkeys(batch)) == list(range(12))
    assert all(batch[len(set(batch)) :] == batch[-1:] * (len(batch) - len(set(batch))) for batch in batches)


@pytest.mark.slow
def test_cells_in_batches_agree_with_cells_alone(whole: Store, tmp_path: Path) -> None:
    """Another width is another fingerprint: equal up to rounding, not to the bit."""
    stored = compute(tmp_path, workers=0, width=4)
    status = stored.status()
    wanted = design.arms(small(), FEW)
    assert all((status[stored.index(arm.levels, cell.replicate)][: arm.draws] == 1).all() for cell, arm in wanted)
    wide = open_cube(stored.path).load()
    alone = open_cube(whole.path).load()
    probe = {"protocol": "linear_probe", "labels": FEW["labels"]}
    gap = abs(wide.score.sel(probe) - alone.score.sel(probe))
    assert float(gap.max()) < 0.05 and float(gap.median()) < 1e-3
    assert set(np.unique(wide.fingerprint.sel(probe))).isdisjoint(np.unique(alone.fingerprint.sel(probe)))


def test_encoders_are_shared_by_studies_that_differ_elsewhere() -> None:
    study, other = small(), load_study(STUDY, smoke=True, set=["finetuning.prevalence=0.4"])
    assert study.digest != other.digest
    pairs = zip(design.cells(study), design.cells(other), strict=True)
    assert all(encoder_digest(a.condition, 1) == encoder_digest(b.condition, 1) for a, b in pairs)
    assert encoder_digest(design.cells(study)[0].condition, 1) != encoder_digest(design.cells(study)[1].condition, 1)


def test_a_failing_arm_is_recorded_named_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biasprop.protocols.linear_probe import LinearProbe

    def breaks(self: LinearProbe, *sets: object) -> object:
        raise ValueError("out of luck")

    study = small()
    only = {"labels": [16], "pretraining": ["scratch"]}
    with monkeypatch.context() as patched:
        from biasprop.training import adapt

        patched.setattr(adapt, "_fit", lambda *a: breaks(*a))  # a new function is compiled again
        sweep.run(study, study.store(tmp_path), only=only, workers=0, progress=progress.make(quiet=True))
    assert ended(study, tmp_path, only) == {("linear_probe", Status.FAILED), ("full", Status.OK)}
    store = Store.open(study.store(tmp_path), writable=False)
    assert any("out of luck" in event.get("traceback", "") for event in store.events())
    assert len(arms(store)) == len(design.arms(study, only)), "nothing but what was chosen"
    sweep.run(study, study.store(tmp_path), only=only, workers=0, progress=progress.make(quiet=True))
    assert ended(study, tmp_path, only) == {("linear_probe", Status.OK), ("full", Status.OK)}


def command(out: Path, *words: str) -> list[str]:
    only = [word for label in FEW["labels"] for word in ("--only", f"labels={label}")]
    return [sys.executable, "-m", "biasprop.run", str(STUDY), "--smoke", "--out", str(out), *only, *words]


def wait_for_arms(path: Path, count: int) -> None:
    """Until so many arms are stored."""
    for _ in range(1200):
        log = path / "events.jsonl"
        if log.exists() and sum('"event": "arm"' in line for line in log.read_text().splitlines()) >= count:
            return
        time.sleep(0.1)
    raise AssertionError("no arm was stored in two minutes")


@pytest.mark.slow
def test_kill_and_resume_give_the_same_bits_and_compute_nothing_twice(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Worker processes, kill -9 of the parent in the middle, Ctrl-C at a terminal, SIGTERM, then to the end."""
    study = small(LONGER)
    path = study.store(tmp_path)
    killed = subprocess.Popen(
        command(tmp_path, "--set", LONGER, "-q", "--workers", "2"), cwd=ROOT, start_new_session=True
    )
    wait_for_arms(path, 3)
    group = os.getpgid(killed.pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for _ in range(100):  # workers exit within seconds of their parent
        if not _alive(group):
            break
        time.sleep(0.1)
    assert not _alive(group)
    stored = len(arms(Store.open(path, writable=False)))
    assert 3 <= stored < len(design.arms(study, FEW))

    seconds, code, said = ctrl_c_twice(
        command(tmp_path, "--set", LONGER, "--workers", "2"), lambda: wait_for_arms(path, stored + 2)
    )
    assert code == 130 and "to resume: python -m biasprop.run" in said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
    assert seconds < 20  # 3 s on an idle machine

    stored = len(arms(Store.open(path, writable=False)))
    stopped = subprocess.Popen(
        command(tmp_path, "--set", LONGER, "-q", "--workers", "0"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_arms(path, stored + 2)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130 and "to resume: python -m biasprop.run" in said and "Traceback" not in said
    assert not Store.open(path).verify()
    assert len(arms(Store.open(path, writable=False))) < len(design.arms(study, FEW))

    ended = subprocess.run(
        command(tmp_path, "--set", LONGER, "-q", "--json", "--workers", "2"), cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["cells"]["done"] <= told["cells"]["total"] and told["estimates"]
    store = Store.open(path, writable=False)
    assert set(arms(store).values()) == {1}
    whole = tmp_path_factory.mktemp("whole")
    subprocess.run(command(whole, "--set", LONGER, "-q", "--workers", "2"), cwd=ROOT, check=True, capture_output=True)
    assert same(open_cube(path).load(), open_cube(study.store(whole)).load())


AT_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored by what runs in the background, such as these tests there
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes a terminal control the command's session: Ctrl-C goes to each process of it, as under a shell."""


def ctrl_c_twice(line: list[str], moment: Callable[[], object]) -> tuple[float, int, str]:
    """Run a command at a terminal of its own, press Ctrl-C there, and again while it closes.

    Returns:
        Seconds from the first Ctrl-C to its end, its exit code, and what it said.
    """
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TERMINAL, *line], cwd=ROOT, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    said = bytearray()

    def listen() -> None:
        with contextlib.suppress(OSError):  # what a terminal says when its other end is closed
            while heard := os.read(ours, 65536):
                said.extend(heard)

    listener = threading.Thread(target=listen)
    listener.start()
    moment()
    began = time.monotonic()
    for _ in range(2):
        os.write(ours, b"\x03")
        time.sleep(0.3)
    code = process.wait(60)
    seconds = time.monotonic() - began
    listener.join(10)
    assert not listener.is_alive() and not _alive(process.pid), "something is left at the terminal"
    os.close(ours)
    return seconds, code, said.decode(errors="replace")


def _alive(group: int) -> bool:
    """Whether any process of a group still computes (zombies do not)."""
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = place.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            return True
    return False
