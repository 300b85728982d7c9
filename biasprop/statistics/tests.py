"""Tests over replicates, their adjustment for many estimates, and the replicates a design needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, stdtr, stdtrit  # a plan imports this module, and scipy.stats takes twice as long

ALPHA = 0.05
"""Level of every test before adjustment."""
POWER = 0.8
"""Power at which numbers of replicates are recommended."""
MAX_REPLICATES = 10_000
"""Largest number of replicates that is recommended."""


def _statistic(values: ArrayLike, null: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return Student's t that the mean along the last axis is ``null``, and degrees of freedom; NaN below 2 values."""
    values = np.asarray(values, np.float64)
    there = ~np.isnan(values)
    n = there.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=-1) / n
        spread = np.where(there, values - mean[..., None], 0.0)
        shift, se = mean - null, np.sqrt((spread**2).sum(axis=-1) / (n - 1) / n)
        # Values without spread: the statistic is 0 or infinite.
        t = np.where(se == 0.0, np.where(shift == 0.0, 0.0, np.copysign(np.inf, shift)), shift / se)
    return np.where(n > 1, t, np.nan), np.maximum(n - 1, 1)


def difference_p(values: ArrayLike) -> NDArray[np.float64]:
    """Two-sided p of the paired t test that the mean over replicates is 0; NaN below two replicates.

    Args:
        values: [..., replicate] paired differences; NaN = the replicate is missing.
    """
    t, df = _statistic(values, 0.0)
    return 2 * stdtr(df, -np.abs(t))


def equivalence_p(values: ArrayLike, margin: float) -> NDArray[np.float64]:
    """p of the test that the mean lies inside (-margin, margin): two one-sided t tests (Schuirmann, 1987).

    p values are doubled, so that p is below 5 % exactly if the 95 % interval lies inside the margin. One-sided tests at
    5 % are wrong too often at the edge of the margin for values as skewed as those of stored studies
    (``python -m biasprop.coverage``).

    Args:
        values: [..., replicate] paired differences; NaN = the replicate is missing.
        margin: > 0, in the units of ``values``.

    Returns:
        Twice the larger of the two one-sided p values, at most 1; NaN below two replicates.
    """
    below, df = _statistic(values, margin)
    above, _ = _statistic(values, -margin)
    return np.minimum(2 * np.maximum(stdtr(df, below), stdtr(df, -above)), 1.0)


def ratio_equivalence_p(numerator: ArrayLike, denominator: ArrayLike, margin: float) -> NDArray[np.float64]:
    """p of the test that |mean(numerator) / mean(denominator)| < margin, doubled as in :func:`equivalence_p`.

    By Fieller's argument r < margin is mean(numerator - margin * denominator) < 0 where the denominator is positive;
    where it is negative both are turned around.

    Args:
        numerator: [..., replicate].
        denominator: [..., replicate], of the same replicates.
        margin: > 0, a share of the denominator.

    Returns:
        Twice the larger of the two one-sided p values, at most 1; NaN below two replicates.
    """
    x, y = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    turn = np.sign(np.where(np.isnan(x), 0.0, np.nan_to_num(y)).sum(axis=-1))[..., None]
    below, df = _statistic(turn * (x - margin * y), 0.0)
    above, _ = _statistic(turn * (x + margin * y), 0.0)
    return np.minimum(2 * np.maximum(stdtr(df, below), stdtr(df, -above)), 1.0)


def holm(p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Holm's step-down adjustment (Scand. J. Stat. 6, 1979).

    Args:
        p: [test] p values; NaN = stated but not available (yet). It stays NaN and still counts as a test of the family,
            so that missing arms never reduce the adjustment of the others.

    Returns:
        Adjusted p values in [0, 1], and the factor by which each p value was multiplied (m for the smallest of m, down
        to 1; larger where a smaller p value's product overtakes it). A test passes at level alpha exactly if its own p
        is below alpha / factor, so an interval at level 1 - alpha / factor agrees with it.
    """
    p = np.asarray(p, np.float64)
    adjusted, factor = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    steps = len(p) - np.arange(len(order))
    products = np.maximum.accumulate(p[order] * steps) if len(order) else p[order]
    adjusted[order] = np.minimum(products, 1.0)
    factor[order] = np.where(p[order] > 0, products / np.where(p[order] > 0, p[order], 1.0), steps)
    return adjusted, factor


def power_of(contrast: float, sd: float, replicates: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided paired t test (noncentral t).

    Args:
        contrast: true mean of the paired differences.
        sd: their standard deviation between replicates, > 0.
        replicates: >= 2.
        alpha: level.
    """
    df, shift = replicates - 1, abs(contrast) * np.sqrt(replicates) / sd
    critical = stdtrit(df, 1 - alpha / 2)
    wrong_sign = np.nan_to_num(nctdtr(df, shift, -critical))  # NaN is how SciPy underflows here
    return float(nctdtr(df, -shift, -critical) + wrong_sign)


def resolvable(sd: float, replicates: int, power: float = POWER, alpha: float = ALPHA) -> float:
    """Smallest contrast that a design resolves: the one at which the paired t test has the given power.

    Args:
        sd: standard deviation of the contrast between replicates, >= 0.
        replicates: number of replicates.
        power: in (alpha, 1).
        alpha: two-sided level.

    Returns:
        In the units of ``sd``; NaN below two replicates or without an sd.
    """
    if replicates < 2 or not np.isfinite(sd):
        return np.nan
    if sd == 0.0:
        return 0.0

    def enough(errors: float) -> bool:
        return power_of(errors / np.sqrt(replicates), 1.0, replicates, alpha) >= power

    low, high = 0.0, 1.0  # in standard errors; bisection, because SciPy's noncentral t is NaN far beyond the solution
    while not enough(high):
        low, high = high, 1.5 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high * sd / np.sqrt(replicates)


def replicates_to_resolve(
    mean: float, sd: float, margin: float, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Fewest replicates that would resolve a contrast whose mean and sd are as estimated.

    Resolved means that the difference test or the equivalence test has the given power.

    Args:
        mean: of the contrast over the replicates so far.
        sd: between them.
        margin: equivalence margin.
        alpha: level of the (adjusted) test.
        power: in (0, 1).

    Returns:
        At least 2; None if more than 10,000 would be needed or mean or sd is not finite.
    """
    inside = margin - abs(mean)

    def resolved(n: int) -> bool:
        reach = np.sqrt(n) / sd if sd > 0 else np.inf
        quantile = stdtrit(n - 1, power)
        different = abs(mean) * reach >= stdtrit(n - 1, 1 - alpha / 2) + quantile
        return bool(different or (inside > 0 and inside * reach >= stdtrit(n - 1, 1 - alpha / 2) + quantile))

    return fewest(resolved) if np.isfinite(mean) and np.isfinite(sd) else None


def fewest(enough: Callable[[int], bool]) -> int | None:
    """Fewest replicates that are enough, from 2 on; None if 10,000 are not.

    Args:
        enough: whether a number of replicates is enough; monotone.
    """
    if not enough(MAX_REPLICATES):
        return None
    low, high = 1, MAX_REPLICATES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
