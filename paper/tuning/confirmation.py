"""Quality, worth of pretraining and label efficiency of the frozen recipe, by subgroup, from a confirmation's cube.

The only module of the search that reads by subgroup. It refuses every study whose seed is not that of a confirmation,
which is run once, after the recipe is frozen.

The protocol of a setting is chosen at each label budget, by the AUC on the validation subjects and never by test
scores, so that each side is compared as a user would have it. Nothing else is chosen here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.metrics import auc, z_of_auc
from biasprop.statistics.curves import labels_needed
from biasprop.statistics.groups import subgroups_of
from biasprop.statistics.intervals import t_interval
from biasprop.statistics.measures import measure, per_replicate
from paper.tuning.rounds import CONFIRMATION, SCRATCH, SETTING

if TYPE_CHECKING:
    from biasprop.study.study import Study

PILOT: Mapping[int, tuple[float, ...]] = {200: (0.84, 0.80), 1_000: (0.855, 0.83)}
"""Label budget -> AUC of each subgroup under a linear probe that a pretrained encoder is held against, because it is
what the pilot reached. They are compared as the mean of their z."""

AIM_OF_WORTH, AIM_LABELS = 0.15, 200
"""Worth of pretraining on z that was aimed for in both subgroups, and the label budget at which it was."""

AIM_OF_EFFICIENCY = 3
"""How many times the labels scratch should need for the same z."""

PROBE = "linear_probe"
"""Kind of the protocol under which the quality of an encoder is measured."""


class Measured(NamedTuple):
    """What is read of a cube; budgets in increasing order, settings and protocols in that of the study."""

    settings: tuple[str, ...]
    budgets: tuple[int, ...]
    protocols: tuple[str, ...]
    probes: tuple[bool, ...]
    """Whether each protocol is a linear probe."""
    subgroups: tuple[str, ...]
    z: NDArray[np.float64]
    """[setting, budget, protocol, replicate, subgroup]"""
    validation_auc: NDArray[np.float64]
    """AUC on the validation subjects of all subgroups together: [setting, budget, protocol, replicate]; NaN where a
    draw is missing or the subjects are of one class."""


class Choice(NamedTuple):
    """The protocol of a setting at a label budget."""

    protocol: int | None
    """Its position; None if no replicate has a validation AUC of every protocol."""
    mean: NDArray[np.float64]
    """[protocol] means of the validation AUC that were compared; NaN for a protocol without any."""
    replicates: int
    """Replicates that the means are of."""


def read(study: Study, store: Path) -> dict[str, Any]:
    """The tables of a confirmation, from its finished store.

    Args:
        study: the round.
        store: its folder.

    Raises:
        ValueError: the round is no confirmation.
        InputError: the store cannot be read.
    """
    from biasprop.report.results import open_study_cube

    _refuse_search(study)
    return tables(study, open_study_cube(study, store))


def tables(study: Study, cube: xr.Dataset) -> dict[str, Any]:
    """The tables of a confirmation, from its cube.

    Args:
        study: the round.
        cube: of it.

    Returns:
        labels_used, quality, protocols, worth, efficiency and aims, for JSON.

    Raises:
        ValueError: the round is no confirmation.
    """
    _refuse_search(study)
    measured = _measured(study, cube)
    choices = [[choose(aucs) for aucs in by_budget] for by_budget in measured.validation_auc]
    z = _chosen(measured.z, choices)
    return {
        "labels_used": _labels_used(study, measured.budgets),
        "quality": _quality(measured),
        "protocols": _protocols(measured, choices),
        "worth": _worth(measured, choices, z),
        "efficiency": _efficiency(measured, z),
        "aims": {"worth": AIM_OF_WORTH, "worth_labels": AIM_LABELS, "efficiency": AIM_OF_EFFICIENCY},
    }


def choose(validation_auc: NDArray[np.float64]) -> Choice:
    """The protocol with the highest mean validation AUC over the replicates that have one of every protocol.

    Args:
        validation_auc: [protocol, replicate]; NaN = undefined. A protocol without any is left out.
    """
    known = ~np.isnan(validation_auc)
    there = known.any(axis=1)
    shared = known[there].all(axis=0) & there.any()
    mean = np.full(len(validation_auc), np.nan)
    if shared.any():
        mean[there] = validation_auc[there][:, shared].mean(axis=1)
    protocol = None if np.isnan(mean).all() else int(np.nanargmax(mean))
    return Choice(protocol, mean, int(shared.sum()))


def _refuse_search(study: Study) -> None:
    if study.seed != CONFIRMATION:
        raise ValueError(
            f"{study.stem}: seed {study.seed} is not that of a confirmation ({CONFIRMATION}); "
            "no other round is read by subgroup"
        )


def _measured(study: Study, cube: xr.Dataset) -> Measured:
    measures = measure(cube, **study.evaluation.decisions())
    subgroups = subgroups_of(measures)
    z = per_replicate(measures, "z").sel(subgroup=subgroups)
    score, status = cube["selection_score"].transpose(..., "draw", "selection"), cube["status"]
    aucs = auc(score.values, cube["selection_label"].values[..., None, :])
    validation = xr.Dataset({"status": status, "auc": (score.dims[:-1], aucs)})
    budgets = [int(study.with_levels({"labels": level}).finetuning.labels) for level in study.levels("labels")]
    increasing = sorted(range(len(budgets)), key=budgets.__getitem__)
    dims = (SETTING, "labels", "protocol", "replicate")

    def ordered(values: xr.DataArray, *more: str) -> NDArray[np.float64]:
        values = values if "protocol" in values.dims else values.expand_dims("protocol")
        return values.transpose(*dims, *more).isel(labels=increasing).values

    protocols = _protocols_of(study)
    return Measured(
        settings=tuple(str(level.label) for level in study.levels(SETTING)),
        budgets=tuple(budgets[i] for i in increasing),
        protocols=tuple(protocols),
        probes=tuple(kind == PROBE for kind in protocols.values()),
        subgroups=tuple(subgroups),
        z=ordered(z, "subgroup"),
        validation_auc=ordered(per_replicate(validation, "auc")),
    )


def _protocols_of(study: Study) -> dict[str, str]:
    """Name of every protocol of a round -> its kind."""
    if "protocol" not in study.factors:
        kind = study.finetuning.protocol.kind
        return {kind: kind}
    levels = study.levels("protocol")
    return {str(level.label): study.with_levels({"protocol": level}).finetuning.protocol.kind for level in levels}


def _chosen(z: NDArray[np.float64], choices: Sequence[Sequence[Choice]]) -> NDArray[np.float64]:
    """z of the chosen protocols: [setting, budget, replicate, subgroup]."""
    chosen = np.full((*z.shape[:2], *z.shape[3:]), np.nan)
    for i, by_budget in enumerate(choices):
        for j, choice in enumerate(by_budget):
            if choice.protocol is not None:
                chosen[i, j] = z[i, j, choice.protocol]
    return chosen


def _labels_used(study: Study, budgets: Sequence[int]) -> dict[str, Any]:
    split = study.evaluation.split
    return {
        "calibration": study.evaluation.calibration,
        "most_validation": study.evaluation.selection,
        "budgets": [dict(zip(("labels", "train", "validation"), (n, *split(n)), strict=True)) for n in budgets],
    }


def _quality(measured: Measured) -> list[dict[str, Any]]:
    """Mean over subgroups of z under a linear probe, of every setting but scratch, against the pilot."""
    rows = []
    for i, setting in enumerate(measured.settings):
        for k, protocol in enumerate(measured.protocols):
            if setting == SCRATCH or not measured.probes[k]:
                continue
            for j, labels in enumerate(measured.budgets):
                mean = _mean(measured.z[i, j, k].mean(axis=-1))
                pilot = float(np.mean(_z(PILOT[labels]))) if labels in PILOT else np.nan
                reached = None if np.isnan([mean["value"], pilot]).any() else mean["value"] >= pilot
                row = {"setting": setting, "protocol": protocol, "labels": labels}
                rows.append(row | mean | {"pilot": pilot, "reached": reached})
    return rows


def _protocols(measured: Measured, choices: Sequence[Sequence[Choice]]) -> list[dict[str, Any]]:
    """Which protocol was chosen for each setting and budget, and by what."""
    return [
        {
            "setting": setting,
            "labels": labels,
            "chosen": _name(measured, choice),
            "validation_auc": dict(zip(measured.protocols, choice.mean, strict=True)),
            "n": choice.replicates,
            "without": measured.z.shape[3] - choice.replicates,
        }
        for setting, by_budget in zip(measured.settings, choices, strict=True)
        for labels, choice in zip(measured.budgets, by_budget, strict=True)
    ]


def _worth(measured: Measured, choices: Sequence[Sequence[Choice]], z: NDArray[np.float64]) -> list[dict[str, Any]]:
    """z of every setting minus z of scratch, paired by replicate."""
    scratch = measured.settings.index(SCRATCH)
    rows = []
    for i, j, g in _compared(measured):
        own, against = z[i, j, :, g], z[scratch, j, :, g]
        both = ~np.isnan(own - against)
        levels = {name: t_interval(side[both]) for name, side in (("z", own), ("z_of_scratch", against))}
        row = {"setting": measured.settings[i], "labels": measured.budgets[j], "subgroup": measured.subgroups[g]}
        row |= {"protocol": _name(measured, choices[i][j]), "of_scratch": _name(measured, choices[scratch][j])}
        row |= {name: {"mean": level.value, "se": level.se} for name, level in levels.items()}
        rows.append(row | _mean(own - against))
    return rows


def _efficiency(measured: Measured, z: NDArray[np.float64]) -> list[dict[str, Any]]:
    """How many times the labels scratch needs for the z of every setting and budget: 0 where its smallest budget is
    enough already, infinite where its largest one is not."""
    curve = z[measured.settings.index(SCRATCH)]
    rows = []
    for i, j, g in _compared(measured):
        labels = measured.budgets[j]
        above = curve[:, :, g].T - z[i, j, :, g, None]
        found = labels_needed(above, measured.budgets)
        row = {"setting": measured.settings[i], "labels": labels, "subgroup": measured.subgroups[g]}
        row |= {"value": found.value / labels, "low": found.low / labels, "high": found.high / labels}
        row |= {"smallest": measured.budgets[0] / labels, "largest": measured.budgets[-1] / labels}
        rows.append(row | {"n": np.count_nonzero(~np.isnan(above).any(axis=1))})
    return rows


def _compared(measured: Measured) -> list[tuple[int, int, int]]:
    """Positions of setting, budget and subgroup that are compared with scratch."""
    return [
        (i, j, g)
        for i, setting in enumerate(measured.settings)
        if setting != SCRATCH
        for j in range(len(measured.budgets))
        for g in range(len(measured.subgroups))
    ]


def _name(measured: Measured, choice: Choice) -> str | None:
    return None if choice.protocol is None else measured.protocols[choice.protocol]


def _mean(values: NDArray[np.float64]) -> dict[str, Any]:
    """Mean over replicates [replicate] with its 95 % t interval."""
    interval = t_interval(values)
    n = np.count_nonzero(~np.isnan(values))
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": n}


def _z(aucs: Sequence[float]) -> NDArray[np.float64]:
    return z_of_auc(aucs, n=2, n_positive=1)[0]  # counts of subjects would move an AUC of 0 or 1 only
