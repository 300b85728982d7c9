"""Intervals of a measure of each group of people, and of its difference between two groups.

Arguments are arrays of groups, or of pairs of groups; everything is elementwise. Quantiles are Student's t with the
number of clusters minus 1 degrees of freedom where people are in clusters, else normal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri, stdtrit

from biasprop.metrics.auc import auc_of_z, auc_slope, probit

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


class Spread(NamedTuple):
    """A measure of several groups, and how uncertain it is."""

    value: NDArray[np.float64]
    """[group]."""
    variance: NDArray[np.float64]
    """[group], of the value (of ``z``: of the AUC); NaN where it cannot be estimated."""
    correlation: NDArray[np.float64]
    """[group, group], of the values; 0 between groups of different people."""
    entries: NDArray[np.float64]
    """[group], effective number of entries (people, or images of them) that the measure is about."""
    units: NDArray[np.float64]
    """[group], effective number of independent people or clusters that it is about."""
    degrees: NDArray[np.float64]
    """[group], degrees of freedom of the variance, infinite without clusters."""


def quantile(alpha: float, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-sided critical value at level 1 - alpha; NaN below 1 degree of freedom."""
    finite = np.isfinite(degrees) & (degrees >= 1)
    critical = np.where(finite, -stdtrit(np.where(finite, degrees, 1.0), alpha / 2), -ndtri(alpha / 2))
    return np.where(degrees >= 1, critical, np.nan)


def probit_area(spread: Spread, alpha: float) -> Bounds:
    """Interval of an AUC: normal on z = sqrt(2) * inverse normal CDF of the AUC, by the delta method.

    NaN where the variance is 0, as it is for an AUC of 0 or 1.
    """
    low, high = z_of_area(spread._replace(value=probit(spread.value)), alpha)
    return auc_of_z(low), auc_of_z(high)


def z_of_area(spread: Spread, alpha: float) -> Bounds:
    """Interval of z itself, whose ``variance`` is that of the AUC; NaN where that is 0."""
    half = quantile(alpha, spread.degrees) * z_error(spread)
    return spread.value - half, spread.value + half


def z_error(spread: Spread) -> NDArray[np.float64]:
    """Standard error of z from the variance of the AUC."""
    return np.sqrt(np.where(spread.variance > 0, spread.variance, np.nan)) / auc_slope(spread.value)


def wilson(spread: Spread, alpha: float) -> Bounds:
    """Wilson's interval of a share (J. Am. Stat. Assoc. 22, 1927), with the effective number of people.

    With weights or clusters the number n is the one at which share (1 - share) / n is the estimated variance (Franco et
    al., J. Surv. Stat. Methodol. 7, 2019), at most ``entries``; at a share of 0 or 1, where that is 0, it is ``units``.
    """
    p, q, n = spread.value, quantile(alpha, spread.degrees), _effective_people(spread)
    centre = (p + q * q / (2 * n)) / (1 + q * q / n)
    half = q / (1 + q * q / n) * np.sqrt(p * (1 - p) / n + q * q / (4 * n * n))
    return _ends(spread, centre - half, centre + half)


def clopper_pearson(spread: Spread, alpha: float) -> Bounds:
    """Exact binomial interval of a share (Clopper and Pearson, Biometrika 26, 1934).

    With weights or clusters the number of people is the effective one of :func:`wilson`, corrected for the degrees of
    freedom (Korn and Graubard, Surv. Methodol. 24, 1998), and coverage is approximate.
    """
    n = _effective_people(spread) * np.square(-ndtri(alpha / 2) / quantile(alpha, spread.degrees))
    with_event = spread.value * n
    without = n - with_event
    low = betaincinv(np.where(with_event > 0, with_event, np.nan), without + 1, alpha / 2)
    high = betaincinv(with_event + 1, np.where(without > 0, without, np.nan), 1 - alpha / 2)
    low, high = np.where(spread.value == 0, 0.0, low), np.where(spread.value == 1, 1.0, high)
    return _ends(spread, np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan))


def _ends(spread: Spread, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
    """Bounds of a share: at 0 or 1 exactly that, up to rounding; NaN where one of them is."""
    known = ~np.isnan(low) & ~np.isnan(high)
    low, high = np.where(spread.value == 0, 0.0, low), np.where(spread.value == 1, 1.0, high)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _effective_people(spread: Spread) -> NDArray[np.float64]:
    """The number n at which share (1 - share) / n is the variance, at most ``entries``; ``units`` at a share of 0 or 1;
    NaN where there are none."""
    p = spread.value
    inside = (p > 0) & (p < 1) & (spread.variance > 0)
    equivalent = np.minimum(p * (1 - p) / np.where(inside, spread.variance, 1.0), spread.entries)
    n = np.where(inside, equivalent, spread.units)
    return np.where(n > 0, n, np.nan)


def normal(spread: Spread, alpha: float) -> Bounds:
    """Value +- critical value times standard error; NaN where the variance is 0 or missing."""
    half = quantile(alpha, spread.degrees) * np.sqrt(np.where(spread.variance > 0, spread.variance, np.nan))
    return spread.value - half, spread.value + half


def within_0_and_1(spread: Spread, alpha: float) -> Bounds:
    """As :func:`normal`, cut at 0 and 1, between which the measure lies."""
    low, high = normal(spread, alpha)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


INTERVALS: Mapping[str, Callable[[Spread, float], Bounds]] = {
    "area": probit_area,
    "z": z_of_area,
    "wilson": wilson,
    "exact": clopper_pearson,
    "mean square": within_0_and_1,
    "other": normal,
}
"""Kind of measure -> its interval at level 1 - alpha."""


def difference(
    first: tuple[ArrayLike, ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike, ArrayLike],
    correlation: ArrayLike,
) -> Bounds:
    """Interval of a difference from the intervals of its two terms (Zou and Donner, Stat. Med. 27, 2008).

    With Wilson's intervals this is Newcombe's interval of a difference of two rates (Stat. Med. 17, 1998, method 10),
    with symmetric ones the usual normal interval.

    Args:
        first, second: value, low and high of each term.
        correlation: of the two values, 0 for independent groups.
    """
    (a, la, ua), (b, lb, ub) = (map(np.asarray, term) for term in (first, second))
    down, up = (
        np.sqrt(np.maximum(x * x + y * y - 2 * np.asarray(correlation) * x * y, 0.0))
        for x, y in ((a - la, ub - b), (ua - a, b - lb))
    )
    return (a - b) - down, (a - b) + up
