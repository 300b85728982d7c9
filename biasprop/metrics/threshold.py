"""Operating threshold, and sensitivity and specificity at it. A subject is called diseased if score > threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biasprop.metrics.counts import counted


def operating_threshold(
    scores: ArrayLike, labels: ArrayLike, target_specificity: float, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The smallest observed score of a healthy subject at which the specificity reaches the target.

    Meant for the pooled calibration set: one threshold for all subgroups, never set on the test scores.

    Args:
        scores: [..., n] log-odds of the calibration subjects.
        labels: [..., n], 0 or 1.
        target_specificity: in (0, 1].
        weight: [..., n], 0 or 1.

    Returns:
        [...] log-odds; NaN where no healthy subject counts.

    Raises:
        ValueError: the target lies outside (0, 1].
    """
    if not 0.0 < target_specificity <= 1.0:
        raise ValueError(f"target_specificity must lie in (0, 1], not {target_specificity}")
    healthy = counted(scores, labels, weight) & (np.asarray(labels) == 0)
    ordered = np.sort(np.where(healthy, scores, np.nan), axis=-1)  # NaN goes last
    negatives = healthy.sum(axis=-1)
    # 0.95 * 20 may round to slightly above 19, which would ask for one healthy subject too many.
    needed = np.ceil(target_specificity * negatives - 1e-9).astype(int)
    index = np.maximum(needed - 1, 0)
    return np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0].astype(np.float64)


def _share_called(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None, label: int
) -> NDArray[np.float64]:
    """Share of the subjects with this label that are called diseased; NaN without a threshold or such a subject."""
    mask = counted(scores, labels, weight) & (np.asarray(labels) == label)
    threshold = np.asarray(threshold, np.float64)
    called = (mask & (np.asarray(scores) > threshold[..., None])).sum(axis=-1)
    total = mask.sum(axis=-1)
    return called / np.where((total > 0) & ~np.isnan(threshold), total, np.nan)


def sensitivity(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Share of the diseased that are called diseased: scores [..., n], threshold [...] -> [...] in [0, 1] or NaN."""
    return _share_called(scores, labels, threshold, weight, label=1)


def specificity(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Share of the healthy that are not called diseased: scores [..., n], threshold [...] -> [...] in [0, 1] or NaN."""
    return 1.0 - _share_called(scores, labels, threshold, weight, label=0)


def underdiagnosis(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Underdiagnosis rate, the share of the diseased that are not called diseased (false negative rate)."""
    return 1.0 - sensitivity(scores, labels, threshold, weight)
