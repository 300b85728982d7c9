"""An estimand at one arm: what each replicate says, before any interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics import contrasts
from biasprop.statistics.estimand import KINDS, Estimand, Level
from biasprop.statistics.intervals import Interval, fieller_interval, median_interval, t_interval
from biasprop.statistics.measures import per_replicate
from biasprop.statistics.tests import ALPHA, difference_p, equivalence_p, ratio_equivalence_p
from biasprop.status import LACKS


@dataclass(frozen=True)
class Paired:
    """The paired differences of one arm, or, for a retention and an exchange rate, numerators and denominators."""

    estimand: Estimand
    arm: dict[str, Level]
    values: NDArray[np.float64]
    """[replicate], or [replicate, budget] for a halving budget."""
    denominator: NDArray[np.float64] | None
    budgets: tuple[float, ...]
    reason: str

    def interval(self, level: float) -> Interval:
        """The interval at a confidence level: Fieller's for a ratio of means, that of the median for ratios that may be
        without end, else Student's t."""
        if self.estimand.kind == "label_efficiency":
            return median_interval(self.values, level)
        if self.denominator is not None:
            return fieller_interval(self.values, self.denominator, level)
        return t_interval(self.values, level)

    def tests(self) -> tuple[float, float]:
        """p of the difference and of the equivalence test; a ratio that is not defined has no test."""
        if self.denominator is None:
            return float(difference_p(self.values)), float(equivalence_p(self.values, self.estimand.margin))
        if np.isnan(self.interval(1 - ALPHA).value):
            return np.nan, np.nan
        inside = ratio_equivalence_p(self.values, self.denominator, self.estimand.margin)
        return float(difference_p(self.values)), float(inside)


def paired(measures: xr.Dataset, estimand: Estimand) -> list[Paired]:
    """An estimand's paired values at every arm it asks for, in the order of the cube's levels.

    Args:
        measures: from ``measure``.
        estimand: a level or factor of it that the measures lack gives NaN and the reason.

    Returns:
        One for each combination of the levels of its free factors. A reference, the largest budget of an amplification
        and the denominator of a retention are left out: compared with themselves they are 0 and 1 by definition. So are
        mixes of an exchange rate: it is one number for all of them.
    """
    factors = [str(name) for name in measures["status"].dims if name not in ("replicate", "draw")]
    free = estimand.free(factors)
    levels = [[v for v in measures[name].values.tolist() if _varies(measures, estimand, name, v)] for name in free]
    values = per_replicate(measures, estimand.scale)
    if KINDS[estimand.kind].of_gaps:
        values = contrasts.gap(values, estimand.subgroups)
    else:
        values = values.sel(subgroup=estimand.subgroups[1], drop=True)
    every = [_paired(measures, values, estimand, dict(zip(free, each, strict=True))) for each in product(*levels)]
    if not estimand.denominator:
        return every
    return [each for each in every if not estimand.denominator.items() <= each.arm.items()]


def _varies(measures: xr.Dataset, estimand: Estimand, factor: str, level: Level) -> bool:
    if estimand.kind == "amplification" and factor == estimand.budget:
        return level != _largest(measures, factor)
    return not (factor == estimand.factor and level == estimand.reference)


def _largest(measures: xr.Dataset, budget: str | None) -> Level:
    return max(measures[budget].values.tolist())


def _paired(measures: xr.Dataset, gaps: xr.DataArray, estimand: Estimand, chosen: dict[str, Level]) -> Paired:
    """``gaps`` holds z of B alone where the kind is of no gap."""
    at = {name: level for name, level in estimand.at.items() if name in gaps.dims} | chosen
    arm = {str(name): at[str(name)] for name in gaps.dims if name in at}  # in the study's order
    nothing = Paired(estimand, arm, np.full(gaps.sizes["replicate"], np.nan), None, (), "")
    named = {*estimand.at, *(estimand.denominator or ()), estimand.factor, estimand.budget} - {None}
    absent = sorted(str(name) for name in named if name not in gaps.dims)
    needed = [] if absent else _needed(measures, estimand, arm)
    wanted = dict.fromkeys(item for place in needed for item in place.items())
    absent += [f"{name} = {level}" for name, level in wanted if level not in gaps[name].values.tolist()]
    if absent:
        return replace(nothing, reason=f"not in the store: {', '.join(absent)}")
    kind, factor, skewed = estimand.kind, estimand.factor, estimand.skewed
    reason = _left_out(measures, gaps, needed)
    if kind == "gap":
        return replace(nothing, values=gaps.sel(arm).values, reason=reason)
    assert factor is not None  # the estimand's validator saw to it
    if kind == "label_efficiency":
        return replace(nothing, values=_label_efficiency(gaps, estimand, arm), reason=reason)
    if kind == "exchange_rate":
        above, below, why = _exchanged(measures, gaps, estimand, arm)
        reason = "; ".join(part for part in (reason, why) if part)
        return replace(nothing, values=above, denominator=below, reason=reason)
    if kind == "excess_gap":
        elsewhere = {name: level for name, level in arm.items() if name != factor}
        excess = contrasts.excess_gap(gaps.sel(elsewhere), factor, estimand.reference)
        return replace(nothing, values=excess.sel({factor: arm[factor]}).values, reason=reason)
    assert skewed is not None
    if kind == "common_gap":
        return replace(nothing, values=contrasts.common_gap(gaps, factor, skewed).sel(arm).values, reason=reason)
    beta = contrasts.swap_contrast(gaps, factor, skewed)
    if kind == "swap_contrast":
        return replace(nothing, values=beta.sel(arm).values, reason=reason)
    if kind == "amplification":
        assert estimand.budget is not None
        most = beta.sel(arm | {estimand.budget: _largest(measures, estimand.budget)})
        return replace(nothing, values=beta.sel(arm).values - most.values, reason=reason)
    if kind == "retention":
        below = beta.sel(arm | (estimand.denominator or {}))
        above = beta.sel(arm).where(below.notnull())
        return replace(nothing, values=above.values, denominator=below.where(above.notnull()).values, reason=reason)
    curve = beta.sel(arm).transpose("replicate", estimand.budget)
    budgets = tuple(float(level) for level in measures[estimand.budget].values)
    return replace(nothing, values=curve.values, budgets=budgets, reason=reason)


