"""What a store has of a study's arms: the status of each, and why some have no result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biasprop.status import LACKS, TO_DO, Status
from biasprop.study.design import layout

if TYPE_CHECKING:
    from biasprop.study.design import Cell
    from biasprop.study.study import Study

ArmStatus = Mapping[tuple[int, str], Status]
"""(Position of a cell in a list of cells, name of an arm) -> worst status of the arm's planned draws."""

NOT_RECORDED = "the event log of the store has no cause"
"""Shown where the event log has no cause, as in a store that an older version wrote."""


def arm_status(study: Study, cells: Sequence[Cell], store: Path) -> dict[tuple[int, str], Status]:
    """The status of every arm of these cells, see :data:`ArmStatus`; OPEN for all if there is no store.

    Raises:
        InputError: a level of the study has another content in the store, or the store cannot be read.
    """
    every = {(index, arm.name): Status.OPEN for index, cell in enumerate(cells) for arm in cell.arms}
    if not store.exists():
        return every
    from biasprop.store.layout import shared
    from biasprop.store.store import Store

    opened = Store.open(store, writable=False)
    shared(opened.layout, layout(study), store)
    status = opened.status()
    for index, cell in enumerate(cells):
        for arm in cell.arms:
            try:
                draws = status[opened.index(arm.levels, cell.replicate)][: arm.draws]
            except KeyError:  # a level or replicate that the store does not have yet
                continue
            every[index, arm.name] = Status.OPEN if (draws == Status.OPEN).any() else Status(max(draws))
    return every


def cells_done(cells: Sequence[Cell], status: ArmStatus) -> int:
    """Number of cells of which no arm is open or failed."""
    return sum(all(status[index, arm.name] not in TO_DO for arm in cell.arms) for index, cell in enumerate(cells))


def missing_results(cells: Sequence[Cell], status: ArmStatus, store: Path) -> tuple[list[str], list[str]]:
    """One line for each arm without a result, with the reason; and one line for each distinct reason."""
    if not set(status.values()) & set(LACKS):
        return [], []
    causes = why_missing(store)
    lines, reasons = [], list[tuple[str, str]]()
    for index, cell in enumerate(cells):
        for arm in cell.arms:
            if lacks := LACKS.get(status[index, arm.name]):
                why = causes.get((arm.name, cell.replicate), {})
                lines.append(
                    f"{lacks}: {cell.name}: {arm.name}{''.join(f'; {d}: {cause}' for d, cause in why.items())}"
                )
                if status[index, arm.name] != Status.OPEN:
                    reasons += [(lacks, cause) for cause in dict.fromkeys(why.values() or [NOT_RECORDED])]
    return lines, _counted(reasons)


def _counted(reasons: Sequence[tuple[str, str]]) -> list[str]:
    """Each distinct reason with its number of arms, the most frequent last; reasons that differ in numbers are one."""
    alike: dict[tuple[str, str], list[str]] = {}
    for lacks, cause in reasons:
        alike.setdefault((lacks, re.sub(r"\d+", "0", cause)), []).append(cause)
    return [
        f"{len(causes)} {'arm' if len(causes) == 1 else 'arms'} {lacks}: {'such as ' * (len({*causes}) > 1)}{causes[0]}"
        for (lacks, _), causes in sorted(alike.items(), key=lambda found: len(found[1]))
    ]


def why_missing(store: Path) -> dict[tuple[str, int], dict[str, str]]:
    """Why arms diverged or failed, from the event log: (name of the arm, replicate) -> which draws -> cause."""
    from biasprop.store.store import Store

    causes = {}
    for event in Store.open(store, writable=False).events():
        if event.get("event") == "arm":
            name, _, replicate = event["arm"].rpartition(", replicate ")
            causes[name, int(replicate)] = event.get("why", {})
    return causes


def listing(cells: Sequence[Cell], status: ArmStatus) -> list[str]:
    """Every cell, and below it one line per arm with its status."""
    lines = []
    for index, cell in enumerate(cells):
        lines.append(cell.name)
        lines += [f"  {status[index, arm.name].words:<12} {arm.name}" for arm in cell.arms]
    return lines
