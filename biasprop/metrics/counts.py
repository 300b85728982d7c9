"""Entries that count, and their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def counted(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Return whether an entry counts: weight 1, label 0 or 1, score not NaN.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n], negative = absent.
        weight: [..., n], 0 = padding, 1 = counts.

    Returns:
        [..., n], the arguments broadcast together.

    Raises:
        ValueError: a weight is neither 0 nor 1 (fractional weights have no meaning for a rank).
    """
    mask = ~np.isnan(scores) & (np.asarray(labels) >= 0)
    if weight is None:
        return mask
    weight = np.asarray(weight)
    if not np.isin(weight, (0, 1)).all():
        raise ValueError("weight must be 0 or 1")
    return mask & (weight == 1)


def n(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number of entries that count: [..., n] -> [...]."""
    return counted(scores, labels, weight).sum(axis=-1)


def n_positive(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number of diseased entries that count: [..., n] -> [...]."""
    return (counted(scores, labels, weight) & (np.asarray(labels) == 1)).sum(axis=-1)
