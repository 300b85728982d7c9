"""Expected calibration error, and the value it would have if the model were perfectly calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from biasprop.metrics.counts import counted, real_weight
from biasprop.metrics.weighted_ranks import running, sort_scores

BINS = 15
"""Guo et al., On calibration of modern neural networks (ICML 2017), use 15; here of equal mass, not of equal width."""


def _bin_sums(
    scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per bin [..., BINS]: sum of w (label - p), sum of w^2 p (1 - p); and the sum of the weights w [...].

    Bins are cut at the scores of rank k n / BINS (of the total weight, where there are weights), equal scores always
    sharing a bin, so neither padding nor the order of the subjects matters.
    """
    mask = counted(scores, labels, weight)
    weights = real_weight(mask, weight)
    if weights is not None:
        return _weighted_bin_sums(np.asarray(scores, np.float64), np.asarray(labels), weights)
    total = mask.sum(axis=-1)
    value = np.where(mask, scores, -np.inf)
    ordered = np.sort(np.where(mask, scores, np.inf), axis=-1)
    p = expit(value.astype(np.float64))  # 0 where padded
    residual = np.where(mask, labels, 0.0) - p
    spread = p * (1.0 - p)
    above = [(residual.sum(axis=-1), spread.sum(axis=-1))]
    for k in range(1, BINS):
        edge = np.take_along_axis(ordered, (k * total // BINS)[..., None], axis=-1)
        upper = value >= edge
        above.append((np.einsum("...n,...n->...", residual, upper), np.einsum("...n,...n->...", spread, upper)))
    above.append((np.zeros_like(above[0][0]), np.zeros_like(above[0][1])))
    residuals, spreads = (np.stack(column, axis=-1) for column in zip(*above, strict=True))
    return -np.diff(residuals, axis=-1), np.clip(-np.diff(spreads, axis=-1), 0.0, None), total


def _weighted_bin_sums(
    scores: NDArray[np.float64], labels: NDArray, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The same with weights [..., n], 0 where an entry does not count."""
    by = sort_scores(scores, weight.ndim)
    sums = running(weight, by)
    total = sums[..., -1]
    p = np.nan_to_num(expit(scores))  # where a score is missing the weight is 0
    residual = weight * (np.where(labels == 1, 1.0, 0.0) - p)
    spread = np.square(weight) * (p * (1.0 - p))
    # A bin starts at the first score at which the running weight exceeds k / BINS of the total; sums of equal weights
    # may differ in their last digits.
    shares = (np.arange(1, BINS) + 1e-9) / BINS
    rows = sums[..., 1:].reshape(-1, weight.shape[-1])
    index = np.array([np.searchsorted(row, shares * row[-1], side="right") for row in rows])
    index = np.minimum(index, weight.shape[-1] - 1).reshape(*weight.shape[:-1], BINS - 1)
    start = np.take_along_axis(by.first, index, axis=-1)
    edge = np.zeros((*start.shape[:-1], 1), int)
    edges = np.concatenate([edge, start, edge + weight.shape[-1]], axis=-1)
    at_edges = (np.take_along_axis(running(part, by), edges, axis=-1) for part in (residual, spread))
    residuals, spreads = (np.diff(sums_to, axis=-1) for sums_to in at_edges)
    return residuals, np.clip(spreads, 0.0, None), total


def ece(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Mean over 15 bins of equal mass, weighted by their counts, of |share diseased - mean probability|.

    It is above 0 for finite samples even under perfect calibration: compare it with :func:`ece_expected`.

    Args:
        scores: [..., n] log-odds; the probability is their logistic function.
        labels: [..., n], 0 or 1.
        weight: [..., n], >= 0.

    Returns:
        [...] in [0, 1]; NaN where nothing counts.
    """
    residual, _, total = _bin_sums(scores, labels, weight)
    return np.abs(residual).sum(axis=-1) / np.where(total > 0, total, np.nan)


def ece_expected(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """The expectation of :func:`ece` if every label were drawn with its own predicted probability.

    A bin's sum of w (label - p), with weights w, then has mean 0 and variance V = sum of w^2 p (1 - p), and
    E|normal(0, V)| = sqrt(2 V / pi): the normal approximation of a bin's sum of Bernoulli variables. Roelofs et al.
    (AISTATS 2022) measure this upward bias of binned estimates.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n]; used only to know which entries count.
        weight: [..., n], >= 0.

    Returns:
        [...] in [0, 1]; NaN where nothing counts.
    """
    _, spread, total = _bin_sums(scores, labels, weight)
    return np.sqrt(2.0 * spread / np.pi).sum(axis=-1) / np.where(total > 0, total, np.nan)
