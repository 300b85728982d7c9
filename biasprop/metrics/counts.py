"""Entries that count, and their number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGE = 1e100
"""Weights above this, or below its inverse, are scaled."""


def counted(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Return whether an entry counts: weight above 0, label 0 or 1, score not NaN.

    Args:
        scores: [..., n] log-odds.
        labels: [..., n], negative = absent.
        weight: [..., n], finite and >= 0; 0 = padding.

    Returns:
        [..., n], the arguments broadcast together.

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """
    mask = ~np.isnan(np.asarray(scores)) & (np.asarray(labels) >= 0)
    if weight is None:
        return mask
    weight = np.asarray(weight)
    # A comparison with NaN is False, so this finds NaN as well.
    if not ((weight >= 0) & (weight < np.inf)).all():
        raise ValueError("weight must be finite and not negative")
    return mask & (weight > 0)


def rows_of(values: NDArray[Any], rows: NDArray[np.integer]) -> NDArray[Any]:
    """Return some rows of an array; the array itself if they are all, because ten million values are 80 MB.

    Args:
        values: [n, ...].
        rows: increasing, none twice.
    """
    return values if len(rows) == len(values) else values[rows]


def real_weight(mask: NDArray[np.bool_], weight: ArrayLike | None) -> NDArray[np.float64] | None:
    """Return weights [..., n], 0 where an entry does not count; None if all that count have the weight 1.

    They are :func:`scaled`, because metrics are ratios.

    Args:
        mask: from :func:`counted`.
        weight: as given to it.
    """
    if weight is None:
        return None
    weight = np.asarray(weight)
    if ((weight == 0) | (weight == 1)).all():
        return None
    return scaled(np.where(mask, weight, 0.0).astype(np.float64))


def scaled(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights [..., n], those of a row with very large or very small ones divided by a power of two.

    It changes no digit and no ratio, and squares are then neither infinite nor 0.

    Args:
        weight: [..., n], finite and >= 0.
    """
    largest = weight.max(axis=-1, keepdims=True, initial=0.0)
    extreme = (largest > LARGE) | (largest < 1 / LARGE)
    return np.ldexp(weight, np.where(extreme, -np.frexp(largest)[1], 0)) if extreme.any() else weight


def total_weight(
    mask: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return the sum of weights along the last axis, [..., n] -> [...]; the number of entries if ``weight`` is None.

    Args:
        mask: entries that are summed.
        weight: from :func:`real_weight`.
    """
    return mask.sum(axis=-1) if weight is None else np.where(mask, weight, 0.0).sum(axis=-1)


def n(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number of entries that count, whatever their weight: [..., n] -> [...]."""
    return counted(scores, labels, weight).sum(axis=-1)


def n_positive(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.int64]:
    """Number of diseased entries that count, whatever their weight: [..., n] -> [...]."""
    return (counted(scores, labels, weight) & (np.asarray(labels) == 1)).sum(axis=-1)


def weights(scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the weight of every entry, 0 where it does not count; arguments and errors as for :func:`counted`."""
    mask = counted(scores, labels, weight)
    real = real_weight(mask, weight)
    return mask.astype(np.float64) if real is None else real
