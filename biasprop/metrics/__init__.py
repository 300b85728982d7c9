"""Metrics: functions of scores, labels and weights, vectorised over leading axes. NumPy, SciPy and pandas (for ranks).

A metric takes ``scores[..., n]`` (log-odds of disease), what its entry in :data:`METRICS` says it needs, such as
``labels[..., n]`` (0 or 1), and ``weight[..., n]`` (>= 0; None means all 1), and returns one value per leading index.
An entry counts if its weight is above 0, its label is not negative and its score is not NaN; other entries are padding
and change nothing. Weights may be sampling weights or, in a bootstrap, how often an entry is drawn; only their ratios
matter. An undefined value is NaN, never 0 or 1; the counts ``n`` and ``n_positive`` of entries say why.

To add a metric, write it in a file of its own and add one line to :data:`METRICS`. ``statistics.measures.measure`` then
computes it for every cube, also for stored ones; it is in ``biasprop.dataframe`` with its gap between subgroups and its
worst subgroup, estimands can be stated on it (``scale``), and ``python -m biasprop.draw`` draws it. With ``table`` and
``heading`` it is a column of a printed table. With ``derived`` estimands can also be stated on scales that are computed
from it and not defined everywhere. Contract: ``tests/metrics/test_metric_contract.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from biasprop.metrics.auc import auc, auc_of_z, z_of_auc
from biasprop.metrics.binormal import sensitivity_loss
from biasprop.metrics.brier import brier
from biasprop.metrics.calibration import calibration_intercept, calibration_slope, calibration_undefined
from biasprop.metrics.counts import n, n_positive
from biasprop.metrics.derived_scales import MIN_Z, efficiency, log_z
from biasprop.metrics.expected_calibration_error import ece, ece_expected
from biasprop.metrics.metric import Derived, Link, Metric, Scale, scales
from biasprop.metrics.net_benefit import net_benefit
from biasprop.metrics.threshold import npv, operating_threshold, ppv, sensitivity, specificity, underdiagnosis
from biasprop.metrics.twins import flip_rate, score_shift

AT_THRESHOLD = ("labels", "threshold")

OF_AUC = (
    Derived("log_z", "log z(AUC)", "z", log_z, f"z is at most {MIN_Z:g}"),
    Derived(
        "efficiency", "efficiency", "z", efficiency, "the AUC of the ideal observer is not known exactly", ("ideal_z",)
    ),
)

METRICS: Mapping[str, Metric] = {
    "auc": Metric(auc, "AUC", direction=1, link=Link("z", "z(AUC)", z_of_auc, auc_of_z), derived=OF_AUC),
    "sensitivity": Metric(sensitivity, "sensitivity", AT_THRESHOLD, 1, table="operating point", heading="sens."),
    "specificity": Metric(specificity, "specificity", AT_THRESHOLD, 1, table="operating point", heading="spec."),
    "underdiagnosis": Metric(
        underdiagnosis, "underdiagnosis rate", AT_THRESHOLD, -1, table="operating point", heading="underdiag."
    ),
    "ppv": Metric(ppv, "positive predictive value", AT_THRESHOLD, 1),
    "npv": Metric(npv, "negative predictive value", AT_THRESHOLD, 1),
    "calibration_intercept": Metric(
        calibration_intercept,
        "calibration intercept",
        unit="log-odds",
        table="calibration",
        heading="intercept",
        signed=True,
    ),
    "calibration_slope": Metric(calibration_slope, "calibration slope", table="calibration", heading="slope"),
    "ece": Metric(ece, "expected calibration error", direction=-1, table="calibration", heading="ECE"),
    "ece_expected": Metric(
        ece_expected, "expected calibration error if calibrated", table="calibration", heading="expected"
    ),
    "brier": Metric(brier, "Brier score", direction=-1),
    "net_benefit": Metric(net_benefit, "net benefit", ("labels", "threshold_probability"), 1, unit="per subject"),
    "n": Metric(n, "test subjects", count=True, table="calibration", heading="n", digits=0),
    "n_positive": Metric(
        n_positive, "test subjects with disease", count=True, table="calibration", heading="n+", digits=0
    ),
    "flip_rate": Metric(
        flip_rate,
        "share of decisions that differ between twins",
        ("threshold",),
        -1,
        twins=True,
        table="operating point",
        heading="twin\nflips",
    ),
    "score_shift": Metric(
        score_shift,
        "score difference of twins",
        (),
        unit="log-odds",
        twins=True,
        table="operating point",
        heading="score\nshift",
        signed=True,
    ),
}
"""Name -> metric."""

SCALES: Mapping[str, Scale] = scales(METRICS)
"""Measures of one subgroup that contrasts can be taken of: name -> what is known of it."""

__all__ = [
    "METRICS",
    "SCALES",
    "Metric",
    "auc",
    "auc_of_z",
    "brier",
    "calibration_intercept",
    "calibration_slope",
    "calibration_undefined",
    "ece",
    "ece_expected",
    "efficiency",
    "flip_rate",
    "log_z",
    "n",
    "n_positive",
    "net_benefit",
    "npv",
    "operating_threshold",
    "ppv",
    "score_shift",
    "sensitivity",
    "sensitivity_loss",
    "specificity",
    "underdiagnosis",
    "z_of_auc",
]
