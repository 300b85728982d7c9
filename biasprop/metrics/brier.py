"""Brier score: mean squared error of the predicted probability (Brier, Monthly Weather Review 78, 1950)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from biasprop.metrics.counts import weights


def brier(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean of (probability - label)^2. 0 is perfect; a constant probability of 1/2 scores 1/4.

    It measures discrimination and calibration together, so it is read beside the AUC and the calibration slope.

    Args:
        scores: [..., n] log-odds; the probability is their logistic function.
        labels: [..., n], 0 or 1.
        weight: [..., n], >= 0.

    Returns:
        [...] in [0, 1]; NaN where nothing counts.
    """
    w = weights(scores, labels, weight)
    counts = w > 0
    error = expit(np.where(counts, scores, 0.0).astype(np.float64)) - np.where(counts, labels, 0.0)
    total = w.sum(axis=-1)
    return np.einsum("...n,...n->...", w, error * error) / np.where(total > 0, total, np.nan)
