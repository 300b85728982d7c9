"""Operating threshold, and rates of decisions at it. A subject is called diseased if score > threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biasprop.metrics.counts import counted, real_weight, total_weight


def operating_threshold(
    scores: ArrayLike, labels: ArrayLike, target_specificity: float, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The smallest observed score of a healthy subject at which the specificity reaches the target.

    Meant for the pooled calibration set: one threshold for all subgroups, never set on the test scores.

    Args:
        scores: [..., n] log-odds of the calibration subjects.
        labels: [..., n], 0 or 1.
        target_specificity: in (0, 1].
        weight: [..., n], >= 0; the specificity is then a share of the weight.

    Returns:
        [...] log-odds; NaN where no healthy subject counts.

    Raises:
        ValueError: the target lies outside (0, 1].
    """
    if not 0.0 < target_specificity <= 1.0:
        raise ValueError(f"target_specificity must lie in (0, 1], not {target_specificity}")
    mask = counted(scores, labels, weight)
    healthy = mask & (np.asarray(labels) == 0)
    weights = real_weight(mask, weight)
    values = np.where(healthy, scores, np.nan)
    negatives = healthy.sum(axis=-1)
    if weights is None:
        ordered = np.sort(values, axis=-1)  # NaN goes last
        # 0.95 * 20 may round to slightly above 19, which would ask for one healthy subject too many.
        needed = np.ceil(target_specificity * negatives - 1e-9).astype(int)
        index = np.maximum(needed - 1, 0)
    else:
        order = np.argsort(values, axis=-1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=-1)
        running = np.cumsum(np.take_along_axis(np.where(healthy, weights, 0.0), order, axis=-1), axis=-1)
        needed = (target_specificity - 1e-9 / np.maximum(negatives, 1)) * running[..., -1]
        index = np.minimum((running < needed[..., None]).sum(axis=-1), np.maximum(negatives - 1, 0))
    return np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0].astype(np.float64)


def _share_called(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None, label: int
) -> NDArray[np.float64]:
    """Share of the subjects with this label that are called diseased; NaN without a threshold or such a subject."""
    mask = counted(scores, labels, weight)
    weights = real_weight(mask, weight)
    mask = mask & (np.asarray(labels) == label)
    threshold = np.asarray(threshold, np.float64)
    called = total_weight(mask & (np.asarray(scores) > threshold[..., None]), weights)
    total = total_weight(mask, weights)
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


def _share_diseased(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None, called: bool
) -> NDArray[np.float64]:
    """Share with the disease of the subjects on this side of the threshold; NaN without a threshold or such a
    subject."""
    mask = counted(scores, labels, weight)
    weights = real_weight(mask, weight)
    threshold = np.asarray(threshold, np.float64)
    mask = mask & ((np.asarray(scores) > threshold[..., None]) == called)
    total = total_weight(mask, weights)
    diseased = total_weight(mask & (np.asarray(labels) == 1), weights)
    return diseased / np.where((total > 0) & ~np.isnan(threshold), total, np.nan)


def ppv(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Positive predictive value: share with the disease of those called diseased, [..., n], [...] -> [...] or NaN.

    It depends on the prevalence among the subjects that count.
    """
    return _share_diseased(scores, labels, threshold, weight, called=True)


def npv(
    scores: ArrayLike, labels: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Negative predictive value: share without the disease of those not called diseased, [..., n], [...] -> [...] or
    NaN. It depends on the prevalence among the subjects that count."""
    return 1.0 - _share_diseased(scores, labels, threshold, weight, called=False)
