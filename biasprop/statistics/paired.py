"""Paired values of an estimand at one arm, one per replicate, before any interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics import contrasts
from biasprop.statistics.estimand import KINDS, Estimand, Level
from biasprop.statistics.intervals import Interval, fieller_interval, median_interval, t_interval
from biasprop.statistics.measures import per_replicate
from biasprop.statistics.tests import ALPHA, difference_p, equivalence_p, ratio_equivalence_p
from biasprop.status import LACKS

T = TypeVar("T")


@dataclass(frozen=True)
class Paired:
    """Paired differences of one arm, or numerators and denominators of a ratio (retention, exchange rate)."""

    estimand: Estimand
    arm: dict[str, Level]
    values: NDArray[np.float64]
    """[replicate], or [replicate, budget] for a halving budget."""
    denominator: NDArray[np.float64] | None
    budgets: tuple[float, ...]
    reason: str

    def interval(self, level: float) -> Interval:
        """Return the interval at a confidence level: Fieller's for a ratio of means, that of the median for ratios that
        may be infinite, else Student's t."""
        if self.estimand.kind == "label_efficiency":
            return median_interval(self.values, level)
        if self.denominator is not None:
            return fieller_interval(self.values, self.denominator, level)
        return t_interval(self.values, level)

    def tests(self) -> tuple[float, float]:
        """Return p of the difference and of the equivalence test; NaN for a ratio that is not defined."""
        if self.denominator is None:
            return float(difference_p(self.values)), float(equivalence_p(self.values, self.estimand.margin))
        if np.isnan(self.interval(1 - ALPHA).value):
            return np.nan, np.nan
        inside = ratio_equivalence_p(self.values, self.denominator, self.estimand.margin)
        return float(difference_p(self.values)), float(inside)


def paired(measures: xr.Dataset, estimand: Estimand) -> list[Paired]:
    """Return an estimand's paired values at every arm it asks for, in the order of the cube's levels.

    Args:
        measures: from ``measure``.
        estimand: where it names a level or factor that the measures lack, values are NaN and the reason says so.

    Returns:
        One entry for each combination of the levels of its free factors. A reference, the largest budget of an
        amplification and the denominator of a retention are left out, because compared with themselves they are 0 or 1
        by definition. Mixes of an exchange rate are left out too, because it is one number for all of them.
    """
    factors = [str(name) for name in measures["status"].dims if name not in ("replicate", "draw")]
    free = estimand.free(factors)
    levels = [[v for v in measures[name].values.tolist() if _varies(measures, estimand, name, v)] for name in free]
    values = per_replicate(measures, estimand.scale)
    if KINDS[estimand.kind].of_gaps:
        values = contrasts.gap(values, estimand.subgroups)
    else:
        values = values.sel(subgroup=estimand.subgroups[1], drop=True)
    arms = [dict(zip(free, chosen, strict=True)) for chosen in product(*levels)]
    contrasts_of_arms = [_paired(measures, values, estimand, arm) for arm in arms]
    if not estimand.denominator:
        return contrasts_of_arms
    return [contrast for contrast in contrasts_of_arms if not estimand.denominator.items() <= contrast.arm.items()]


def _varies(measures: xr.Dataset, estimand: Estimand, factor: str, level: Level) -> bool:
    if estimand.kind == "amplification" and factor == estimand.budget:
        return level != _largest(measures, factor)
    return not (factor == estimand.factor and level == estimand.reference)


def _largest(measures: xr.Dataset, budget: str | None) -> Level:
    return max(measures[budget].values.tolist())


class _Asked(NamedTuple):
    """An estimand, one arm, and the measures it is computed from."""

    measures: xr.Dataset
    z: xr.DataArray
    """[replicate, factors] gaps, or the level of B for kinds that are not functions of gaps."""
    estimand: Estimand
    arm: dict[str, Level]

    def without(self, name: str) -> dict[str, Level]:
        """Return the arm without one of its factors."""
        return {factor: level for factor, level in self.arm.items() if factor != name}

    def levels(self, name: str) -> list[Level]:
        """Return the levels of a factor."""
        return self.measures[name].values.tolist()

    def at_largest_budget(self) -> dict[str, Level]:
        """Return the arm at the largest budget."""
        return self.arm | {_required(self.estimand.budget): _largest(self.measures, self.estimand.budget)}

    def beta(self) -> xr.DataArray:
        """Return the swap contrasts of all arms."""
        return contrasts.swap_contrast(self.z, _required(self.estimand.factor), _required(self.estimand.skewed))


