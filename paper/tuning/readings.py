"""What is read of the store of a round, in a search the only thing.

The search is blind: AUCs of subgroups become their mean here, before anything is compared, and nothing by subgroup
leaves this module. What is read by subgroup of a confirmation, and of no other round, is in
:mod:`paper.tuning.confirmation`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from paper.tuning.rounds import SETTING

if TYPE_CHECKING:
    from biasprop.study.study import Study


@dataclass(frozen=True)
class Reading:
    """A round as it was run, without subgroups; dims in the order of the study."""

    z: xr.DataArray
    """Mean over subgroups of z = sqrt(2) * inverse normal CDF of AUC: [setting, other factors, replicate]; NaN where
    that of a subgroup is not defined."""
    finetuning: xr.DataArray
    """Seconds of an arm: [setting, other factors, replicate]; NaN where unknown."""
    pretraining: xr.DataArray
    """Seconds of a cell: [setting, replicate]; NaN where unknown, such as where another study had the encoder."""
    lacks: dict[str, xr.DataArray]
    """diverged, failed -> arms of all replicates in which a draw did: [setting]."""
    date: str | None = None
    """Day on which the last arm was computed, as :class:`paper.stores.Provenance` has it."""


def read(study: Study, store: Path) -> Reading | str:
    """Read a round.

    Args:
        study: the round.
        store: its folder.

    Returns:
        The reading; in words what is missing, if the round is not finished.

    Raises:
        InputError: the store cannot be read.
    """
    from biasprop.report.results import open_study_cube
    from biasprop.status import Status
    from biasprop.store.store import Store
    from biasprop.study import arm_status, design
    from paper.stores import provenance

    if not store.exists():
        return "has not been run with this file and this version of the package"
    states = arm_status.arm_status(study, design.cells(study), store).values()
    if missing := sum(status == Status.OPEN for status in states):
        return f"is not finished: {missing} of {len(states)} arms have not run"
    cube, events = open_study_cube(study, store), Store.open(store, writable=False).events()
    return reading_of(study, cube, events, provenance(store, cube).date)


def reading_of(study: Study, cube: xr.Dataset, events: list[dict[str, Any]], date: str | None = None) -> Reading:
    """Reduce a cube to what the search may see.

    Args:
        study: the round.
        cube: of it.
        events: of its store.
        date: see :class:`Reading`.
    """
    from biasprop.statistics.groups import subgroups_of
    from biasprop.statistics.measures import measure, per_replicate
    from biasprop.status import LACKS, Status

    measures = measure(cube, **study.evaluation.decisions())
    by_subgroup = per_replicate(measures, "z").sel(subgroup=subgroups_of(measures)).transpose(..., "subgroup")
    # In the order of their values: a sum of more than two would depend on which subgroup has which.
    z = by_subgroup.copy(data=np.sort(by_subgroup.values, axis=-1)).mean("subgroup", skipna=False)
    status = cube["status"]
    states = {name: (status == code).any("draw") for code, name in LACKS.items() if code != Status.OPEN}
    return Reading(
        z=_plain(z),
        finetuning=_plain(cube["seconds"].astype(float)),
        pretraining=pretraining_seconds(study, events),
        lacks={
            name: _plain(state.sum([dim for dim in state.dims if dim != SETTING])) for name, state in states.items()
        },
        date=date,
    )


def pretraining_seconds(study: Study, events: list[dict[str, Any]]) -> xr.DataArray:
    """Seconds of pretraining by setting and replicate, summed over the jobs of a cell; NaN where no job tells."""
    from biasprop.study import design

    spent: Counter[str] = Counter()
    for event in events:
        if event.get("event") == "cells" and "pretrain" in (event.get("seconds") or {}):
            names = set(event["cells"])
            spent.update(dict.fromkeys(names, float(event["seconds"]["pretrain"]) / len(names)))
    labels = [level.label for level in study.levels(SETTING)]
    seconds = xr.DataArray(
        np.full((len(labels), study.replicates), np.nan),
        {SETTING: labels, "replicate": np.arange(study.replicates)},
        (SETTING, "replicate"),
    )
    for cell in design.cells(study):
        if cell.name in spent:
            tried = sorted({labels.index(arm.levels[SETTING]) for arm in cell.arms})
            seconds[tried, cell.replicate] = spent[cell.name]
    return seconds


def _plain(values: xr.DataArray) -> xr.DataArray:
    """Values with no other coordinates than their dims: those of a cube may name subgroups."""
    return values.reset_coords(drop=True).rename(None)
