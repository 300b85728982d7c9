"""Values of an estimand at one arm, one per replicate: the data that intervals and tests are computed from."""

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
    """Values of an estimand at one arm: differences within replicates, or numerators and denominators of a ratio.

    Only retention and exchange rate have a denominator.
    """

    estimand: Estimand
    arm: dict[str, Level]
    """Factor -> level."""
    values: NDArray[np.float64]
    """[replicate], or [replicate, budget] swap contrasts for a halving budget; numerators if there is a denominator."""
    denominator: NDArray[np.float64] | None
    """[replicate]"""
    budgets: tuple[float, ...]
    """Label budgets of ``values``, for a halving budget."""
    reason: str
    """Why values are missing; empty if none is."""

    def interval(self, level: float) -> Interval:
        """Return the interval at a confidence level: Fieller's for a ratio of means, that of the median for a label
        efficiency, which may be infinite, else Student's t."""
        if self.estimand.kind == "label_efficiency":
            return median_interval(self.values, level)
        if self.denominator is not None:
            return fieller_interval(self.values, self.denominator, level)
        return t_interval(self.values, level)

    def tests(self) -> tuple[float, float]:
        """Return p of the test against 0 and of the equivalence test; NaN for a ratio that is not defined."""
        if self.denominator is None:
            return float(difference_p(self.values)), float(equivalence_p(self.values, self.estimand.margin))
        if np.isnan(self.interval(1 - ALPHA).value):
            return np.nan, np.nan
        inside = ratio_equivalence_p(self.values, self.denominator, self.estimand.margin)
        return float(difference_p(self.values)), float(inside)


def paired(measures: xr.Dataset, estimand: Estimand) -> list[Paired]:
    """Return an estimand's values at every arm that it covers, in the order of the cube's levels.

    Args:
        measures: from ``statistics.measures.measure``.
        estimand: if it names a level or factor that the measures lack, values are NaN and the reason says so.

    Returns:
        One entry for each combination of the levels of its free factors. A reference, the largest budget of an
        amplification and the denominator of a retention are left out, because compared with themselves they are 0 or 1
        by definition. Mixes of an exchange rate are left out too, because it is one number for all of them.
    """
    factors = [str(name) for name in measures["status"].dims if name not in ("replicate", "draw")]
    free = estimand.free(factors)
    levels = [[v for v in measures[name].values.tolist() if _is_compared(measures, estimand, name, v)] for name in free]
    values = per_replicate(measures, estimand.scale)
    if estimand.versus is not None:
        values = contrasts.interaction(values, estimand.subgroups, estimand.versus)
    elif KINDS[estimand.kind].of_gaps:
        values = contrasts.gap(values, estimand.subgroups)
    else:
        values = values.sel(subgroup=estimand.subgroups[1], drop=True)
    arms = [dict(zip(free, chosen, strict=True)) for chosen in product(*levels)]
    paired_arms = [_paired(measures, values, estimand, arm) for arm in arms]
    if not estimand.denominator:
        return paired_arms
    return [entry for entry in paired_arms if not estimand.denominator.items() <= entry.arm.items()]


def _is_compared(measures: xr.Dataset, estimand: Estimand, factor: str, level: Level) -> bool:
    """Whether a level gives an estimate: not if it would be compared with itself."""
    if estimand.kind == "amplification" and factor == estimand.budget:
        return level != _largest(measures, factor)
    return not (factor == estimand.factor and level == estimand.reference)


def _largest(measures: xr.Dataset, budget: str | None) -> Level:
    return max(measures[budget].values.tolist())


class _Inputs(NamedTuple):
    """An estimand, one arm, and the measures it is computed from."""

    measures: xr.Dataset
    z: xr.DataArray
    """[replicate, factors], on the estimand's scale: gaps, or the values of B for kinds that are not made of gaps."""
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

    def swap_contrasts(self) -> xr.DataArray:
        """Return the swap contrasts of all arms."""
        return contrasts.swap_contrast(self.z, _required(self.estimand.factor), _required(self.estimand.skewed))


class _Values(NamedTuple):
    """Values of each replicate, with the fields of :class:`Paired`, and why they are missing."""

    values: xr.DataArray | NDArray[np.float64]
    denominator: xr.DataArray | NDArray[np.float64] | None = None
    budgets: tuple[float, ...] = ()
    why: str = ""


Arms = list[dict[str, Level]]
"""Arms as factor -> level."""


def _required(field: T | None) -> T:
    """Narrow the type of an optional field, which the estimand's validator has found set."""
    assert field is not None
    return field


