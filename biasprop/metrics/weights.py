"""Weights of the entries that count, for metrics that are weighted means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biasprop.metrics.counts import counted


def weights(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the weight of every entry, 0 where it does not count: label negative or score NaN.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n], negative = absent.
        weight: [..., n], >= 0; None means all 1.

    Returns:
        [..., n], the arguments broadcast together.

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """
    present = counted(scores, labels)
    if weight is None:
        return present.astype(np.float64)
    weight = np.asarray(weight, np.float64)
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("weight must be a number of at least 0")
    return np.where(present, weight, 0.0)
