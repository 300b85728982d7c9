"""Measures of a test population of any mix of subgroups: what an audit that does not stratify would report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from biasprop.metrics import auc
from biasprop.statistics.measures import evaluation_labels, per_replicate
from biasprop.status import Status

MIX, OTHER = "test mix", "other subgroup"
"""Dims that no factor can have, because names of factors have no spaces."""


def pooled(cube: xr.Dataset, measures: xr.Dataset, shares: ArrayLike) -> xr.Dataset:
    """Compute measures of all subgroups together, without drawing another test set.

    A diseased subject of the mix is of subgroup g with probability a_g, proportional to share x prevalence, and a
    healthy one with b_g, proportional to share x (1 - prevalence). So the AUC of the mix is the sum over g and h of
    a_g b_h P(score of a diseased subject of g > score of a healthy one of h), its sensitivity the sum of a_g times the
    subgroup's, and its specificity that of b_g times the subgroup's. Pairs of two subgroups
    count too, so the AUC of a mix can be below or above that of all its subgroups.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        measures: from ``measure``, of that cube.
        shares: [mix, subgroup], each row summing to 1: P(subgroup) in the test population.

    Returns:
        auc, sensitivity and specificity (at the common threshold), each (factors, replicate, :data:`MIX`); draws
        averaged, NaN where a draw of the replicate is missing.
    """
    share = xr.DataArray(np.asarray(shares, np.float64), dims=(MIX, "subgroup"))
    prevalence = measures["n_positive"] / measures["n"].where(measures["n"] > 0)
    diseased, healthy = share * prevalence, share * (1 - prevalence)
    diseased, healthy = diseased / diseased.sum("subgroup"), healthy / healthy.sum("subgroup")
    across = _across(cube)
    found = {
        "auc": (across * diseased * healthy.rename(subgroup=OTHER)).sum(["subgroup", OTHER], skipna=False),
        "sensitivity": (diseased * measures["sensitivity"]).sum("subgroup", skipna=False),
        "specificity": (healthy * measures["specificity"]).sum("subgroup", skipna=False),
    }
    by_draw = xr.Dataset(found).assign(status=measures["status"])
    return xr.Dataset({name: per_replicate(by_draw, name) for name in found})


def _across(cube: xr.Dataset) -> xr.DataArray:
    """P(score of a diseased subject of ``subgroup`` > score of a healthy one of ``other``) of every draw."""
    status = cube["status"].values
    ok = np.nonzero(status == Status.OK)
    scores = cube["score"].values[ok]  # [row, subgroup, subject]
    labels = np.broadcast_to(evaluation_labels(cube)[ok[:-1]], scores.shape)
    count = scores.shape[1]
    areas = np.full((*status.shape, count, count), np.nan)
    for g in range(count):
        for h in range(count):
            areas[(*ok, g, h)] = _area(scores[:, g], labels[:, g] == 1, scores[:, h], labels[:, h] == 0)
    return xr.DataArray(areas, dims=(*cube["status"].dims, "subgroup", OTHER))


def _area(one: NDArray, diseased: NDArray, other: NDArray, healthy: NDArray) -> NDArray[np.float64]:
    label = np.concatenate([np.where(diseased, 1, -1), np.where(healthy, 0, -1)], axis=-1)  # -1 is not counted
    return auc(np.concatenate([one, other], axis=-1), label)


def mixes(subgroups: Sequence[str], varied: str, shares: ArrayLike) -> NDArray[np.float64]:
    """Return mixes [mix, subgroup] in which one subgroup has these shares and the others split the rest equally.

    Args:
        subgroups: all of them, at least two.
        varied: the subgroup whose share is given.
        shares: [mix] in [0, 1].
    """
    share = np.asarray(shares, np.float64)[:, None]
    own = np.array([name == varied for name in subgroups])
    return np.where(own, share, (1 - share) / (len(subgroups) - 1))
