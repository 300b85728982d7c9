"""The same contrasts on every scale of a metric: an effect that adds on one scale need not add on another.

A model that loses the same share of z in every subgroup has a gap on z and none on log z. Where scales disagree about
the sign of a contrast, the contrast says how the scale counts as much as what the pretraining did.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Estimand
from biasprop.statistics.paired import paired
from biasprop.statistics.summary import Mean, OnScales
from biasprop.statistics.tests import ALPHA


def scales_of(name: str) -> tuple[str, ...]:
    """Return all scales of the metric that a scale is of, such as z, auc, log_z and efficiency of z."""
    return tuple(other for other, scale in SCALES.items() if scale.metric == SCALES[name].metric)


def on_scales(measures: xr.Dataset, estimands: Sequence[Estimand]) -> list[OnScales]:
    """Return the estimates of differences on every scale of their metric.

    Args:
        measures: from ``measure``.
        estimands: of the study. Exploratory ones are left out, and those that have a unit of their own, such as ratios,
            or a metric that has one scale.

    Returns:
        One row per estimate, in the order of the estimands and of the cube's levels.
    """
    return [
        row
        for estimand in estimands
        if (estimand.primary or estimand.secondary) and not estimand.unit and len(scales_of(estimand.scale)) > 1
        for row in _rows(measures, estimand)
    ]


def _rows(measures: xr.Dataset, estimand: Estimand) -> list[OnScales]:
    names = scales_of(estimand.scale)
    # A margin and a sign are of the scale they were stated on; neither is used here.
    contrasts = [paired(measures, estimand.model_copy(update={"scale": name})) for name in names]
    rows = []
    for row in zip(*contrasts, strict=True):
        means, reasons = {}, {}
        for name, contrast in zip(names, row, strict=True):
            found = contrast.interval(1 - ALPHA)
            means[name] = Mean(found.value, found.low, found.high, int((~np.isnan(contrast.values)).sum()))
            if np.isnan(found.value):
                reasons[name] = contrast.reason or found.reason
        signs = {np.sign(mean.low) for mean in means.values() if mean.low > 0 or mean.high < 0}
        rows.append(OnScales(estimand.name, row[0].subgroups, row[0].arm, means, reasons, len(signs) > 1))
    return rows
