"""Every subgroup against the mean of all, beside the estimates that compare all subgroups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from biasprop.statistics.estimand import Estimand
from biasprop.statistics.paired import paired
from biasprop.statistics.simultaneous import minus_mean
from biasprop.statistics.summary import AgainstMean, Mean


def against_mean(measures: xr.Dataset, estimands: Sequence[Estimand]) -> list[AgainstMean]:
    """Return every subgroup against the mean of all, at every arm of the estimands that compare all subgroups.

    Args:
        measures: from ``measure``.
        estimands: of the study; those of other kinds are left out.

    Returns:
        One row per estimand, arm and subgroup; without a value where no replicate has all subgroups.
    """
    rows = []
    for contrast in (c for e in estimands if e.interval == "simultaneous" for c in paired(measures, e)):
        values = contrast.values.reshape(len(contrast.values), -1)
        values = values[~np.isnan(values).any(axis=1)]
        if values.shape[1] < 2:
            continue  # the arm is not in the store, or there is one subgroup
        missing = np.full(values.shape[1], np.nan)
        columns = minus_mean(values) if len(values) else (missing, missing, missing)
        for subgroup, value, low, high in zip(contrast.subgroups, *(c.tolist() for c in columns), strict=True):
            mean = Mean(value, low, high, len(values))
            rows.append(AgainstMean(contrast.estimand.name, contrast.arm, contrast.estimand.scale, subgroup, mean))
    return rows
