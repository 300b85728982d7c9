"""What a run would do: cells, arms, minutes, memory, device, store, and what the design can resolve."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biasprop.hardware import device
from biasprop.status import TO_DO, Status
from biasprop.store import json_cache, safe_files
from biasprop.study.arm_status import arm_status
from biasprop.study.design import Cell, bytes_per_cell
from biasprop.study.study import Study
from biasprop.study.timings import Timings, duration, guessed_arm, guessed_pretraining

ASSUMED_SD = 0.08
"""Sd between replicates of a swap contrast on z where none has been measured yet (1,000 test subjects a class and
subgroup alone give about 0.05 when twins share everything but their tone)."""

SHORT_RUN_S = 30.0
"""Seconds of computing for which processes do not pay: each of them has to start, and to load or compile every program
by itself."""

WORKER_MEMORY_GB = 0.45
"""GB a compute process takes before it holds any image (JAX, its libraries and compiled programs)."""


@dataclass(frozen=True)
class Plan:
    """What is to do for a study and what is there already."""

    cells: int
    cells_done: int
    arms: int
    arms_done: int
    seconds: float
    """Wall time of what is left."""
    measured: float
    """Fraction of ``seconds`` that rests on timings recorded on this machine."""
    memory: float
    """GB over all processes."""
    workers: int
    device: str
    store: Path
    there: str
    """What exists already, in words."""
    difficulty: tuple[str, ...]
    """Difficulty modes of the cells, in words."""
    others: tuple[str, ...]
    """Stores of the same study under other digests."""
    resolves: str
    """Smallest contrast that the design can resolve, in words."""

    def line(self) -> str:
        """The plan in one line."""
        return (
            f"{self.cells - self.cells_done} of {self.cells} cells to do ({self.arms} arms), "
            f"{self._time()}, {self.device}, {self.workers or 1} worker{'s' * (self.workers > 1)}, {self.store}"
        )

    def lines(self) -> list[str]:
        """The plan in full."""
        found = [f"             also of this study: {other}" for other in self.others]
        return [
            f"cells        {self.cells - self.cells_done} of {self.cells} to do",
            f"arms         {self.arms - self.arms_done} of {self.arms} to do",
            *(f"difficulty   {words}" for words in self.difficulty),
            f"time         {self._time()}",
            f"memory       about {self.memory:.1f} GB",
            f"device       {self.device}, {self.workers or 'no'} worker process{'es' * (self.workers != 1)}",
            f"store        {self.store} ({self.there})",
            *found,
            f"resolves     {self.resolves}",
        ]

    def _time(self) -> str:
        if self.cells == self.cells_done:
            return "nothing to run"
        source = "timings recorded on this machine" if self.measured > 0.99 else "counts; nothing recorded here yet"
        if 0.01 < self.measured <= 0.99:
            source = f"{self.measured:.0%} timings recorded on this machine, the rest counts"
        return f"about {duration(self.seconds)} (from {source})"


def plan(
    study: Study, cells: Sequence[Cell], out: Path, workers: int | None = None, *, resolution: bool = True
) -> Plan:
    """Plan a run; reads what is there and writes nothing.

    Args:
        study: a valid study.
        cells: those to run, from ``design.cells``.
        out: the folder of stores.
        workers: compute processes; by default one per core, or none on an accelerator and for what is :data:`SHORT_RUN_S`.
        resolution: also say what the design can resolve, for which statistics have to be loaded.
    """
    store = study.store(out)
    status = arm_status(study, cells, store)
    done = [all(status[index, name] not in TO_DO for name in _names(cell)) for index, cell in enumerate(cells)]
    timings = Timings(out)
    seconds = recorded = 0.0
    paid: set[tuple[str, int]] = set()
    for index, cell in enumerate(cells):
        todo = [arm for arm in cell.arms if status[index, arm.name] in TO_DO]
        if not todo:
            continue
        encoder = (cell.condition.model_dump_json(), cell.replicate)
        known = timings.pretraining(cell.condition)
        if encoder not in paid:
            seconds += guessed_pretraining(cell.condition) if known is None else known
            recorded += known or 0.0
        paid.add(encoder)
        for arm in todo:
            known = timings.arm(cell.condition, arm.condition)
            seconds += guessed_arm(cell.condition, arm.condition) if known is None else known
            recorded += known or 0.0
    processes = workers
    if processes is None:
        processes = device.processes() if seconds > SHORT_RUN_S else 0
    return Plan(
        cells=len(cells),
        cells_done=sum(done),
        arms=len(status),
        arms_done=sum(value not in TO_DO for value in status.values()),
        seconds=seconds / max(processes, 1),
        measured=recorded / seconds if seconds else 1.0,
        memory=(processes + 1) * WORKER_MEMORY_GB + max(processes, 1) * bytes_per_cell(study) / 1e9,
        workers=processes,
        device=f"CPU with {device.cores()} cores" if device.is_cpu() else device.kind(),
        store=store,
        there=_there(store, status),
        difficulty=tuple(dict.fromkeys(cell.condition.generator.difficulty.words for cell in cells)),
        others=_others(study, store),
        resolves=_resolves(study, store) if resolution else "",
    )


def _names(cell: Cell) -> list[str]:
    return [arm.name for arm in cell.arms]


def _there(store: Path, status: dict[tuple[int, str], Status]) -> str:
    if not store.exists():
        return "does not exist yet"
    counts = Counter(status.values())
    return ", ".join(f"{counts[each]} {each.words}" for each in Status if counts[each]) + " arms"


def _others(study: Study, store: Path) -> tuple[str, ...]:
    if not store.parent.is_dir():
        return ()
    return tuple(str(p) for p in sorted(store.parent.glob(f"{study.stem}-{'[0-9a-f]' * 12}")) if p != store)


def _resolves(study: Study, store: Path) -> str:
    from biasprop.statistics.tests import resolvable

    primary = next(estimand for estimand in study.estimands if estimand.primary)
    sd = _measured_sd(store, primary.name)
    smallest = resolvable(ASSUMED_SD if sd is None else sd, study.replicates)
    source = f"an assumed sd of {ASSUMED_SD:g}" if sd is None else f"the stored sd of {sd:.3g}"
    if math.isnan(smallest):
        return f"nothing with {study.replicates} replicate; at least 2 are needed"
    return (
        f"{primary.name} of {smallest:.2g} on {primary.scale} with {study.replicates} replicates "
        f"(power 80 %, level 5 %, {source}; margin {primary.margin:g})"
    )


def _measured_sd(store: Path, name: str) -> float | None:
    """Sd between replicates of the primary estimand, as the last table of the store has it."""
    try:
        newest = max((store / "cache").glob("*.json"), key=os.path.getmtime)
        rows: list[Any] = json.loads(safe_files.read_bytes(newest, json_cache.MAX_BYTES))["content"]["estimates"]
        row = next(row for row in rows if row["name"] == name)
        sd = float(row["se"]) * math.sqrt(row["replicates"])
        return sd if sd > 0 else None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
