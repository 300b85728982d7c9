"""What a run would do: cells, arms, time, memory, device, store, and the contrast that the design can resolve."""

from __future__ import annotations

import glob
import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biasprop.hardware import device
from biasprop.interfaces import Part, has_people
from biasprop.status import TO_DO, Status
from biasprop.study.arm_status import ArmStatus, arm_status, cells_done
from biasprop.study.design import Cell, bytes_per_cell
from biasprop.study.sample import settings_table
from biasprop.study.study import Study
from biasprop.study.timings import Timings, duration, guessed_arm, guessed_pretraining

ASSUMED_SD = 0.08
"""Sd between replicates of a swap contrast on z, until one is measured (1,000 test subjects per class and subgroup
alone give about 0.05 when twins share everything but their tone)."""

SHORT_RUN_S = 30.0
"""Seconds of computing up to which processes do not pay: each has to start, and to load or compile every program."""

WORKER_MEMORY_GB = 0.45
"""GB of a compute process before it holds any image (JAX, its libraries and compiled programs)."""


@dataclass(frozen=True)
class Plan:
    """What a study has to do, and what exists already."""

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
    """Compute processes."""
    device: str
    store: Path
    state: str
    """What the store has, in words."""
    difficulty: tuple[str, ...]
    """Difficulty modes of the cells, in words."""
    others: tuple[str, ...]
    """Stores of the same study under other digests."""
    resolves: str
    """Smallest contrast that the design can resolve, in words."""
    sent: tuple[str, ...]
    """Bytes that the sites of each federated pretraining send and receive, in words."""
    people: tuple[str, ...]
    """Whose images a table has, and what cannot be said of them; empty for simulated subjects."""
    settings: tuple[str, ...]
    """Table of the sampled settings; empty without a sample."""

    def line(self) -> str:
        """The plan in one line."""
        return (
            f"{self.cells - self.cells_done} of {self.cells} cells to do ({self.arms} arms), "
            f"{self._time()}, {self.device}, {self.workers or 1} worker{'s' * (self.workers > 1)}, {self.store}"
        )

    def lines(self) -> list[str]:
        """The plan in full."""
        return [
            f"cells        {self.cells - self.cells_done} of {self.cells} to do",
            f"arms         {self.arms - self.arms_done} of {self.arms} to do",
            *(f"difficulty   {words}" for words in self.difficulty),
            *(f"{'' if number else 'people':<12} {words}" for number, words in enumerate(self.people)),
            f"time         {self._time()}",
            f"memory       about {self.memory:.1f} GB",
            f"device       {self.device}, {self.workers or 'no'} worker process{'es' * (self.workers != 1)}",
            f"store        {self.store} ({self.state})",
            *(f"             other version of this study: {other}" for other in self.others),
            *(f"sent         {words}" for words in self.sent),
            f"resolves     {self.resolves}",
            *(
                [f"settings     {len(self.settings) - 1}, setting k in replicate k alone", *self.settings]
                * bool(self.settings)
            ),
        ]

    def _time(self) -> str:
        if self.cells == self.cells_done:
            return "nothing to run"
        source = (
            "timings recorded on this machine"
            if self.measured > 0.99
            else "numbers of pixels and steps; no timings recorded on this machine yet"
        )
        if 0.01 < self.measured <= 0.99:
            source = f"{self.measured:.0%} timings recorded on this machine, the rest numbers of pixels and steps"
        return f"about {duration(self.seconds)} (from {source})"


def plan(
    study: Study,
    cells: Sequence[Cell],
    out: Path,
    workers: int | None = None,
    *,
    resolution: bool = True,
    estimates: Sequence[Mapping[str, Any]] = (),
) -> Plan:
    """Plan a run; reads the store and writes nothing.

    Args:
        study: a valid study.
        cells: those to run, from ``design.cells``.
        out: the folder of stores.
        workers: compute processes; by default one per core, or none on an accelerator or for at most
            :data:`SHORT_RUN_S` of computing.
        resolution: also say what the design can resolve and what sites send, which loads statistics and networks.
        estimates: of this study and its stored scores, as JSON has them; they give the sd between replicates.
    """
    store = study.store(out)
    status = arm_status(study, cells, store)
    seconds, recorded = _seconds(cells, status, Timings(out))
    processes = workers
    if processes is None:
        processes = device.processes() if seconds > SHORT_RUN_S else 0
    return Plan(
        cells=len(cells),
        cells_done=cells_done(cells, status),
        arms=len(status),
        arms_done=sum(value not in TO_DO for value in status.values()),
        seconds=seconds / max(processes, 1),
        measured=recorded / seconds if seconds else 1.0,
        memory=(processes + 1) * WORKER_MEMORY_GB + max(processes, 1) * bytes_per_cell(study) / 1e9,
        workers=processes,
        device=f"CPU with {device.cores()} cores" if device.is_cpu() else device.kind(),
        store=store,
        state=_state(store, status),
        difficulty=_difficulty(study, cells),
        people=_people(study, cells),
        others=_other_stores(study, store),
        resolves=resolution_words(study, estimates) if resolution else "",
        sent=bytes_sent_words(cells) if resolution else (),
        settings=tuple(settings_table(study.settings()[: study.replicates])),
    )


