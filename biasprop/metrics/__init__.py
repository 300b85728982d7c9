"""Metrics: functions of scores, labels and weights, vectorised over leading axes. NumPy, SciPy and pandas (for ranks).

A metric takes ``scores[..., n]`` (log-odds of disease), ``labels[..., n]`` (0 or 1) and ``weight[..., n]`` (>= 0; None
means all 1) and returns one value per leading index. An entry counts if its weight is above 0, its label is not
negative and its score is not NaN; other entries are padding and change nothing. Weights may be sampling weights or, in
a bootstrap, how often an entry is drawn; only their ratios matter. An undefined value is NaN, never 0 or 1; the counts
``n`` and ``n_positive`` of entries say why.

To add a metric, write it in a file of its own and add one line to the table below that has its signature
(:data:`METRICS`, :data:`THRESHOLD_METRICS` or :data:`TWIN_METRICS`); ``statistics.measures.measure`` then computes it
for every cube.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from biasprop.metrics.auc import auc, z_of_auc
from biasprop.metrics.calibration import calibration_intercept, calibration_slope
from biasprop.metrics.counts import n, n_positive
from biasprop.metrics.expected_calibration_error import ece, ece_expected
from biasprop.metrics.threshold import operating_threshold, sensitivity, specificity, underdiagnosis
from biasprop.metrics.twins import flip_rate, score_shift

METRICS: Mapping[str, Callable[..., np.ndarray]] = {
    "auc": auc,
    "calibration_intercept": calibration_intercept,
    "calibration_slope": calibration_slope,
    "ece": ece,
    "ece_expected": ece_expected,
    "n": n,
    "n_positive": n_positive,
}
"""Per subgroup: ``f(scores[..., n], labels[..., n], weight=None) -> [...]``."""

THRESHOLD_METRICS: Mapping[str, Callable[..., np.ndarray]] = {
    "sensitivity": sensitivity,
    "specificity": specificity,
    "underdiagnosis": underdiagnosis,
}
"""Per subgroup at a threshold: ``f(scores[..., n], labels[..., n], threshold[...], weight=None) -> [...]``."""

TWIN_METRICS: Mapping[str, Callable[..., np.ndarray]] = {
    "flip_rate": flip_rate,
    "score_shift": score_shift,
}
"""Across the twins of a subject: ``f(scores[..., subgroup, n], threshold[...], weight[..., n]=None) -> [...]``."""

__all__ = [
    "METRICS",
    "THRESHOLD_METRICS",
    "TWIN_METRICS",
    "auc",
    "calibration_intercept",
    "calibration_slope",
    "ece",
    "ece_expected",
    "flip_rate",
    "n",
    "n_positive",
    "operating_threshold",
    "score_shift",
    "sensitivity",
    "specificity",
    "underdiagnosis",
    "z_of_auc",
]
