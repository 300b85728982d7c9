"""Variances of measures of groups of people, from the contribution of each person.

A person's contribution is how much the estimate moves with that person (the influence function). The variance of an
estimate is the sum of the squared contributions of independent people, and the covariance of two estimates the sum of
products over the people who are in both. For the AUC this is the estimate of DeLong et al. (Biometrics 44, 1988),
computed from ranks (Sun and Xu, IEEE Signal Process. Lett. 21, 2014); for a logistic regression the sandwich estimate
(White, Econometrica 50, 1982). Where several entries belong to one person (a cluster), contributions are summed within
the cluster first: for the AUC, Obuchowski (Biometrics 53, 1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from biasprop.metrics import calibration_intercept, calibration_slope
from biasprop.metrics.counts import scaled
from biasprop.metrics.weighted_ranks import share_below

BLOCK = 2**16
"""Clusters whose contributions to all estimates are stacked at a time."""


class Estimated(NamedTuple):
    """An estimate with its variance."""

    value: float
    variance: float
    contribution: NDArray[np.float64]
    """[cluster], summing to 0."""


def area(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    weight: NDArray[np.float64],
    cluster: NDArray[np.integer],
    clusters: int,
) -> Estimated:
    """Return the AUC with its variance: DeLong's where each entry is a cluster of its own and all weights are 1.

    Args:
        scores: [n], no NaN.
        labels: [n], 0 or 1.
        weight: [n], > 0.
        cluster: [n], the number of each entry's cluster, 0 to ``clusters`` - 1; without clusters, of the entry.
        clusters: how many there are; some may have no entry here.

    Returns:
        The value is NaN where a class is empty, the variance where a class has fewer than two clusters.
    """
    positive, negative = np.where(labels == 1, weight, 0.0), np.where(labels == 0, weight, 0.0)
    positives, negatives = positive @ np.ones(len(labels)), negative.sum()
    if not (positives > 0 and negatives > 0):
        return Estimated(np.nan, np.nan, np.full(clusters, np.nan))
    beaten = share_below(scores, negative)  # share of the healthy whose score is lower
    value = float(positive @ beaten / positives)
    above = _sums(positive * (beaten - value) / positives, cluster, clusters)
    del beaten  # of millions of scores
    beaten_by = 1.0 - share_below(scores, positive)  # share of the diseased whose score is higher
    under = _sums(negative * (beaten_by - value) / negatives, cluster, clusters)
    del beaten_by, positive, negative
    with_positive, with_negative = (_sums(labels == label, cluster, clusters) > 0 for label in (1, 0))
    variance = above @ above * _small_sample(with_positive) + under @ under * _small_sample(with_negative)
    if (with_positive & with_negative).any():
        variance += 2 * (above @ under) * _small_sample(with_positive | with_negative)
    return Estimated(value, float(variance), above + under)


def mean(values: NDArray, weight: NDArray[np.float64], cluster: NDArray[np.integer], clusters: int) -> Estimated:
    """Return a weighted mean with its variance (Taylor linearisation of a ratio of two totals).

    Args:
        values: [n]; bool for a share of entries.
        weight: [n], > 0.
        cluster: [n], as for :func:`area`.
        clusters: how many there are.

    Returns:
        NaN without entries; the variance of a share is share (1 - share) / n where each entry is a cluster of its own
        and all weights are 1.
    """
    total = weight.sum()
    if not total > 0:
        return Estimated(np.nan, np.nan, np.full(clusters, np.nan))
    value = float(weight @ values / total)
    contribution = _sums(weight * (values - value) / total, cluster, clusters)
    return Estimated(value, float(contribution @ contribution), contribution)


def calibration(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    weight: NDArray[np.float64],
    cluster: NDArray[np.integer],
    clusters: int,
    slope_free: bool,
) -> Estimated:
    """Return the calibration slope, or the intercept with the slope held at 1, with its sandwich variance.

    Args:
        scores: [n] log-odds, no NaN.
        labels: [n], 0 or 1.
        weight: [n], > 0.
        cluster, clusters: as for :func:`area`.
        slope_free: whether it is the slope.

    Returns:
        NaN where the metric is undefined.
    """
    metric = calibration_slope if slope_free else calibration_intercept
    value = float(metric(scores, labels, weight)) if len(labels) else np.nan
    if np.isnan(value):
        return Estimated(value, np.nan, np.full(clusters, np.nan))
    slope = value if slope_free else 1.0
    p = expit(float(calibration_intercept(slope * scores, labels, weight)) + slope * scores)
    spread = weight * p * (1 - p)
    # The weight of a score in the slope's equation, once the intercept is fitted; in the intercept's alone it is 1.
    part = scores - spread @ scores / spread.sum() if slope_free else np.ones(len(scores))
    contribution = _sums(weight * (labels - p) * part / (spread @ np.square(part)), cluster, clusters)
    return Estimated(value, float(contribution @ contribution), contribution)


def effective_number(weight: NDArray[np.float64], cluster: NDArray[np.integer]) -> float:
    """Return the number of clusters of equal weight that say as much as these: (sum w)^2 / sum w^2 (Kish, 1965).

    Args:
        weight: [n], > 0.
        cluster: [n], as for :func:`area`; weights are summed within a cluster.
    """
    total = scaled(_sums(weight, cluster, 0))
    return float(total.sum() ** 2 / (total @ total)) if total.any() else 0.0


def correlations(contributions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the correlations of estimates, [estimate, estimate], from the contributions to each, [cluster].

    They are 0 where no cluster contributes to both, and where an estimate has no variance.
    """
    products = np.zeros((len(contributions), len(contributions)))
    for start in range(0, len(contributions[0]), BLOCK):
        block = np.stack([one[start : start + BLOCK] for one in contributions])
        products += block @ block.T
    sd = np.sqrt(np.diag(products))
    scale = sd[:, None] * sd
    return np.where(scale > 0, products, 0.0) / np.where(scale > 0, scale, 1.0)


def _sums(values: NDArray, cluster: NDArray[np.integer], clusters: int) -> NDArray[np.float64]:
    return np.bincount(cluster, values, clusters).astype(np.float64, copy=False)  # integers, if of no entries


def _small_sample(inside: NDArray[np.bool_]) -> float:
    count = int(inside.sum())
    return count / (count - 1) if count > 1 else np.nan
