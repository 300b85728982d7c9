"""Weights of smaller and of equal scores: what ranks are where every weight is 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sorted(NamedTuple):
    """Scores in increasing order; equal ones form a run."""

    order: NDArray[np.intp]
    """[..., n] index of each in the order given."""
    scores: NDArray[np.floating]
    """[..., n]."""
    first: NDArray[np.intp]
    """[..., n] where the run of each starts."""
    last: NDArray[np.intp]
    """[..., n] where the run of each ends."""


def sort_scores(scores: NDArray[np.floating], ndim: int) -> Sorted:
    """Sort scores along the last axis.

    Args:
        scores: [..., n]; NaN goes last and equals nothing.
        ndim: of the weights that go with them. One row of scores serves several rows of weights and is sorted once.
    """
    scores = scores.reshape((1,) * (ndim - scores.ndim) + scores.shape)
    order = np.argsort(scores, axis=-1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=-1)
    size = ordered.shape[-1]
    place = np.broadcast_to(np.arange(size), ordered.shape)
    change = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*ordered.shape[:-1], min(size, 1)), bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, change], axis=-1), place, 0), axis=-1)
    ends = np.where(np.concatenate([change, edge], axis=-1), place, size)
    del place
    return Sorted(order, ordered, first, np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1])


def running(values: NDArray[np.float64], by: Sorted) -> NDArray[np.float64]:
    """Return sums of the first 0, 1, ..., n values in the order of the scores: [..., n] -> [..., n + 1]."""
    sums = np.cumsum(np.take_along_axis(values, by.order, axis=-1), axis=-1)
    return np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)


def share_below(scores: NDArray[np.floating], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each entry the share of the weight at smaller scores, plus half of that at equal ones.

    Args:
        scores: [..., n], as for :func:`sort_scores`.
        weight: [..., n], >= 0.

    Returns:
        [..., n] in the order of the entries; exactly 0 below and 1 above all weight, NaN where there is no weight.
    """
    by = sort_scores(scores, weight.ndim)
    order, first, last = by.order, by.first, by.last
    sums = running(weight, by)
    del by  # one array of millions of scores less
    shares = np.take_along_axis(sums, first, axis=-1)
    shares += np.take_along_axis(sums[..., 1:], last, axis=-1)
    shares *= 0.5
    total = sums[..., -1:]
    shares /= np.where(total > 0, total, np.nan)
    found = np.empty_like(shares)
    np.put_along_axis(found, order, shares, axis=-1)  # from the sorted order to that of the entries
    return found
