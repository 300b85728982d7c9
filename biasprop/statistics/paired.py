"""Values of an estimand at one arm, one per replicate: the data that intervals are computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Arm, Estimand, Inputs, references
from biasprop.statistics.groups import subgroups_of
from biasprop.statistics.intervals import Interval, fieller_interval, t_interval
from biasprop.statistics.measures import per_replicate
from biasprop.status import LACKS


@dataclass(frozen=True)
class Paired:
    """Values of an estimand at one arm: differences within replicates, or numerators and denominators of a ratio.

    Only a retention has a denominator.
    """

    estimand: Estimand
    arm: Arm
    """Factor -> level."""
    subgroups: tuple[str, ...]
    """A and B, or the one subgroup it is of, or all that it compares."""
    values: NDArray[np.float64]
    """[replicate], or [replicate, budget] of a curve, or [replicate, subgroup] of several subgroups; numerators if
    there is a denominator."""
    denominator: NDArray[np.float64] | None
    """[replicate]"""
    budgets: tuple[float, ...]
    """Label budgets of ``values``, of a curve."""
    reason: str
    """Why values are missing, and in what range they hold; empty if there is nothing to say."""
    counted_from: float = 0.0
    labels_per_unit: float = 1.0
    """As in :class:`biasprop.statistics.estimand.Values`."""

    def interval(self, level: float) -> Interval:
        """Return the interval of the estimand's kind at a confidence level: Fieller's for a ratio of means, else
        Student's t. Not for a curve, whose interval is that of :mod:`biasprop.statistics.curves`."""
        if self.denominator is not None:
            return fieller_interval(self.values, self.denominator, level)
        return t_interval(self.values, level)


def paired(measures: xr.Dataset, estimand: Estimand) -> list[Paired]:
    """Return an estimand's values at every arm that it covers, in the order of the cube's levels.

    Args:
        measures: from ``statistics.measures.measure``.
        estimand: if it names a level or factor that the measures lack, values are NaN and the reason says so.

    Returns:
        One entry for each set of subgroups that it is taken of and each combination of the levels of its free factors.
        Arms that would be compared with themselves (``Estimand.left_out``) are left out.
    """
    factors = [str(name) for name in measures["status"].dims if name not in ("replicate", "draw")]
    levels = {name: measures[name].values.tolist() for name in factors}
    free = estimand.free(factors)
    values = per_replicate(measures, estimand.scale)
    derived = SCALES[estimand.scale].derived
    underlying = per_replicate(measures, derived.of) if derived else values
    found = []
    names = [str(name) for name in measures["subgroup"].values] if estimand.of_groups else subgroups_of(measures)
    for subgroups in estimand.subgroup_sets(names):
        reduced = estimand.reduce(values, subgroups)
        undefined = reduced.isnull() & estimand.reduce(underlying, subgroups).notnull()
        for chosen in product(*(levels[name] for name in free)):
            at = {name: level for name, level in estimand.at.items() if name in levels} | dict(
                zip(free, chosen, strict=True)
            )
            arm = {name: at[name] for name in factors if name in at}  # in the study's order
            if not estimand.left_out(arm, levels):
                found.append(_paired(estimand, Inputs(measures, reduced, arm, subgroups), undefined))
    return found


def _paired(estimand: Estimand, inputs: Inputs, undefined: xr.DataArray) -> Paired:
    """Return the values at one arm.

    Args:
        estimand: of the study.
        inputs: the arm, and the values on the estimand's scale.
        undefined: [replicate, factors], where a derived scale is not defined for a value that is there.
    """
    values, arm, subgroups = inputs.values, inputs.arm, inputs.subgroups
    absent = sorted(name for name in _named_factors(estimand) if name not in values.dims)
    both = [inputs, inputs._replace(arm=arm | estimand.minus)] if estimand.minus else [inputs]
    arms = [] if absent else [needed for side in both for needed in estimand.arms(side)]
    levels = dict.fromkeys(item for needed_arm in arms for item in needed_arm.items())
    absent += [f"{name} = {level}" for name, level in levels if level not in values[name].values.tolist()]
    if absent:
        missing = np.full(values.sizes["replicate"], np.nan)
        return Paired(estimand, arm, subgroups, missing, None, (), f"not in the store: {', '.join(absent)}")
    if reason := _undefined(estimand, undefined, arms):
        return Paired(estimand, arm, subgroups, np.full(values.sizes["replicate"], np.nan), None, (), reason)
    found, *subtracted = (estimand.values(side) for side in both)
    whys = dict.fromkeys(one.why for one in (found, *subtracted))
    reason = "; ".join(part for part in (_left_out(inputs.measures, values, arms), *whys) if part)
    denominator = None if found.denominator is None else np.asarray(found.denominator)
    difference = np.asarray(found.values) - sum(np.asarray(one.values) for one in subtracted)
    scale = (found.counted_from, found.labels_per_unit)
    return Paired(estimand, arm, subgroups, difference, denominator, found.budgets, reason, *scale)


def _named_factors(estimand: Estimand) -> set[str]:
    """Return the factors that an estimand names."""
    named: set[str] = set()
    for field, what in references(type(estimand)).items():
        value = getattr(estimand, field)
        if what in ("factor", "budget") and value is not None:
            named.add(value)
        elif what == "arm":
            named |= set(value or ())
    return named


def _undefined(estimand: Estimand, undefined: xr.DataArray, arms: list[Arm]) -> str:
    """Say why there is no estimate on a derived scale; empty if it is defined in all replicates that have a value."""
    derived = SCALES[estimand.scale].derived
    replicates = {int(k) for arm in arms for k in np.flatnonzero(_by_replicate(undefined, arm).any(axis=1))}
    if derived is None or not replicates:
        return ""
    return (
        f"{derived.long_name} is not defined: {derived.undefined} in {len(replicates)} of "
        f"{undefined.sizes['replicate']} replicates, and to leave out replicates by their value would bias the estimate"
    )


def _by_replicate(values: xr.DataArray, arm: Arm) -> NDArray:
    """Return the values of an arm as [replicate, rest]."""
    return values.sel(arm).transpose("replicate", ...).values.reshape(values.sizes["replicate"], -1)


def _left_out(measures: xr.Dataset, gaps: xr.DataArray, arms: list[Arm]) -> str:
    """Say how many replicates lack a value, and why; empty if none does."""
    causes: dict[int, str] = {}  # replicate -> why it lacks a value
    for arm in arms:
        values, status = _by_replicate(gaps, arm), measures["status"].sel(arm).values
        for replicate in np.flatnonzero(np.isnan(values).any(axis=1)):
            names = [name for code, name in LACKS.items() if (status[replicate] == code).any()]
            causes.setdefault(int(replicate), names[-1] if names else "undefined")
    if not causes:
        return ""
    why = ", ".join(f"{count} {cause}" for cause, count in sorted(Counter(causes.values()).items()))
    return f"{len(causes)} of {gaps.sizes['replicate']} replicates left out: {why}"
