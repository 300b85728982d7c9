"""Measures of a mixed test population against a test set that is really mixed, and their limits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from biasprop.statistics.measures import measure, per_replicate
from biasprop.statistics.pooled import MIX, mixes, pooled
from tests.synthetic import synthetic_cube

ARM = {"pretraining": "all light", "protocol": "full", "labels": 50}


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return synthetic_cube(replicates=3, subjects=400, effect=1.2, diverged=1)


@pytest.fixture(scope="module")
def measures(cube: xr.Dataset) -> xr.Dataset:
    return measure(cube, 0.8)


def test_a_mix_is_that_of_a_test_set_with_copies_in_its_shares(cube: xr.Dataset, measures: xr.Dataset) -> None:
    found = pooled(cube, measures, mixes(["light", "dark"], "dark", [0.25])).sel(ARM).isel({MIX: 0})
    for replicate in range(3):
        one = cube.sel(ARM).isel(replicate=replicate, draw=0)
        scores = np.concatenate(
            [np.tile(one.score.sel(subgroup=name).values, n) for name, n in (("light", 3), ("dark", 1))]
        )
        label = np.tile(one.label.values, 4)
        threshold = measures["threshold"].sel(ARM).isel(replicate=replicate, draw=0).item()
        if np.isnan(threshold):
            assert np.isnan(found.isel(replicate=replicate)["auc"])
            continue
        assert found["auc"][replicate] == pytest.approx(roc_auc_score(label, scores))
        called = scores >= threshold
        assert found["sensitivity"][replicate] == pytest.approx(called[label == 1].mean())
        assert found["specificity"][replicate] == pytest.approx(1 - called[label == 0].mean())


def test_a_mix_of_one_subgroup_is_that_subgroup(cube: xr.Dataset, measures: xr.Dataset) -> None:
    found = pooled(cube, measures, np.eye(2)).rename({MIX: "subgroup"}).assign_coords(subgroup=["light", "dark"])
    for name in ("auc", "sensitivity", "specificity"):
        own = per_replicate(measures, name)
        np.testing.assert_allclose(found[name].transpose(*own.dims), own, equal_nan=True)
    assert found["auc"].isnull().any() and found["auc"].notnull().any(), "a replicate that diverged has none"


def test_a_factor_may_have_any_name(cube: xr.Dataset, measures: xr.Dataset) -> None:
    names = {"pretraining": "mix", "protocol": "other"}
    renamed = pooled(cube.rename(names), measures.rename(names), np.eye(2))
    xr.testing.assert_identical(renamed, pooled(cube, measures, np.eye(2)).rename(names))


def test_who_is_sicker_counts_for_more_among_the_diseased() -> None:
    cube = synthetic_cube(replicates=2, subjects=400)
    truth = cube["label"].isel(pretraining=0, labels=0, protocol=0, replicate=0).values
    judged = np.stack([truth.astype(float), truth.astype(float)])
    healthy = np.flatnonzero(truth == 0)
    judged[1, healthy[: len(healthy) * 3 // 4]] = -1  # of the dark, few healthy ones are counted
    cube = cube.assign_coords(judged_label=(("subgroup", "subject"), judged))
    measures = measure(cube, 0.8)
    found = pooled(cube, measures, [[0.5, 0.5]]).isel({MIX: 0})
    sensitivity, specificity = (per_replicate(measures, name) for name in ("sensitivity", "specificity"))
    prevalence = (truth == 1).mean(), (truth == 1).sum() / (judged[1] >= 0).sum()
    a = np.array(prevalence) / sum(prevalence)
    b = (1 - np.array(prevalence)) / (2 - sum(prevalence))
    weight = xr.DataArray([a, b], dims=("class", "subgroup"))
    for name, own, row in (("sensitivity", sensitivity, 0), ("specificity", specificity, 1)):
        expected = (own * weight.isel({"class": row})).sum("subgroup")
        np.testing.assert_allclose(found[name].transpose(*expected.dims), expected)
    assert a[1] > 0.6 > 0.4 > b[1]


def test_overall_can_be_above_every_subgroup_or_below() -> None:
    """Where one subgroup scores higher as a whole, scores are compared across: half of what is pooled is not in any
    subgroup's own AUC."""
    cube = synthetic_cube({"pretraining": ("50/50",)}, replicates=2, draws=1, subjects=400)
    apart = cube.copy(deep=True)
    apart["score"].loc[{"subgroup": "dark"}] += 50.0
    for one, below in ((cube, False), (apart, True)):
        measures = measure(one, 0.8)
        overall = float(pooled(one, measures, [[0.5, 0.5]])["auc"].mean())
        own = per_replicate(measures, "auc").mean("replicate")
        assert (overall < float(own.min())) == below


def test_shares_are_split_evenly_among_the_others() -> None:
    np.testing.assert_allclose(mixes(["a", "b", "c"], "b", [0, 0.4, 1]), [[0.5, 0, 0.5], [0.3, 0.4, 0.3], [0, 1, 0]])
