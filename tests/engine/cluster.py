"""A dask cluster of real processes on this machine, a small study for it, and helpers to compare stores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from biasprop.execution import progress, sweep
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.study import Study

ROOT = Path(__file__).parents[2]
STUDY = Path(__file__).with_name("small.toml")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}


class Cluster:
    """A scheduler and workers, each in a process of its own, as a user starts them."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard", "--no-show")
        self.workers: list[subprocess.Popen[bytes]] = []

    def add(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start another worker."""
        given = words or ("--nthreads", "1")
        fixed = ("--no-nanny", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(self.folder))
        self.workers.append(self._start("worker", *given, *fixed, **environment))
        return self.workers[-1]

    def _start(self, what: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--scheduler-file", str(self.file)]
        with (self.folder / f"{what}.log").open("ab") as log:
            whole = [*line, "--host", "127.0.0.1", *words]
            return subprocess.Popen(
                whole, stdout=log, stderr=log, env=ENVIRONMENT | environment, cwd=self.folder, start_new_session=True
            )

    def __enter__(self) -> Cluster:
        until = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < until, (self.folder / "scheduler.log").read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


class After(progress.Lines):
    """Shows nothing; calls ``act`` once, after ``arms`` stored arms, and likewise others of ``more``."""

    def __init__(
        self, arms: int, act: Callable[[], object], more: Mapping[int, Callable[[], object]] | None = None
    ) -> None:
        super().__init__(sys.stderr, quiet=True)
        self.stored, self.acts, self.said_lines = 0, {arms: act, **(more or {})}, list[str]()

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See ``Progress``."""
        self.stored += 1
        if self.stored in self.acts:
            self.acts[self.stored]()

    def say(self, line: str) -> None:
        """See ``Progress``."""
        self.said_lines.append(line)


def small(*overrides: str) -> Study:
    """The small study."""
    return load_study(STUDY, set=overrides)


def compute(study: Study, out: Path, shown: progress.Progress | None = None, **how: object) -> list[str]:
    """Run a study; returns what was given up."""
    return sweep.run(study, study.store(out), progress=shown or progress.make(quiet=True), **how)  # type: ignore[arg-type]


def opened(study: Study, out: Path) -> Store:
    """The store of the study, read-only."""
    return Store.open(study.store(out), writable=False)


def stored(store: Store) -> Counter[str]:
    """How often each arm was stored."""
    return Counter(event["arm"] for event in store.events() if event["event"] == "arm")


def planned(study: Study) -> int:
    """Number of arms of the study."""
    return len(design.arms(study))


def encoders(out: Path) -> list[Path]:
    """Files of pretrained encoders."""
    return sorted((out / "encoders").rglob("*.npz"))


def differ(one: Path, other: Path) -> list[str]:
    """Names of the variables of two stores that are not bit-equal, apart from times."""
    first, second = open_cube(one).load(), open_cube(other).load()
    names = [name for name in first.data_vars if name != "seconds"]
    return [str(name) for name in names if first[name].values.tobytes() != second[name].values.tobytes()]


def same_but_open(one: Path, whole: Path) -> bool:
    """Whether every finished arm of a store is bit-equal to that of a complete one."""
    first, second = open_cube(one).load(), open_cube(whole).load()
    done = first.status == 1
    score = np.where(done.values[..., None, None], first.score.values, 0)
    return bool(np.array_equal(score, np.where(done.values[..., None, None], second.score.values, 0)))