class _Found(NamedTuple):
    """Values of each replicate, see :class:`Paired`, and why they are missing."""

    values: xr.DataArray | NDArray[np.float64]
    denominator: xr.DataArray | NDArray[np.float64] | None = None
    budgets: tuple[float, ...] = ()
    why: str = ""


Places = list[dict[str, Level]]


def _required(field: T | None) -> T:
    """Narrow the type of a field that the estimand's validator requires."""
    assert field is not None
    return field


def _paired(measures: xr.Dataset, z: xr.DataArray, estimand: Estimand, chosen: dict[str, Level]) -> Paired:
    at = {name: level for name, level in estimand.at.items() if name in z.dims} | chosen
    arm = {str(name): at[str(name)] for name in z.dims if name in at}  # in the study's order
    asked, (needed, values) = _Asked(measures, z, estimand, arm), VALUES[estimand.kind]
    named = {*estimand.at, *(estimand.denominator or ()), estimand.factor, estimand.budget} - {None}
    absent = sorted(str(name) for name in named if name not in z.dims)
    places = [] if absent else needed(asked)
    wanted = dict.fromkeys(item for place in places for item in place.items())
    absent += [f"{name} = {level}" for name, level in wanted if level not in z[name].values.tolist()]
    if absent:
        nothing = np.full(z.sizes["replicate"], np.nan)
        return Paired(estimand, arm, nothing, None, (), f"not in the store: {', '.join(absent)}")
    found = values(asked)
    reason = "; ".join(part for part in (_left_out(measures, z, places), found.why) if part)
    below = None if found.denominator is None else np.asarray(found.denominator)
    return Paired(estimand, arm, np.asarray(found.values), below, found.budgets, reason)


# --- the arms that each kind needs, and its values -------------------------------------------------------------------


def _alone(asked: _Asked) -> Places:
    return [asked.arm]


def _gap(asked: _Asked) -> _Found:
    return _Found(asked.z.sel(asked.arm))


def _with_reference(asked: _Asked) -> Places:
    return [asked.arm, asked.arm | {_required(asked.estimand.factor): _required(asked.estimand.reference)}]


def _excess_gap(asked: _Asked) -> _Found:
    factor = _required(asked.estimand.factor)
    excess = contrasts.excess_gap(asked.z.sel(asked.without(factor)), factor, asked.estimand.reference)
    return _Found(excess.sel({factor: asked.arm[factor]}))


def _skewed(asked: _Asked, *arms: dict[str, Level]) -> Places:
    factor = _required(asked.estimand.factor)
    return [arm | {factor: mix} for arm in arms or (asked.arm,) for mix in _required(asked.estimand.skewed)]


def _swap_contrast(asked: _Asked) -> _Found:
    return _Found(asked.beta().sel(asked.arm))


def _common_gap(asked: _Asked) -> _Found:
    common = contrasts.common_gap(asked.z, _required(asked.estimand.factor), _required(asked.estimand.skewed))
    return _Found(common.sel(asked.arm))


def _with_denominator(asked: _Asked) -> Places:
    return _skewed(asked, asked.arm, asked.arm | _required(asked.estimand.denominator))


def _retention(asked: _Asked) -> _Found:
    beta = asked.beta()
    below = beta.sel(asked.arm | _required(asked.estimand.denominator))
    above = beta.sel(asked.arm).where(below.notnull())
    return _Found(above, below.where(above.notnull()))


def _over_budgets(asked: _Asked) -> Places:
    budget = _required(asked.estimand.budget)
    return _skewed(asked, *(asked.arm | {budget: level} for level in asked.levels(budget)))


def _halving_budget(asked: _Asked) -> _Found:
    budget = _required(asked.estimand.budget)
    curve = asked.beta().sel(asked.arm).transpose("replicate", budget)
    return _Found(curve, budgets=tuple(float(level) for level in curve[budget].values))


