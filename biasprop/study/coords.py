"""Coordinates of the cube beyond its dims: shares, cohort sizes, objectives and labels that levels of a factor set, and
the levers of sampled settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.population import rosters
from biasprop.population.shifts import score_noise
from biasprop.study.factors import EVALUATION_SHIFTS
from biasprop.study.location import Location
from biasprop.study.sample import coordinate

if TYPE_CHECKING:
    from biasprop.study.conditions import Conditions, Pretraining
    from biasprop.study.study import Study

Coord = tuple[tuple[str, ...], list[Any]]
"""Dims and values; the first dim may be a factor or ``replicate``."""

SKEW_MATCHED: Location = ("finetuning", "skew_matched")
"""The key that gives the labelled subjects the shares of the pretraining cohort."""


def coords(study: Study) -> dict[str, Coord]:
    """The coordinates that a study has, by name."""
    every = {name: make(study) for name, make in COORDS.items()}
    return {name: coord for name, coord in every.items() if coord is not None} | _settings(study)


def _settings(study: Study) -> dict[str, Coord]:
    """Values of the levers of a sample, [replicate]; see :mod:`biasprop.study.sample`."""
    found = study.settings()[: study.replicates]
    levers = study.sample.levers if study.sample else ()
    return {coordinate(name): (("replicate",), [setting.values[name] for setting in found]) for name in levers}


def _share(study: Study) -> Coord | None:
    """Shares of the subgroups in the pretraining cohort, [mix, subgroup]; NaN where no subjects are seen."""
    mix = _factor_of(study, ("pretraining", "shares"))
    if mix is None:
        return None
    shares = []
    for pretraining in _pretrainings(study, mix):
        cohort = pretraining.demographic_stage()
        mixed = cohort.shares if cohort else {}
        shares.append([mixed.get(subgroup, math.nan) for subgroup in study.subgroups])
    return (mix, "subgroup"), shares


def _cohort_size(study: Study) -> Coord | None:
    """Size of the pretraining cohort, [mix]; NaN if another factor sets it."""
    mix = _factor_of(study, ("pretraining", "shares"))
    if mix is None:
        return None
    elsewhere = set(_factors_of(study, ("pretraining", "cohort"))) - {mix}
    return (mix,), [math.nan if elsewhere else float(p.cohort) for p in _pretrainings(study, mix)]


def _label_share(study: Study) -> Coord:
    """Shares of the subgroups among the labelled subjects, [factor that sets them, subgroup] or [subgroup].

    NaN where they are those of the cohort, or where two factors set them.
    """
    factors = _factors_of(study, ("finetuning", "shares"), SKEW_MATCHED)
    unknown = [math.nan] * len(study.subgroups)
    if len(factors) > 1:
        return ("subgroup",), unknown
    shares = [
        unknown if f.skew_matched else [f.shares.get(name, 0.0) for name in study.subgroups]
        for f in (conditions.finetuning for conditions in _conditions(study, factors[0] if factors else None))
    ]
    return ((factors[0], "subgroup"), shares) if factors else (("subgroup",), shares[0])


def _objective(study: Study) -> Coord | None:
    """Kind of the pretraining objective, [factor that sets it, or else the mix]."""
    factor = _factor_of(study, ("pretraining", "objective")) or _factor_of(study, ("pretraining", "shares"))
    return None if factor is None else ((factor,), [p.objective.kind for p in _pretrainings(study, factor)])


def _judged_label(study: Study) -> Coord | None:
    """Labels that test twins are evaluated against, -1 where a twin does not count, if shifts make them differ.

    [factor that sets the shifts, subgroup, subject] or [subgroup, subject]; None stands for the true label, which the
    cube has as ``label``.
    """
    factor = _factor_of(study, EVALUATION_SHIFTS)
    recorded = [rosters.test_labels(c.evaluation, study.subgroups) for c in _conditions(study, factor)]
    if all(labels is None for labels in recorded):
        return None
    true = np.full((len(study.subgroups), study.evaluation.test), None)
    values = [(true if labels is None else labels).tolist() for labels in recorded]
    dims = ("subgroup", "subject")
    return (dims, values[0]) if factor is None else ((factor, *dims), values)


def _score_noise(study: Study) -> Coord | None:
    """Noise of the scores of each subgroup, in units of their sd within a class: [factor that sets it, subgroup] or
    [subgroup]; None if there is none."""
    factor = _factor_of(study, EVALUATION_SHIFTS)
    noise = [list(score_noise(c.evaluation.shifts, study.subgroups)) for c in _conditions(study, factor)]
    if not any(any(level) for level in noise):
        return None
    return (("subgroup",), noise[0]) if factor is None else ((factor, "subgroup"), noise)


def _noiseless(study: Study) -> Coord | None:
    """The level that differs in the noise of scores alone and has none: [factor that sets it].

    A level without noise names itself; one without such a twin has an empty name, or NaN. None without score noise at
    some levels.
    """
    factor = _factor_of(study, EVALUATION_SHIFTS)
    if factor is None or _score_noise(study) is None:
        return None
    levels, conditions = study.levels(factor), _conditions(study, factor)
    silent = [not any(score_noise(c.evaluation.shifts, study.subgroups)) for c in conditions]
    rest = [{**c.tables(), "evaluation": c.evaluation.of_subjects().model_dump(mode="json")} for c in conditions]
    missing = "" if isinstance(levels[0].label, str) else math.nan
    found = [
        level.label if silent[i] else next((levels[k].label for k in np.flatnonzero(silent) if rest[k] == own), missing)
        for i, (level, own) in enumerate(zip(levels, rest, strict=True))
    ]
    return (factor,), found


COORDS: dict[str, Callable[[Study], Coord | None]] = {
    "share": _share,
    "cohort_size": _cohort_size,
    "label_share": _label_share,
    "objective": _objective,
    "judged_label": _judged_label,
    "score_noise": _score_noise,
    "noiseless": _noiseless,
}
"""Name of a coordinate -> the function that makes it, which returns None where the study has no such coordinate."""


def _factors_of(study: Study, *keys: Location) -> list[str]:
    """The factors whose levels set one of these keys, or keys below them."""
    return [
        name for name in study.factors if any(key[:2] in keys for level in study.levels(name) for key in level.settings)
    ]


def _factor_of(study: Study, *keys: Location) -> str | None:
    return next(iter(_factors_of(study, *keys)), None)


def _conditions(study: Study, factor: str | None) -> list[Conditions]:
    """The base condition with each level of a factor, or as it is without a factor."""
    return [study.with_levels({factor: level}) for level in study.levels(factor)] if factor is not None else [study]


def _pretrainings(study: Study, factor: str) -> list[Pretraining]:
    return [conditions.pretraining for conditions in _conditions(study, factor)]
