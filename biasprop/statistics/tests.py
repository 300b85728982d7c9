"""Tests over replicates, their adjustment for many estimates, and the replicates a design needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, stdtr, stdtrit  # a plan waits for it, and scipy.stats takes twice as long

ALPHA = 0.05
"""Level of every test, before adjustment."""
POWER = 0.8
"""Power that plans and advice on replicates aim at."""
MOST_REPLICATES = 10_000
"""Advice beyond this is no advice."""


def _statistic(values: ArrayLike, null: float) -> tuple[float, int]:
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return np.nan, n
    shift, se = float(values.mean()) - null, float(values.std(ddof=1) / np.sqrt(n))
    if se == 0.0:  # a point mass: certain either way
        return (0.0 if shift == 0.0 else float(np.copysign(np.inf, shift))), n
    return shift / se, n


def difference_p(values: ArrayLike) -> float:
    """Two-sided p of the paired t test that the mean over replicates is 0; NaN below two replicates.

    Args:
        values: [replicate] paired differences; NaN = the replicate is not there.
    """
    t, n = _statistic(values, 0.0)
    return float(2 * stdtr(n - 1, -abs(t))) if n > 1 else np.nan


def equivalence_p(values: ArrayLike, margin: float) -> float:
    """p of the two one-sided tests that the mean lies inside (-margin, margin) (Schuirmann, 1987).

    Args:
        values: [replicate] paired differences; NaN = the replicate is not there.
        margin: > 0, in the units of ``values``.

    Returns:
        The larger of the two one-sided p values; NaN below two replicates.
    """
    below, n = _statistic(values, margin)
    above, _ = _statistic(values, -margin)
    return float(max(stdtr(n - 1, below), stdtr(n - 1, -above))) if n > 1 else np.nan


def ratio_equivalence_p(numerator: ArrayLike, denominator: ArrayLike, margin: float) -> float:
    """p of the two one-sided tests that |mean(numerator) / mean(denominator)| < margin.

    By Fieller's argument r < margin is mean(numerator - margin * denominator) < 0 where the denominator is positive;
    where it is negative both are turned around.

    Args:
        numerator: [replicate].
        denominator: [replicate], of the same replicates.
        margin: > 0, a share of the denominator.

    Returns:
        The larger of the two one-sided p values; NaN below two replicates.
    """
    x, y = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    both = ~(np.isnan(x) | np.isnan(y))
    if both.sum() < 2:
        return np.nan
    turn = np.sign(y[both].mean())
    below, n = _statistic(turn * (x - margin * y), 0.0)
    above, _ = _statistic(turn * (x + margin * y), 0.0)
    return float(max(stdtr(n - 1, below), stdtr(n - 1, -above)))


def holm(p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Holm's step-down adjustment (Scand. J. Stat. 6, 1979).

    Args:
        p: [test] p values; NaN = stated but not (yet) to be had. It stays NaN and counts as a test of the family all
            the same, so that leaving arms out never makes the others look better.

    Returns:
        Adjusted p values in [0, 1], and the factor by which each p value was multiplied (m for the smallest of m, down
        to 1; larger where a smaller p value's product overtakes it). A test passes at level alpha exactly if its own p
        is below alpha / factor, so an interval at level 1 - alpha / factor tells the same story.
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
    """The smallest contrast that a design resolves: the one whose paired t test has the power asked for.

    Args:
        sd: standard deviation of the contrast between replicates, >= 0.
        replicates: how many there will be.
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

    low, high = 0.0, 1.0  # standard errors; grown by hand, because SciPy's noncentral t gives NaN far beyond the answer
    while not enough(high):
        low, high = high, 1.5 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high * sd / np.sqrt(replicates)


def replicates_needed(half_width: float, sd: float, level: float = 1 - ALPHA) -> int | None:
    """The fewest replicates whose t interval is expected to be at most so wide.

    Args:
        half_width: half of the interval's width, > 0, in the units of ``sd``.
        sd: standard deviation between replicates, >= 0.
        level: coverage.

    Returns:
        At least 2; None if more than 10,000 would be needed or nothing is known.
    """
    return _fewest(lambda n: stdtrit(n - 1, 0.5 + level / 2) * sd / np.sqrt(n) <= half_width, half_width, sd)


def replicates_to_resolve(
    mean: float, sd: float, margin: float, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """The fewest replicates that would resolve a contrast, if its mean and spread are what they look like now.

    Resolved means that the difference test or the equivalence test, whichever is nearer, has the power asked for.

    Args:
        mean: of the contrast over the replicates there are.
        sd: between them.
        margin: equivalence margin.
        alpha: level of the (adjusted) test.
        power: in (0, 1).

    Returns:
        At least 2; None if more than 10,000 would be needed or nothing is known.
    """
    inside = margin - abs(mean)

    def resolved(n: int) -> bool:
        reach = np.sqrt(n) / sd if sd > 0 else np.inf
        quantile = stdtrit(n - 1, power)
        different = abs(mean) * reach >= stdtrit(n - 1, 1 - alpha / 2) + quantile
        return bool(different or (inside > 0 and inside * reach >= stdtrit(n - 1, 1 - alpha) + quantile))

    return _fewest(resolved, max(abs(mean), inside), sd)


def _fewest(enough: Callable[[int], bool], scale: float, sd: float) -> int | None:
    if not (np.isfinite(scale) and np.isfinite(sd) and enough(MOST_REPLICATES)):
        return None
    low, high = 1, MOST_REPLICATES  # more replicates never resolve less, so bisection finds the first
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
