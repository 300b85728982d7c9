"""Areas under the curve of one observer in several subgroups, whose subjects are the same: joint standard errors.

Every subject is rendered healthy and diseased in every subgroup (twins of label and subgroup). The area is then a
U-statistic over pairs of different subjects, and its variance follows from each subject's own component: DeLong's
estimate (Biometrics 44, 1988) with the subject as the cluster that holds one image of each class (Obuchowski,
Biometrics 53, 1997).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from biasprop.metrics.auc import midranks
from biasprop.statistics.tests import ALPHA


class Areas(NamedTuple):
    """Areas of several score functions on the same subjects."""

    area: NDArray[np.float64]
    """[k], in [0, 1]."""
    covariance: NDArray[np.float64]
    """[k, k]."""

    def interval(self, weights: ArrayLike) -> tuple[float, float, float]:
        """Return a weighted sum of the areas with its 95 % normal interval: value, low, high.

        Args:
            weights: [k]; ``(1, 0)`` is the first area, ``(1, -1)`` a difference.
        """
        w = np.asarray(weights, np.float64)
        value, half = float(w @ self.area), float(-ndtri(ALPHA / 2) * np.sqrt(w @ self.covariance @ w))
        return value, value - half, value + half


def paired_areas(low: ArrayLike, high: ArrayLike) -> Areas:
    """Estimate P(score of one subject in the high state > score of another in the low state), ties counting half.

    Args:
        low: [k, n] scores of n subjects in the low state (healthy), in each of k subgroups.
        high: [k, n] scores of the same subjects in the high state (diseased).

    Returns:
        Areas of the k rows and their covariance. Subjects are independent; everything of one subject may correlate.
    """
    below, above = np.asarray(low, np.float64), np.asarray(high, np.float64)
    n = below.shape[-1]
    both = midranks(np.concatenate([below, above], axis=-1))
    own = 0.5 * (np.sign(above - below) + 1)  # a subject is not compared with itself
    beaten = both[..., n:] - midranks(above) - own
    beaten_by = n - (both[..., :n] - midranks(below)) - own
    component = (beaten + beaten_by) / (n - 1)
    return Areas(component.mean(axis=-1) / 2, np.atleast_2d(np.cov(component)) / n)
