"""What every torture needs: the command on a small study, a cube to compare with, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study.load import load_study
from biasprop.study.study import Study

ROOT = Path(__file__).parents[2]
STUDY = Path(__file__).with_name("small.toml")
ARMS, ENCODERS = 16, 4


@dataclass
class Tally:
    """What was tried and what went wrong."""

    name: str
    tried: int = 0
    faults: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """One row of the summary."""
        notes = ", ".join(f"{count} {what}" for what, count in sorted(self.notes.items()))
        seconds = time.monotonic() - self.began
        return f"{self.name:<24} {self.tried:>5} tried  {len(self.faults):>3} faults  {seconds:>6.0f} s  {notes}"


class Commands:
    """Runs the command, one at a time."""

    def __init__(self, folder: Path):
        self.said = folder / f"said-{os.urandom(4).hex()}"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "NPROC": "1"}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "1"}
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.zygote"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, out: Path, *words: str, patience: float = 0.0) -> int:
        """Begin a run; its process, and its group."""
        assert self.zygote.stdin and self.zygote.stdout
        whole = [str(STUDY), "--out", str(out), "-q", "--workers", "0", *words]
        self.zygote.stdin.write(json.dumps({"words": whole, "said": str(self.said), "patience": patience}) + "\n")
        self.zygote.stdin.flush()
        return int(self.zygote.stdout.readline())

    def wait(self) -> tuple[int, str]:
        """Exit code of the run, and what it said."""
        assert self.zygote.stdout
        return int(self.zygote.stdout.readline()), self.said.read_text(errors="replace")

    def run(self, out: Path, *words: str) -> tuple[int, str]:
        """A whole run."""
        self.start(out, *words)
        return self.wait()

    def close(self) -> None:
        """End."""
        assert self.zygote.stdin
        self.zygote.stdin.close()
        self.zygote.wait(30)


def study() -> Study:
    """The study that is tortured."""
    return load_study(STUDY)


def store_in(out: Path) -> Path:
    """Its store in a folder of results."""
    return study().store(out)


def kill(process: int, number: signal.Signals, *, group: bool) -> None:
    """Send a signal; a process that has ended is fine."""
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process, number)


def arms_done(path: Path) -> int:
    """Arms that the event log has."""
    log = path / "events.jsonl"
    return log.read_bytes().count(b'"event": "arm"') if log.exists() else 0


def differences(one: Path, other: Path) -> list[str]:
    """Variables in which two cubes are not equal bit for bit, wall times apart."""
    first, second = open_cube(one).load(), open_cube(other).load()
    return [str(name) for name in first.data_vars if name != "seconds" and not _same(first[name], second[name])]


def _same(one: xr.DataArray, other: xr.DataArray) -> bool:
    return one.shape == other.shape and one.values.tobytes() == other.values.tobytes()


def finished(path: Path) -> int:
    """Arms whose one draw is OK."""
    return int((Store.open(path, writable=False).status() == 1).any(-1).sum())


def twice(path: Path, again: Sequence[str] = ()) -> list[str]:
    """Arms and encoders that the event log has more than once, those apart that were damaged and had to be."""
    events = Store.open(path, writable=False).events()
    seen = Counter(event["arm"] for event in events if event["event"] == "arm")
    seen += Counter(event["encoder"] for event in events if event["event"] == "encoder")
    return [what for what, count in seen.items() if count > 1 and what not in again]


def ended_well(path: Path, reference: Path) -> list[str]:
    """What is wrong with a store that has to be finished and equal to another one."""
    wrong = [f"{name} differs" for name in differences(path, reference)]
    wrong += [f"{what} computed twice" for what in twice(path)]
    if (count := finished(path)) != ARMS:
        wrong.append(f"{count} of {ARMS} arms finished")
    if damage := Store.open(path, writable=False).verify(repair=False):
        wrong.append(f"damaged: {damage[0]}")
    return wrong


def chooser(seed: int) -> np.random.Generator:
    """Where moments come from."""
    return np.random.default_rng(seed)