def _label_efficiency(z: xr.DataArray, estimand: Estimand, arm: dict[str, Level]) -> NDArray[np.float64]:
    budget, factor = estimand.budget, estimand.factor
    assert budget is not None and factor is not None
    elsewhere = {name: level for name, level in arm.items() if name != budget} | {factor: estimand.reference}
    curve = z.sel(elsewhere).transpose("replicate", budget).sortby(budget)
    return contrasts.label_efficiency(z.sel(arm).values, float(arm[budget]), curve.values, curve[budget].values)


def _exchanged(
    measures: xr.Dataset, z: xr.DataArray, estimand: Estimand, arm: dict[str, Level]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """What one pretraining image of B in the place of one of A adds to z, what one label of B adds, and why not."""
    factor, budget, subgroup = estimand.factor, estimand.budget, estimand.subgroups[1]
    assert factor is not None and budget is not None
    missing = np.full(z.sizes["replicate"], np.nan)
    mixes = _mixes(measures, estimand)
    if len(mixes) < 2 or z.sizes[budget] < 2:
        return missing, missing, f"a surface needs two mixes of known shares along {factor} and two budgets"
    share = measures["share"].sel({factor: mixes, "subgroup": subgroup}).values
    sizes = measures["cohort_size"].sel({factor: mixes}).values
    if not (sizes == sizes[0]).all():
        return missing, missing, "the mixes differ in more than their shares: their cohorts are not equally large"
    labelled = measures["label_share"].sel(subgroup=subgroup)
    labelled = labelled.sel({name: arm[str(name)] for name in labelled.dims if name in arm}).values
    if labelled.ndim or not labelled > 0:
        return missing, missing, f"how many labels are of {subgroup} is not one number above 0"
    elsewhere = {name: level for name, level in arm.items() if name != budget} | {factor: mixes}
    surface = z.sel(elsewhere).transpose("replicate", factor, budget)
    by_share, by_log = contrasts.learning_surface(surface.values, share, z[budget].values)
    labels = float(labelled) * float(arm[budget])
    return by_share / sizes[0], by_log / labels, ""


def _mixes(measures: xr.Dataset, estimand: Estimand) -> list[Level]:
    """Levels of its factor whose pretraining cohort holds nobody but A and B."""
    levels = measures[estimand.factor].values.tolist()
    if "share" not in measures.coords or estimand.factor not in measures["share"].dims:
        return []
    both = measures["share"].sel(subgroup=list(estimand.subgroups)).sum("subgroup", skipna=False)
    return [level for level in levels if abs(float(both.sel({estimand.factor: level})) - 1) < 1e-6]


def _needed(measures: xr.Dataset, estimand: Estimand, arm: dict[str, Level]) -> list[dict[str, Level]]:
    """The arms a contrast is made of."""
    places = [arm]
    if estimand.kind == "exchange_rate" and estimand.factor:
        places = [arm | {estimand.factor: mix} for mix in _mixes(measures, estimand)]
    if estimand.factor and estimand.reference is not None:
        there = arm | {estimand.factor: estimand.reference}
        if estimand.kind == "label_efficiency" and estimand.budget:
            places += [there | {estimand.budget: v} for v in measures[estimand.budget].values.tolist()]
        else:
            places.append(there)
    if estimand.denominator:
        places.append(arm | estimand.denominator)
    if estimand.budget and estimand.kind == "amplification":
        places.append(arm | {estimand.budget: _largest(measures, estimand.budget)})
    elif estimand.budget and estimand.kind != "label_efficiency":
        places = [p | {estimand.budget: v} for p in places for v in measures[estimand.budget].values.tolist()]
    if estimand.skewed and estimand.factor:
        places = [p | {estimand.factor: level} for p in places for level in estimand.skewed]
    return places


def _left_out(measures: xr.Dataset, gaps: xr.DataArray, needed: list[dict[str, Level]]) -> str:
    """Which replicates lack a value, and why; empty if none does."""
    lacks: dict[int, str] = {}
    for place in needed:
        here, status = gaps.sel(place).values, measures["status"].sel(place).values
        for replicate in np.flatnonzero(np.isnan(here)):
            codes = [why for code, why in LACKS.items() if (status[replicate] == code).any()]
            lacks.setdefault(int(replicate), codes[-1] if codes else "undefined")
    if not lacks:
        return ""
    why = ", ".join(f"{count} {name}" for name, count in sorted(Counter(lacks.values()).items()))
    return f"{len(lacks)} of {gaps.sizes['replicate']} replicates left out: {why}"