def _paired(measures: xr.Dataset, z: xr.DataArray, estimand: Estimand, chosen: dict[str, Level]) -> Paired:
    at = {name: level for name, level in estimand.at.items() if name in z.dims} | chosen
    arm = {str(name): at[str(name)] for name in z.dims if name in at}  # in the study's order
    inputs, (needed_arms, values_of) = _Inputs(measures, z, estimand, arm), VALUES[estimand.kind]
    named = {*estimand.at, *(estimand.denominator or ()), estimand.factor, estimand.budget} - {None}
    absent = sorted(str(name) for name in named if name not in z.dims)
    arms = [] if absent else needed_arms(inputs)
    levels = dict.fromkeys(item for needed_arm in arms for item in needed_arm.items())
    absent += [f"{name} = {level}" for name, level in levels if level not in z[name].values.tolist()]
    if absent:
        missing = np.full(z.sizes["replicate"], np.nan)
        return Paired(estimand, arm, missing, None, (), f"not in the store: {', '.join(absent)}")
    found = values_of(inputs)
    reason = "; ".join(part for part in (_left_out(measures, z, arms), found.why) if part)
    denominator = None if found.denominator is None else np.asarray(found.denominator)
    return Paired(estimand, arm, np.asarray(found.values), denominator, found.budgets, reason)


# --- for each kind of estimand: the arms that it needs, and its values -----------------------------------------------


def _arm_only(inputs: _Inputs) -> Arms:
    return [inputs.arm]


def _gap(inputs: _Inputs) -> _Values:
    return _Values(inputs.z.sel(inputs.arm))


def _arm_and_reference(inputs: _Inputs) -> Arms:
    return [inputs.arm, inputs.arm | {_required(inputs.estimand.factor): _required(inputs.estimand.reference)}]


def _excess_gap(inputs: _Inputs) -> _Values:
    factor = _required(inputs.estimand.factor)
    excess = contrasts.excess_gap(inputs.z.sel(inputs.without(factor)), factor, inputs.estimand.reference)
    return _Values(excess.sel({factor: inputs.arm[factor]}))


def _skewed_arms(inputs: _Inputs, *arms: dict[str, Level]) -> Arms:
    factor = _required(inputs.estimand.factor)
    return [arm | {factor: mix} for arm in arms or (inputs.arm,) for mix in _required(inputs.estimand.skewed)]


def _swap_contrast(inputs: _Inputs) -> _Values:
    return _Values(inputs.swap_contrasts().sel(inputs.arm))


def _common_gap(inputs: _Inputs) -> _Values:
    common = contrasts.common_gap(inputs.z, _required(inputs.estimand.factor), _required(inputs.estimand.skewed))
    return _Values(common.sel(inputs.arm))


def _arm_and_denominator(inputs: _Inputs) -> Arms:
    return _skewed_arms(inputs, inputs.arm, inputs.arm | _required(inputs.estimand.denominator))


def _retention(inputs: _Inputs) -> _Values:
    beta = inputs.swap_contrasts()
    denominator = beta.sel(inputs.arm | _required(inputs.estimand.denominator))
    numerator = beta.sel(inputs.arm).where(denominator.notnull())
    return _Values(numerator, denominator.where(numerator.notnull()))


def _all_budgets(inputs: _Inputs) -> Arms:
    budget = _required(inputs.estimand.budget)
    return _skewed_arms(inputs, *(inputs.arm | {budget: level} for level in inputs.levels(budget)))


def _halving_budget(inputs: _Inputs) -> _Values:
    budget = _required(inputs.estimand.budget)
    curve = inputs.swap_contrasts().sel(inputs.arm).transpose("replicate", budget)
    return _Values(curve, budgets=tuple(float(level) for level in curve[budget].values))


def _arm_and_largest_budget(inputs: _Inputs) -> Arms:
    return _skewed_arms(inputs, inputs.arm, inputs.at_largest_budget())


def _amplification(inputs: _Inputs) -> _Values:
    beta = inputs.swap_contrasts()
    return _Values(beta.sel(inputs.arm).values - beta.sel(inputs.at_largest_budget()).values)


def _arm_and_reference_curve(inputs: _Inputs) -> Arms:
    budget = _required(inputs.estimand.budget)
    _, reference = _arm_and_reference(inputs)
    return [inputs.arm, *(reference | {budget: level} for level in inputs.levels(budget))]


