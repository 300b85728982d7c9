"""Two processes that compute one study in one store at once, trial after trial, and a third that only reads.

python -m tests.torture.writers FOLDER TRIALS        is one of the two; each trial has a folder of its own
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

from biasprop.execution import progress, sweep
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from tests.torture.harness import ARMS, ENCODERS, ROOT, Tally, ended_well, store_in, study

TOGETHER = 60.0
"""Seconds that a writer waits for the other to be ready."""


def writers(folder: Path, reference: Path, trials: int) -> Tally:
    """Run trials; every one has to end with each arm and encoder computed once, and the bits of the reference."""
    tally = Tally("two writers")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "NPROC": "1"}
    command = [sys.executable, "-m", "tests.torture.writers", str(folder), str(trials)]
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(2)]
    whole = open_cube(reference).load()
    for trial in range(trials):
        store = store_in(folder / f"{trial}")
        while not all((folder / f"{trial}-ended-{process.pid}").exists() for process in processes):
            if any(process.poll() for process in processes):
                break
            if store.exists():
                tally.notes["reads meanwhile"] += 1
                tally.faults += _read(store, whole)
            time.sleep(0.05)
        if any(process.poll() for process in processes):
            tally.faults.append(f"trial {trial}: a writer ended with {[process.poll() for process in processes]}")
            break
        tally.tried += 1
        tally.faults += [f"trial {trial}: {wrong}" for wrong in ended_well(store, reference)]
        events = Store.open(store, writable=False).events()
        encoders = sum(event["event"] == "encoder" for event in events)
        arms = Counter(event["pid"] for event in events if event["event"] == "arm")
        if encoders != ENCODERS or sum(arms.values()) != ARMS:
            tally.faults.append(f"trial {trial}: {encoders} encoders and {sum(arms.values())} arms were computed")
        tally.notes["trials in which both computed"] += len(arms) == 2
    for process in processes:
        process.kill() if tally.tried < trials else None
        process.wait()
    return tally


def _read(store: Path, whole: xr.Dataset) -> list[str]:
    """What a reader sees that is not finished, or not what it has to be."""
    cube = open_cube(store).load()
    done = (cube.status == 1).values
    wrong = []
    if np.isfinite(cube.score.values).all((-1, -2)).tolist() != done.tolist():
        wrong.append("a reader saw scores of what is not finished, or none of what is")
    if (cube.score.values[done] != whole.score.values[done]).any():
        wrong.append("a reader saw other scores")
    return wrong


def _write(folder: Path, trials: int) -> None:
    """One of the two."""
    for trial in range(trials):
        (folder / f"{trial}-ready-{os.getpid()}").touch()
        deadline = time.monotonic() + TOGETHER
        while len(list(folder.glob(f"{trial}-ready-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        sweep.run(study(), store_in(folder / f"{trial}"), workers=0, progress=progress.make(quiet=True))
        (folder / f"{trial}-ended-{os.getpid()}").touch()


if __name__ == "__main__":
    _write(Path(sys.argv[1]), int(sys.argv[2]))
