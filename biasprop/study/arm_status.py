"""What the store has of a study's arms: status of each, and why some have no result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from biasprop.status import Status
from biasprop.study.design import Cell
from biasprop.study.study import Study


def arm_status(study: Study, cells: Sequence[Cell], store: Path) -> dict[tuple[int, str], Status]:
    """Status of every arm: (position of its cell, its name) -> worst status of its planned draws."""
    found = {(index, arm.name): Status.OPEN for index, cell in enumerate(cells) for arm in cell.arms}
    if not store.exists():
        return found
    from biasprop.store.store import Store

    opened = Store.open(store, writable=False)
    status = opened.status()
    for index, cell in enumerate(cells):
        for arm in cell.arms:
            try:
                draws = status[opened.index(arm.levels, cell.replicate)][: arm.draws]
            except KeyError:  # a level or replicate that the store does not have yet
                continue
            found[index, arm.name] = Status.OPEN if (draws == Status.OPEN).any() else Status(max(draws))
    return found


def divergence_causes(store: Path) -> dict[tuple[str, int], str]:
    """Why draws of arms diverged, as the event log has it: (an arm's name, replicate) -> words to put behind it."""
    from biasprop.store.store import Store

    found = {}
    for event in Store.open(store, writable=False).events():
        if event.get("event") == "arm":
            name, _, replicate = event["arm"].rpartition(", replicate ")
            found[name, int(replicate)] = "".join(f"; {draw}: {why}" for draw, why in event.get("why", {}).items())
    return found


def listing(cells: Sequence[Cell], status: dict[tuple[int, str], Status]) -> list[str]:
    """Every cell with its arms and their status, one line an arm."""
    lines = []
    for index, cell in enumerate(cells):
        lines.append(cell.name)
        lines += [f"  {status[index, arm.name].words:<12} {arm.name}" for arm in cell.arms]
    return lines