def _label_efficiency(inputs: _Inputs) -> _Values:
    budget, (_, reference) = _required(inputs.estimand.budget), _arm_and_reference(inputs)
    at_reference = {name: level for name, level in reference.items() if name != budget}
    curve = inputs.z.sel(at_reference).transpose("replicate", budget).sortby(budget)
    labels, z = float(inputs.arm[budget]), inputs.z.sel(inputs.arm).values
    return _Values(contrasts.label_efficiency(z, labels, curve.values, curve[budget].values))


def _all_mixes_and_budgets(inputs: _Inputs) -> Arms:
    factor, budget = _required(inputs.estimand.factor), _required(inputs.estimand.budget)
    mixes = _mixes(inputs.measures, inputs.estimand)
    return [inputs.arm | {factor: mix, budget: level} for mix in mixes for level in inputs.levels(budget)]


def _exchange_rate(inputs: _Inputs) -> _Values:
    """Return the change in z(AUC) of B per pretraining image of A replaced by one of B, and per added label of B."""
    measures, z, estimand, arm = inputs
    factor, budget, subgroup = _required(estimand.factor), _required(estimand.budget), estimand.subgroups[1]
    missing = np.full(z.sizes["replicate"], np.nan)
    mixes = _mixes(measures, estimand)
    if len(mixes) < 2 or z.sizes[budget] < 2:
        why = (
            f"needs two mixes of {' and '.join(estimand.subgroups)} along {factor}, with known shares, and two budgets"
        )
        return _Values(missing, missing, why=why)
    share = measures["share"].sel({factor: mixes, "subgroup": subgroup}).values
    sizes = measures["cohort_size"].sel({factor: mixes}).values
    if not (sizes == sizes[0]).all():
        why = "the pretraining mixes differ in cohort size as well as in shares"
        return _Values(missing, missing, why=why)
    labelled = measures["label_share"].sel(subgroup=subgroup)
    labelled = labelled.sel({name: arm[str(name)] for name in labelled.dims if name in arm}).values
    if labelled.ndim or not labelled > 0:
        return _Values(
            missing, missing, why=f"the share of {subgroup} among the labelled subjects has to be one number above 0"
        )
    surface = z.sel(inputs.without(budget) | {factor: mixes}).transpose("replicate", factor, budget)
    slope_of_share, slope_of_log_labels = contrasts.learning_surface(surface.values, share, z[budget].values)
    labels = float(labelled) * float(arm[budget])
    return _Values(slope_of_share / sizes[0], slope_of_log_labels / labels)


def _mixes(measures: xr.Dataset, estimand: Estimand) -> list[Level]:
    """Return the levels of the estimand's factor at which the pretraining cohort consists of A and B only."""
    levels = measures[estimand.factor].values.tolist()
    if "share" not in measures.coords or estimand.factor not in measures["share"].dims:
        return []
    both = measures["share"].sel(subgroup=list(estimand.subgroups)).sum("subgroup", skipna=False)
    return [level for level in levels if abs(float(both.sel({estimand.factor: level})) - 1) < 1e-6]


VALUES: dict[str, tuple[Callable[[_Inputs], Arms], Callable[[_Inputs], _Values]]] = {
    "gap": (_arm_only, _gap),
    "interaction": (_arm_only, _gap),
    "excess_gap": (_arm_and_reference, _excess_gap),
    "swap_contrast": (_skewed_arms, _swap_contrast),
    "common_gap": (_skewed_arms, _common_gap),
    "retention": (_arm_and_denominator, _retention),
    "halving_budget": (_all_budgets, _halving_budget),
    "amplification": (_arm_and_largest_budget, _amplification),
    "exchange_rate": (_all_mixes_and_budgets, _exchange_rate),
    "label_efficiency": (_arm_and_reference_curve, _label_efficiency),
}
"""Kind of estimand -> function that returns the arms it needs, and function that computes its values."""


def _left_out(measures: xr.Dataset, gaps: xr.DataArray, arms: Arms) -> str:
    """Say how many replicates lack a value, and why; empty if none does."""
    causes: dict[int, str] = {}  # replicate -> why it lacks a value
    for arm in arms:
        values, status = gaps.sel(arm).values, measures["status"].sel(arm).values
        for replicate in np.flatnonzero(np.isnan(values)):
            names = [name for code, name in LACKS.items() if (status[replicate] == code).any()]
            causes.setdefault(int(replicate), names[-1] if names else "undefined")
    if not causes:
        return ""
    why = ", ".join(f"{count} {cause}" for cause, count in sorted(Counter(causes.values()).items()))
    return f"{len(causes)} of {gaps.sizes['replicate']} replicates left out: {why}"
