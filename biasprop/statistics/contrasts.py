"""Paired contrasts of one measure between subgroups and levels. All of them keep the dim ``replicate``.

All conditions of a replicate share random numbers, so a difference within a replicate is a paired difference. A
replicate that lacks one of the values is NaN.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr  # not loaded with a study file, whose estimands use this module


def gap(values: xr.DataArray, subgroups: tuple[str, str]) -> xr.DataArray:
    """g = value(A) - value(B); positive favours A where high values are good.

    Args:
        values: a measure, such as z or AUC, with dims (..., replicate, subgroup).
        subgroups: A and B.

    Returns:
        Dims (..., replicate), in the measure's units.
    """
    a, b = (values.sel(subgroup=name, drop=True) for name in subgroups)
    return a - b


def interaction(values: xr.DataArray, subgroups: tuple[str, str], versus: tuple[str, str]) -> xr.DataArray:
    """g of one pair of subgroups minus g of another; arguments and result as for :func:`gap`.

    With subgroups of two attributes it is their interaction on the scale of the values.
    """
    return gap(values, subgroups) - gap(values, versus)


def excess_gap(gaps: xr.DataArray, factor: str, reference: Hashable) -> xr.DataArray:
    """g(level) - g(reference level) for every other level of the factor, with the dims of ``gaps``."""
    others = [level for level in gaps[factor].values.tolist() if level != reference]
    return gaps.sel({factor: others}) - gaps.sel({factor: reference}, drop=True)


def swap_contrast(gaps: xr.DataArray, factor: str, skewed: tuple[Hashable, Hashable]) -> xr.DataArray:
    """beta = half of [g(skewed to A) - g(skewed to B)].

    Asymmetries of the subgroups that add on the scale (optics, learnability) are in both gaps and cancel.

    Args:
        gaps: dims (..., factor, replicate).
        factor: the factor that has the skewed levels.
        skewed: the level skewed to A and the level skewed to B.

    Returns:
        The dims of ``gaps`` without ``factor``.
    """
    to_a, to_b = (gaps.sel({factor: level}, drop=True) for level in skewed)
    return 0.5 * (to_a - to_b)


def common_gap(gaps: xr.DataArray, factor: str, skewed: tuple[Hashable, Hashable]) -> xr.DataArray:
    """Half of [g(skewed to A) + g(skewed to B)]: the part of both gaps that does not follow the mix.

    Arguments and result as for :func:`swap_contrast`; the sum of the two is g(skewed to A).
    """
    to_a, to_b = (gaps.sel({factor: level}, drop=True) for level in skewed)
    return 0.5 * (to_a + to_b)


def joint_effect(
    values: xr.DataArray, factor: str, both: Hashable, single: tuple[Hashable, Hashable], neither: Hashable
) -> xr.DataArray:
    """value(both) - value(first alone) - value(second alone) + value(neither): what two changes do beyond their sum.

    Args:
        values: dims (..., factor, replicate).
        factor: the factor that has the four levels.
        both, single, neither: its level with both changes, its two levels with one of them, its level with none.

    Returns:
        The dims of ``values`` without ``factor``.
    """
    first, second = (values.sel({factor: level}, drop=True) for level in single)
    return values.sel({factor: both}, drop=True) - first - second + values.sel({factor: neither}, drop=True)


def coalitions(off: Mapping[str, Any], on: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every subset of switches turned on, factor -> level, from none to all.

    Args:
        off: factor -> its level without its mechanism.
        on: factor -> its level with it, for the same factors.
    """
    subsets = [chosen for size in range(len(off) + 1) for chosen in combinations(off, size)]
    return [{name: (on if name in chosen else off)[name] for name in off} for chosen in subsets]


def shapley_value(
    values: xr.DataArray, mechanism: str, off: Mapping[str, Hashable], on: Mapping[str, Hashable]
) -> xr.DataArray:
    """Shapley value of one mechanism: what it adds, averaged over all orders in which mechanisms are switched on.

    Args:
        values: v, dims (..., factors, replicate).
        mechanism: the factor that switches it.
        off, on: as for :func:`coalitions`; ``mechanism`` is one of their factors.

    Returns:
        The dims of ``values`` without the factors of the switches.
    """
    others = [{name: table[name] for name in table if name != mechanism} for table in (off, on)]
    total: Any = 0.0
    for switches in coalitions(*others):
        size = sum(switches[name] == on[name] for name in switches)
        weight = 1 / (len(off) * comb(len(switches), size))
        with_it, without = (values.sel({**switches, mechanism: table[mechanism]}, drop=True) for table in (on, off))
        total = total + weight * (with_it - without)
    return total


def below_half(beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the swap contrast at the smallest budget minus that at every budget.

    Signs are turned where the mean contrast at the smallest budget is negative, so that the result rises while the size
    of the contrast falls.

    Args:
        beta: [..., replicate, budget], budgets in increasing order; NaN = missing.

    Returns:
        The same shape.
    """
    first = beta[..., :1]
    whole = ~np.isnan(beta).any(axis=-1, keepdims=True)
    turned = np.where(whole, first, 0.0).sum(axis=-2, keepdims=True) < 0
    return np.where(turned, -1.0, 1.0) * (first / 2 - beta)


def levelling_down(
    values: xr.DataArray, subgroups: tuple[str, str], factor: str, reference: Hashable, margin: float
) -> xr.DataArray:
    """Flag levels that narrow the gap only by lowering the better subgroup.

    True where the gap is smaller than at the reference while the better subgroup (the one that is better at the
    reference) falls by more than the margin and the worse one does not rise. Computed from means over replicates.

    Args:
        values: z, AUC or another measure, high is good, with dims (..., replicate, subgroup).
        subgroups: the two that are compared.
        factor: the factor that has the reference level.
        reference: the level that others are compared with.
        margin: on the scale of ``values``, > 0.

    Returns:
        Boolean, the dims of ``values`` without replicate and subgroup; False where a value is missing.
    """
    # Only replicates with both arms count, so that a diverged one does not look like a fall.
    values = values.sel(subgroup=list(subgroups))
    base = values.sel({factor: reference}, drop=True).broadcast_like(values)
    both = values.notnull() & base.notnull()
    level, base = values.where(both).mean("replicate"), base.where(both).mean("replicate")
    first_better = base.isel(subgroup=0, drop=True) >= base.isel(subgroup=1, drop=True)
    change = level - base
    first, second = change.isel(subgroup=0, drop=True), change.isel(subgroup=1, drop=True)
    better, worse = first.where(first_better, second), second.where(first_better, first)
    narrower = np.abs(gap(level, subgroups)) < np.abs(gap(base, subgroups))
    flagged: Any = narrower & (better < -margin) & (worse <= 0)
    return flagged.transpose(*level.isel(subgroup=0).dims)
