"""Effect of the rendered subgroup on a subject's score and decision, with all other latents held."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _whole(scores: NDArray[np.floating], weight: ArrayLike | None) -> NDArray[np.bool_]:
    """Return subjects all of whose twins have a score: [..., n]."""
    whole = np.asarray(~np.isnan(scores).any(axis=-2))
    return whole if weight is None else whole & (np.asarray(weight) == 1)


def flip_rate(scores: ArrayLike, threshold: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Share of subjects whose decision at the common threshold differs between two twins, mean over pairs of subgroups.

    Args:
        scores: [..., subgroup, n] log-odds of the same subjects rendered as each subgroup.
        threshold: [...] log-odds, common to all subgroups.
        weight: [..., n], 0 or 1.

    Returns:
        [...] in [0, 1]; NaN without a threshold, a subject, or a second subgroup.
    """
    scores, threshold = np.asarray(scores), np.asarray(threshold, np.float64)
    whole = _whole(scores, weight)
    called = scores > threshold[..., None, None]
    pairs = list(combinations(range(scores.shape[-2]), 2))
    flips = sum(((called[..., a, :] != called[..., b, :]) & whole).sum(axis=-1) for a, b in pairs)
    total = whole.sum(axis=-1) * len(pairs)
    return flips / np.where((total > 0) & ~np.isnan(threshold), total, np.nan)


def score_shift(
    scores: ArrayLike, threshold: ArrayLike | None = None, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean over subjects of the first subgroup's twin score minus the mean of the other subgroups', in log-odds.

    Args:
        scores: [..., subgroup, n] log-odds of the same subjects rendered as each subgroup.
        threshold: not used; all twin metrics have the same signature.
        weight: [..., n], 0 or 1.

    Returns:
        [...] log-odds; NaN without a subject or a second subgroup.
    """
    scores = np.asarray(scores, np.float64)
    whole = _whole(scores, weight)
    if scores.shape[-2] < 2:
        return np.full(scores.shape[:-2], np.nan)
    shift = np.where(whole, scores[..., 0, :] - scores[..., 1:, :].mean(axis=-2), 0.0).sum(axis=-1)
    total = whole.sum(axis=-1)
    return shift / np.where(total > 0, total, np.nan)
