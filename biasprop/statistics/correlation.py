"""Correlation of two quantities over conditions, from replicates that they do not have in common.

Two estimates from the same replicates share their noise: if both are differences from the same arm, they correlate over
conditions although the true values do not, and noise weakens a correlation that there is. A product of two *different*
replicates has neither error. So covariance and variances over conditions are averaged over all ordered pairs of
different replicates, and the correlation made from them is that of the true values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from biasprop.statistics.intervals import Interval

MIN_REPLICATES = 4
"""Fewest replicates for an interval, so that every part of the jackknife has pairs that differ."""


def disjoint_correlation(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Interval:
    """Correlation over conditions of the true values of x and y, with a jackknife interval over replicates.

    The conditions are taken as given: the interval is about replicates, not about other conditions.

    Args:
        x, y: [replicate, condition], of the same replicates in the same order; a replicate that lacks a value (NaN) of
            either is left out.
        level: coverage, in (0, 1).

    Returns:
        The correlation, in [-1, 1], its interval, cut to that range, and its standard error. NaN with the reason below
        four replicates or three conditions, or where a quantity does not vary beyond noise.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    whole = ~(np.isnan(x) | np.isnan(y)).any(axis=1)
    x, y = x[whole], y[whole]
    n, conditions = x.shape
    undefined = Interval(np.nan, np.nan, np.nan, np.nan, "jackknife")
    if n < MIN_REPLICATES:
        return undefined._replace(reason=f"a correlation needs {MIN_REPLICATES} replicates, there are {n}")
    if conditions < 3:
        return undefined._replace(reason=f"a correlation needs 3 conditions, there are {conditions}")
    every = np.ones((1, n))
    value, *without_one = _correlations(x, y, np.concatenate([every, every - np.eye(n)]))
    if np.isnan([value, *without_one]).any():
        return undefined._replace(reason="one of both does not vary over conditions beyond noise")
    pseudo = n * value - (n - 1) * np.array(without_one)
    se = float(pseudo.std(ddof=1) / np.sqrt(n))
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * se
    value, low, high = np.clip([value, value - half, value + half], -1.0, 1.0).tolist()
    return Interval(value, low, high, se, "jackknife")


def _correlations(x: NDArray[np.float64], y: NDArray[np.float64], used: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations from several sets of replicates, ``used`` [set, replicate] of 0 and 1; NaN where one has no
    variance."""
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (x, y))

    def covariance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        products = a @ b.T
        np.fill_diagonal(products, 0.0)  # a replicate with itself
        n = used.sum(axis=1)
        return np.einsum("si,ij,sj->s", used, products, used) / (n * (n - 1))

    variances = covariance(x, x), covariance(y, y)
    defined = np.minimum(*variances) > 0
    scale = np.sqrt(np.where(defined, variances[0] * variances[1], np.nan))
    return covariance(x, y) / scale
