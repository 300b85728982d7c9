"""Intervals of several subgroups that hold all at once: of the range between them, and of each against their mean.

Both are Bonferroni's: every one of m intervals is Student's t of a paired difference over replicates at level 1 -
(1 - level) / m, so that all m contain their truths at least as often as the level says, whatever their correlation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit


class Range(NamedTuple):
    """The largest difference between two of several means, with its interval; NaN below two replicates."""

    value: NDArray[np.float64]
    """Largest minus smallest mean, at least 0."""
    low: NDArray[np.float64]
    """At least 0."""
    high: NDArray[np.float64]
    largest: NDArray[np.intp]
    """Index of the largest mean."""
    smallest: NDArray[np.intp]


def mean_range(values: NDArray[np.float64], level: float = 0.95) -> Range:
    """Range of the means of k subgroups over replicates, with an interval of the true range.

    The interval comes from simultaneous intervals of all k (k - 1) / 2 paired differences: from the largest of all
    lower bounds, or 0, to the largest upper bound. The true range is the largest true difference, so it is inside
    whenever all differences are inside theirs. The range of the means itself is biased upwards: it is above 0 by chance
    alone, and the more subgroups there are, the larger.

    Args:
        values: [..., replicate, k] with k >= 2, none missing.
        level: coverage, in (0, 1).

    Returns:
        Arrays [...].
    """
    k = values.shape[-1]
    a, b = np.triu_indices(k, 1)
    low, high = _bounds(values[..., a] - values[..., b], level)
    means = values.mean(axis=-2)
    return Range(
        value=means.max(axis=-1) - means.min(axis=-1),
        low=np.maximum(np.maximum(low, -high).max(axis=-1), 0.0),
        high=np.maximum(high, -low).max(axis=-1),
        largest=means.argmax(axis=-1),
        smallest=means.argmin(axis=-1),
    )


def minus_mean(
    values: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Each of k subgroups minus the mean of all k, with simultaneous intervals.

    Args:
        values: [..., replicate, k] with k >= 2, none missing.
        level: probability that all k intervals contain their truths, at least; in (0, 1).

    Returns:
        Value, low and high, each [..., k]; the bounds are NaN below two replicates.
    """
    apart = values - values.mean(axis=-1, keepdims=True)
    return apart.mean(axis=-2), *_bounds(apart, level)


def _bounds(values: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return low and high of the means of [..., replicate, m] over replicates, of all m at once: [..., m] each."""
    n, m = values.shape[-2:]
    mean = values.mean(axis=-2)
    if n < 2:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stdtrit(n - 1, 1 - (1 - level) / (2 * m)) * values.std(axis=-2, ddof=1) / np.sqrt(n)
    return mean - half, mean + half
