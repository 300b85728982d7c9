"""Power of the paired t test over replicates, and the replicates a design needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import nctdtr, stdtrit  # a plan imports this module, and scipy.stats takes twice as long

ALPHA = 0.05
"""1 - the level of the primary estimand's interval, and of all plain intervals."""
POWER = 0.8
"""Power at which numbers of replicates are recommended."""
MAX_REPLICATES = 10_000
"""Largest number of replicates that is recommended."""


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

    Resolved means that the interval of level 1 - alpha leaves out 0 or lies inside the margin, one of them with the
    given power.

    Args:
        mean: of the contrast over the replicates so far.
        sd: between them.
        margin: > 0, in the unit of the contrast.
        alpha: 1 - the level of the interval that decides.
        power: in (0, 1).

    Returns:
        At least 2; None if more than 10,000 would be needed or mean or sd is not finite.
    """
    inside = margin - abs(mean)

    def resolved(n: int) -> bool:
        reach = np.sqrt(n) / sd if sd > 0 else np.inf
        quantile = stdtrit(n - 1, power)
        apart = abs(mean) * reach >= stdtrit(n - 1, 1 - alpha / 2) + quantile
        return bool(apart or (inside > 0 and inside * reach >= stdtrit(n - 1, 1 - alpha / 2) + quantile))

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