def _with_most(asked: _Asked) -> Places:
    return _skewed(asked, asked.arm, asked.at_largest_budget())


def _amplification(asked: _Asked) -> _Found:
    beta = asked.beta()
    return _Found(beta.sel(asked.arm).values - beta.sel(asked.at_largest_budget()).values)


def _with_curve(asked: _Asked) -> Places:
    budget = _required(asked.estimand.budget)
    _, reference = _with_reference(asked)
    return [asked.arm, *(reference | {budget: level} for level in asked.levels(budget))]


def _label_efficiency(asked: _Asked) -> _Found:
    budget, (_, reference) = _required(asked.estimand.budget), _with_reference(asked)
    elsewhere = {name: level for name, level in reference.items() if name != budget}
    curve = asked.z.sel(elsewhere).transpose("replicate", budget).sortby(budget)
    labels, z = float(asked.arm[budget]), asked.z.sel(asked.arm).values
    return _Found(contrasts.label_efficiency(z, labels, curve.values, curve[budget].values))


def _surface(asked: _Asked) -> Places:
    factor, budget = _required(asked.estimand.factor), _required(asked.estimand.budget)
    mixes = _mixes(asked.measures, asked.estimand)
    return [asked.arm | {factor: mix, budget: level} for mix in mixes for level in asked.levels(budget)]


def _exchange_rate(asked: _Asked) -> _Found:
    """Return what one pretraining image of B in the place of one of A adds to z, and what one label of B adds."""
    measures, z, estimand, arm = asked
    factor, budget, subgroup = _required(estimand.factor), _required(estimand.budget), estimand.subgroups[1]
    missing = np.full(z.sizes["replicate"], np.nan)
    mixes = _mixes(measures, estimand)
    if len(mixes) < 2 or z.sizes[budget] < 2:
        why = (
            f"needs two mixes of {' and '.join(estimand.subgroups)} along {factor}, with known shares, and two budgets"
        )
        return _Found(missing, missing, why=why)
    share = measures["share"].sel({factor: mixes, "subgroup": subgroup}).values
    sizes = measures["cohort_size"].sel({factor: mixes}).values
    if not (sizes == sizes[0]).all():
        why = "the mixes differ in more than their shares: their cohorts differ in size"
        return _Found(missing, missing, why=why)
    labelled = measures["label_share"].sel(subgroup=subgroup)
    labelled = labelled.sel({name: arm[str(name)] for name in labelled.dims if name in arm}).values
    if labelled.ndim or not labelled > 0:
        return _Found(
            missing, missing, why=f"the share of {subgroup} among the labelled subjects has to be one number above 0"
        )
    surface = z.sel(asked.without(budget) | {factor: mixes}).transpose("replicate", factor, budget)
    by_share, by_log = contrasts.learning_surface(surface.values, share, z[budget].values)
    labels = float(labelled) * float(arm[budget])
    return _Found(by_share / sizes[0], by_log / labels)


def _mixes(measures: xr.Dataset, estimand: Estimand) -> list[Level]:
    """Return the levels of its factor whose pretraining cohort consists of A and B only."""
    levels = measures[estimand.factor].values.tolist()
    if "share" not in measures.coords or estimand.factor not in measures["share"].dims:
        return []
    both = measures["share"].sel(subgroup=list(estimand.subgroups)).sum("subgroup", skipna=False)
    return [level for level in levels if abs(float(both.sel({estimand.factor: level})) - 1) < 1e-6]


VALUES: dict[str, tuple[Callable[[_Asked], Places], Callable[[_Asked], _Found]]] = {
    "gap": (_alone, _gap),
    "excess_gap": (_with_reference, _excess_gap),
    "swap_contrast": (_skewed, _swap_contrast),
    "common_gap": (_skewed, _common_gap),
    "retention": (_with_denominator, _retention),
    "halving_budget": (_over_budgets, _halving_budget),
    "amplification": (_with_most, _amplification),
    "exchange_rate": (_surface, _exchange_rate),
    "label_efficiency": (_with_curve, _label_efficiency),
}
"""Kind -> the arms it needs, and its values."""


def _left_out(measures: xr.Dataset, gaps: xr.DataArray, needed: list[dict[str, Level]]) -> str:
    """Say how many replicates lack a value, and why; empty if none does."""
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
