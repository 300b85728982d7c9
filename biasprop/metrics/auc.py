"""Area under the ROC curve, and the probit scale on which gaps are taken."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from biasprop.metrics.counts import counted, real_weight
from biasprop.metrics.weighted_ranks import share_below


def auc(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """P(score of a diseased subject > score of a healthy one), ties counting half.

    Mann-Whitney statistic from midranks: (sum of the positives' ranks - P (P + 1) / 2) / (P N) with P positives and N
    negatives (Hanley and McNeil, Radiology 143, 1982). With weights, a pair counts with the product of its two weights.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n], 0 or 1.
        weight: [..., n], >= 0.

    Returns:
        [...] in [0, 1]; NaN where a class is empty.
    """
    mask = counted(scores, labels, weight)
    weights = real_weight(mask, weight)
    if weights is not None:
        positive = np.asarray(labels) == 1
        return _weighted_auc(np.asarray(scores), np.where(positive, weights, 0.0), np.where(positive, 0.0, weights))
    # Padding ranks above all entries that count, so it changes no rank; infinite scores that count are clipped.
    limit = np.finfo(np.asarray(scores).dtype if np.asarray(scores).dtype.kind == "f" else np.float64).max
    ranks = midranks(np.where(mask, np.clip(scores, -limit, limit), np.inf))
    positive = mask & (np.asarray(labels) == 1)
    positives = positive.sum(axis=-1)
    pairs = (positives * (mask.sum(axis=-1) - positives)).astype(np.float64)
    rank_sum = np.einsum("...n,...n->...", ranks, positive.astype(np.float64))
    return (rank_sum - positives * (positives + 1) / 2) / np.where(pairs > 0, pairs, np.nan)


def _weighted_auc(
    scores: NDArray[np.floating], positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AUC from the weights of each class: scores [..., n], both weights [..., n], 0 for the other class."""
    beaten = share_below(scores, negative)
    positives = np.einsum("...n,...n->...", positive, np.ones_like(positive))
    # Both sums in the same order: an AUC of 1 is then exactly 1.
    return np.einsum("...n,...n->...", positive, beaten) / np.where(positives > 0, positives, np.nan)


def midranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 1 along the last axis [..., n], the mean rank for ties; no value may be NaN."""
    # scipy.stats.rankdata would do, but importing scipy.stats takes half a second in every process; pandas is imported
    # here because the names of metrics are part of a study file, which loads without it.
    import pandas as pd

    rows = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
    return pd.DataFrame(rows).rank(axis=1).to_numpy().reshape(values.shape)


def z_of_auc(auc: ArrayLike, n: ArrayLike, n_positive: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probit scale z = sqrt(2) * inverse normal CDF of the AUC: the distance d' of two unit normals.

    An AUC of 0 or 1 is moved inwards by half a pair, 0.5 / (positives * negatives), because its z would be infinite.

    Args:
        auc: [...] in [0, 1] or NaN.
        n: [...] subjects.
        n_positive: [...] subjects with the disease.

    Returns:
        z [...] (NaN where the AUC is) and whether the AUC was moved [...].
    """
    auc = np.asarray(auc, np.float64)
    pairs = np.asarray(n_positive, np.float64) * (np.asarray(n) - np.asarray(n_positive))
    half = 0.5 / np.where(pairs > 0, pairs, np.nan)
    moved = (auc <= 0.0) | (auc >= 1.0)
    inside = np.where(auc <= 0.0, half, np.where(auc >= 1.0, 1.0 - half, auc))
    return probit(inside), moved


def probit(auc: ArrayLike) -> NDArray[np.float64]:
    """The z [...] of AUCs [...] inside (0, 1), without the counts that :func:`z_of_auc` needs at 0 and 1."""
    return np.sqrt(2.0) * ndtri(np.asarray(auc, np.float64))


def auc_of_z(z: ArrayLike) -> NDArray[np.float64]:
    """The AUC [...] at a z [...]: the inverse of :func:`z_of_auc`."""
    return ndtr(np.asarray(z, np.float64) / np.sqrt(2.0))


def auc_slope(z: ArrayLike) -> NDArray[np.float64]:
    """The derivative of the AUC [...] at a z [...]: ``phi(z / sqrt 2) / sqrt 2``."""
    return np.exp(-np.square(np.asarray(z, np.float64)) / 4) / np.sqrt(4 * np.pi)
