"""A store that exists before a run: damaged arms are opened again, and the study's text is brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biasprop.execution.provenance import attributes
from biasprop.store.store import Store
from biasprop.study.design import layout

if TYPE_CHECKING:
    from biasprop.study.design import Cell
    from biasprop.study.study import Study


def repair(store: Path, cells: Sequence[Cell]) -> list[str]:
    """Open damaged arms of these cells again and restore damaged documents.

    Returns:
        One message for each damage.
    """
    arms = [(arm.levels, cell.replicate) for cell in cells for arm in cell.arms]
    return [f"damaged{', to be recomputed' if damage.arm else ''}: {damage}" for damage in Store.open(store).mend(arms)]


def update(study: Study, store: Path) -> None:
    """Store the study's text, estimands and shape, where no arm is left to compute."""
    Store.create_or_grow(store, layout(study), attributes(study))
