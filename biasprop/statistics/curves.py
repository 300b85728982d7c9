"""Learning curves that are monotone, and the labels at which one of them gets to a height, with an interval.

A curve is known at the label budgets of a study. Between neighbouring ones it is straight in ln(labels); beyond the
smallest and the largest it is not known, and nothing is extrapolated. How far it is below or above the height is a
paired difference within each replicate, so that at any number of labels a paired t test can say whether the curve is
there. The interval holds the labels at which it is not rejected (the inverse of the test, as Fieller's is), which needs
no standard error of a number of labels, a quantity that may well be infinite. ``python -m biasprop.coverage`` shows
that it covers, and how the jackknife would do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from biasprop.statistics.intervals import Interval

METHOD = "inverse t"


def labels_needed(differences: NDArray[np.float64], budgets: Sequence[float], level: float = 0.95) -> Interval:
    """Labels at which a monotone learning curve gets to a height, with their interval.

    Args:
        differences: [replicate, budget] height of the curve above what it has to reach; a replicate that lacks a value
            is left out.
        budgets: [budget] > 0, in increasing order.
        level: coverage, in (0, 1).

    Returns:
        As :func:`crossing` and :func:`crossing_bounds`: value and low are 0 where the curve is or may be there with
        fewer labels than the smallest budget, value and high infinite where it takes or may take more than the largest
        one. No standard error, and no bounds below two replicates.
    """
    whole = differences[~np.isnan(differences).any(axis=1)]
    n = len(whole)
    if not n:
        return Interval(np.nan, np.nan, np.nan, np.nan, METHOD, "an interval needs 2 replicates, there are 0")
    rising = monotone(whole)
    value = float(crossing(rising, budgets))
    if n < 2:
        return Interval(value, np.nan, np.nan, np.nan, METHOD, f"an interval needs 2 replicates, there are {n}")
    low, high = crossing_bounds(rising, budgets, level)
    return Interval(value, float(low), float(high), np.nan, METHOD)


def monotone(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the mean curve over replicates rise, by isotonic regression of the means.

    Where the means of neighbouring budgets fall, isotonic regression replaces them by their mean. The same is done to
    each replicate, so that the mean of the result is the isotonic curve and replicates stay paired.

    Args:
        differences: [..., replicate, budget], none missing; budgets in increasing order.

    Returns:
        The same shape.
    """
    from scipy.optimize import isotonic_regression  # slow to load, and a study file's estimands use this module

    curves = differences.reshape(-1, *differences.shape[-2:]).copy()
    means = curves.mean(axis=1)
    for study in np.flatnonzero((np.diff(means) < 0).any(axis=1)):
        blocks = isotonic_regression(means[study]).blocks
        sizes = np.diff(blocks)
        pooled = np.add.reduceat(curves[study], blocks[:-1], axis=1) / sizes
        curves[study] = np.repeat(pooled, sizes, axis=1)
    return curves.reshape(differences.shape)


def crossing(differences: NDArray[np.float64], budgets: Sequence[float]) -> NDArray[np.float64]:
    """Labels at which the mean of rising curves reaches 0.

    Args:
        differences: [..., replicate, budget] height of the curves above what they have to reach, from :func:`monotone`.
        budgets: [budget] > 0, in increasing order.

    Returns:
        [...] labels; 0 where the mean is above 0 at the smallest budget already, infinite where it is below 0 at all of
        them.
    """
    sizes, means = np.asarray(budgets, np.float64), differences.mean(axis=-2)
    reached = means >= 0
    after = np.where(reached.any(axis=-1), reached.argmax(axis=-1), len(sizes) - 1)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(means, k[..., None], axis=-1)[..., 0] for k in (before, after))
    apart = np.where(reached.any(axis=-1) & (after > before), high - low, 1.0)  # 1: not used below
    found = sizes[before] * (sizes[after] / sizes[before]) ** (-np.minimum(low, 0.0) / apart)
    found = np.where(means[..., 0] > 0, 0.0, found)
    return np.where(reached.any(axis=-1), found, np.inf)


def crossing_bounds(
    differences: NDArray[np.float64], budgets: Sequence[float], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high of the labels at which a paired t test does not reject that the mean of rising curves is 0.

    Args:
        differences: [..., replicate, budget] as for :func:`crossing`; at least two replicates.
        budgets: [budget] > 0, in increasing order.
        level: coverage, in (0, 1).

    Returns:
        Two arrays [...]: the fewest labels of which the test does not say that they are too few, and the most of which
        it does not say that they are more than enough. Low is 0 and high infinite where that holds at the smallest and
        the largest budget, because it may then hold beyond them.
    """
    sizes, n = np.asarray(budgets, np.float64), differences.shape[-2]
    quantile = float(stdtrit(n - 1, 0.5 + level / 2))
    mean = differences.mean(axis=-2)
    apart = differences - mean[..., None, :]
    variance = quantile**2 * (apart**2).sum(axis=-2) / (n - 1) / n
    shared = quantile**2 * (apart[..., 1:] * apart[..., :-1]).sum(axis=-2) / (n - 1) / n
    tiny = 1e-12 * np.abs(mean).max(axis=-1, keepdims=True)  # rounding, where replicates do not differ at all
    half = np.sqrt(variance)
    # At a part p of the way between two budgets, mean^2 - (quantile * se)^2 is a quadratic in p.
    a, b, va, vb = mean[..., :-1], mean[..., 1:], variance[..., :-1], variance[..., 1:]
    constant, square = a**2 - va, (b - a) ** 2 - (va - 2 * shared + vb)
    middle = a * (b - a) - (shared - va)
    q = -(middle + np.copysign(np.sqrt(np.maximum(middle**2 - square * constant, 0.0)), middle))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.stack([q / square, constant / q], axis=-1)
    between = (part >= 0) & (part <= 1)
    part = np.where(between, part, 0.0)
    at = a[..., None] + part * (b - a)[..., None]
    roots = sizes[:-1, None] * (sizes[1:] / sizes[:-1])[:, None] ** part
    few, many = between & (at <= tiny[..., None]), between & (at >= -tiny[..., None])
    few, many = np.where(few, roots, np.inf), np.where(many, roots, 0.0)
    few_there = np.where(mean + half >= -tiny, sizes, np.inf).min(axis=-1)
    many_there = np.where(mean - half <= tiny, sizes, 0.0).max(axis=-1)
    low = np.minimum(np.minimum(few.min(axis=(-2, -1)), few_there), sizes[-1])
    high = np.maximum(np.maximum(many.max(axis=(-2, -1)), many_there), sizes[0])
    below, beyond = (mean + half)[..., 0] > tiny[..., 0], (mean - half)[..., -1] < -tiny[..., 0]
    return np.where(below, 0.0, low), np.where(beyond, np.inf, high)