def _arms_to_do(index: int, cell: Cell, status: ArmStatus) -> list[Any]:
    return [arm for arm in cell.arms if status[index, arm.name] in TO_DO]


def _seconds(cells: Sequence[Cell], status: ArmStatus, timings: Timings) -> tuple[float, float]:
    """Seconds that one process takes for what is left, and how many of them rest on recorded timings."""
    seconds = recorded = 0.0
    pretrained: set[tuple[str, int]] = set()
    for index, cell in enumerate(cells):
        arms = _arms_to_do(index, cell, status)
        if not arms:
            continue
        encoder = (cell.condition.model_dump_json(), cell.replicate)
        if encoder not in pretrained:
            known = timings.pretraining(cell.condition)
            seconds += guessed_pretraining(cell.condition) if known is None else known
            recorded += known or 0.0
        pretrained.add(encoder)
        for arm in arms:
            known = timings.arm(cell.condition, arm.condition)
            seconds += guessed_arm(cell.condition, arm.condition) if known is None else known
            recorded += known or 0.0
    return seconds, recorded


def _state(store: Path, status: ArmStatus) -> str:
    if not store.exists():
        return "does not exist yet"
    counts = Counter(status.values())
    return ", ".join(f"{counts[value]} {value.words}" for value in Status if counts[value]) + " arms"


def _other_stores(study: Study, store: Path) -> tuple[str, ...]:
    if not store.parent.is_dir():
        return ()
    return tuple(
        str(p) for p in sorted(store.parent.glob(f"{glob.escape(study.stem)}-{'[0-9a-f]' * 12}")) if p != store
    )


def _difficulty(study: Study, cells: Sequence[Cell]) -> tuple[str, ...]:
    if has_people(study.generator):
        return ()  # what their images show is not known
    return tuple(dict.fromkeys(cell.condition.generator.difficulty.words for cell in cells))


def _people(study: Study, cells: Sequence[Cell]) -> tuple[str, ...]:
    """How many people each part of every table has, and what a study of them cannot say."""
    if not has_people(study.generator):
        return ()
    from biasprop.statistics.groups import LIMITS

    tables: dict[str, Any] = {cell.condition.generator.digest: cell.condition.generator for cell in cells}
    lines = [line for generator in tables.values() for line in _people_of(generator)]
    return (*lines, *textwrap.wrap(LIMITS, 100))


def _people_of(generator: Any) -> Iterator[str]:
    """How many people each part of a table has."""
    yield f"{generator.rows:,} rows of {generator.table}; people (pretraining: rows) without + with the disease:"
    for part in Part:
        listed = zip(generator.subgroups, generator.available[part].tolist(), strict=True)
        counts = ", ".join(f"{name} {healthy:,} + {diseased:,}" for name, (healthy, diseased) in listed)
        yield f"  {part.name.lower()}: {counts}"
    if left_out := ", ".join(f"{count:,} {why}" for why, count in generator.left_out.items()):
        yield f"rows left out: {left_out}"


def bytes_sent_words(cells: Sequence[Cell]) -> tuple[str, ...]:
    """What is sent in the pretraining of one replicate of each cell that sends anything."""
    from biasprop.study.communication import bytes_sent

    sent = {cell.label: bytes_sent(cell.condition) for cell in cells if cell.replicate == cells[0].replicate}
    return tuple(f"{amount / 1e6:,.1f} MB in {label}, a replicate" for label, amount in sent.items() if amount)


def resolution_words(study: Study, estimates: Sequence[Mapping[str, Any]]) -> str:
    """The smallest primary contrast that the design can resolve, in words.

    Args:
        study: whose primary estimand.
        estimates: of the study, as JSON has them; they give the sd between replicates. An assumed one without them.
    """
    from biasprop.statistics.tests import resolvable

    primary = next((estimand for estimand in study.estimands if estimand.primary), None)
    if primary is None:
        return "not stated: the study is exploratory"
    sd = _measured_sd(estimates, primary.name)
    smallest = resolvable(ASSUMED_SD if sd is None else sd, study.replicates)
    if math.isnan(smallest):
        return f"nothing with {study.replicates} replicate; at least 2 are needed"
    source = f"an assumed sd of {ASSUMED_SD:g}" if sd is None else f"the stored sd of {sd:.3g}"
    return (
        f"{primary.name} of {smallest:.2g} on {primary.scale} with {study.replicates} replicates "
        f"(power 80 %, level 5 %, {source}; margin {primary.margin_used:g})"
    )


def _measured_sd(estimates: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Sd between replicates of the estimate of this name; None if it has no standard error."""
    row = next((row for row in estimates if row["name"] == name), None)
    if row is None or row["se"] is None:
        return None
    sd = row["se"] * math.sqrt(row["replicates"])
    return sd if sd > 0 else None
