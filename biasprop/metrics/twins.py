"""Effect of the rendered subgroup on a subject's score and decision, with all other latents held."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biasprop.metrics.counts import real_weight, total_weight


def _whole(
    scores: NDArray[np.floating], weight: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """Return subjects that count and all of whose twins have a score, [..., n], and their weights (None: all 1)."""
    whole = np.asarray(~np.isnan(scores).any(axis=-2))
    if weight is not None:
        whole = whole & (np.asarray(weight) > 0)
    return whole, real_weight(whole, weight)


def flip_rate(scores: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of subjects whose decision at the common threshold differs between two twins, mean over pairs of subgroups.

    Args:
        scores: [..., subgroup, n] log-odds of the same subjects rendered as each subgroup.
        threshold: [...] log-odds, common to all subgroups.
        weight: [..., n], >= 0.

    Returns:
        [...] in [0, 1]; NaN without a threshold, a subject, or a second subgroup.
    """
    scores, threshold = np.asarray(scores), np.asarray(threshold, np.float64)
    whole, weights = _whole(scores, weight)
    called = scores > threshold[..., None, None]
    pairs = list(combinations(range(scores.shape[-2]), 2))
    flips = sum(total_weight((called[..., a, :] != called[..., b, :]) & whole, weights) for a, b in pairs)
    total = total_weight(whole, weights) * len(pairs)
    return flips / np.where((total > 0) & ~np.isnan(threshold), total, np.nan)


def score_shift(
    scores: ArrayLike, threshold: ArrayLike | None = None, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean over subjects of the first subgroup's twin score minus the mean of the other subgroups', in log-odds.

    Args:
        scores: [..., subgroup, n] log-odds of the same subjects rendered as each subgroup.
        threshold: not used; all twin metrics have the same signature.
        weight: [..., n], >= 0.

    Returns:
        [...] log-odds; NaN without a subject or a second subgroup.
    """
    scores = np.asarray(scores, np.float64)
    whole, weights = _whole(scores, weight)
    if scores.shape[-2] < 2:
        return np.full(scores.shape[:-2], np.nan)
    shifts = np.where(whole, scores[..., 0, :] - scores[..., 1:, :].mean(axis=-2), 0.0)
    shift = (shifts if weights is None else shifts * weights).sum(axis=-1)
    total = total_weight(whole, weights)
    return shift / np.where(total > 0, total, np.nan)
