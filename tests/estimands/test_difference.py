"""The difference of two arms, by hand and where it can be given for several subgroups."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from biasprop.estimands import estimand
from biasprop.report.tables import tables, text
from biasprop.report.tidy_table import tabulated
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure, per_replicate
from biasprop.statistics.summary import summary_of
from tests.synthetic import synthetic_cube, true_gap

AT = {"pretraining": "all dark", "labels": 50, "protocol": "linear_probe"}
BALANCED = {"pretraining": "50/50"}


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    return measure(synthetic_cube(replicates=6, subjects=400, seed=1), 0.8)


def test_by_hand(measures: xr.Dataset) -> None:
    one = estimand("difference", name="loss", subgroup="light", at=AT, minus=BALANCED, primary=True)
    (found,) = estimates(measures, [one])
    z = per_replicate(measures, "z").sel(subgroup="light")
    values = (z.sel(AT) - z.sel(AT | BALANCED)).values
    assert found.value == pytest.approx(values.mean()) and found.se == pytest.approx(values.std(ddof=1) / np.sqrt(6))
    assert found.subgroups == ("light",) and found.arm == AT and found.method == "t"


def test_the_known_effect_is_found(measures: xr.Dataset) -> None:
    """Each subgroup has half of the effect: the skewed mix lowers one and raises the other."""
    found = estimates(measures, [estimand("difference", name="change", at=AT, minus=BALANCED)])
    assert [one.subgroups for one in found] == [("light",), ("dark",)]
    half = true_gap("all dark", 50) / 2
    for one, truth in zip(found, (half, -half), strict=True):
        assert abs(one.value - truth) < 5 * one.se


def test_it_is_paired_by_replicate(measures: xr.Dataset) -> None:
    """What a replicate adds to both arms leaves no trace in the interval."""
    noise = xr.DataArray(np.array([9.0, -3.0, 0.0, 4.0, -7.0, 1.0]), dims="replicate")
    noisy = measures.assign(z=(measures["z"] + noise).transpose(*measures["z"].dims))
    one = estimand("difference", name="change", subgroup="dark", at=AT, minus=BALANCED)
    (quiet,), (loud,) = estimates(measures, [one]), estimates(noisy, [one])
    np.testing.assert_allclose([loud.low, loud.high], [quiet.low, quiet.high], rtol=1e-6)


def test_a_difference_of_differences_is_the_excess_gap(measures: xr.Dataset) -> None:
    light, dark = estimates(measures, [estimand("difference", name="change", at=AT, minus=BALANCED)])
    excess = {"subgroups": ("light", "dark"), "factor": "pretraining", "reference": "50/50", "at": AT}
    (gap,) = estimates(measures, [estimand("excess_gap", name="excess", **excess)])
    assert light.value - dark.value == pytest.approx(gap.value)


def test_the_arm_that_is_subtracted_may_differ_in_several_factors(measures: xr.Dataset) -> None:
    minus = {"pretraining": "scratch", "labels": 1000}
    found = estimates(
        measures, [estimand("difference", name="d", subgroup="dark", scale="brier", margin=0.01, minus=minus)]
    )
    assert len(found) == 4 * 3 * 2 - 2, "every arm but the two that are subtracted"
    brier = per_replicate(measures, "brier").sel(subgroup="dark")
    one = next(each for each in found if each.arm == AT)
    assert one.value == pytest.approx(float((brier.sel(AT) - brier.sel(AT | minus)).mean()))


def test_reports_name_the_subgroup(measures: xr.Dataset) -> None:
    stated = [estimand("difference", name="change", at=AT, minus=BALANCED)]
    summary = summary_of(measures, stated)
    assert "dark, all dark, labels 50" in text(tables(summary), 250)
    rows = tabulated(summary).query("table == 'estimand'")
    assert rows["subgroup"].tolist() == ["light", "dark"] and np.all(rows["against"].isna())
