"""The range between subgroups, its simultaneous interval, and every subgroup against the mean of all."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from scipy import stats

from biasprop.estimands import estimand
from biasprop.report.tables import tables, text
from biasprop.report.tidy_table import tabulated
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.statistics.simultaneous import mean_range, minus_mean
from biasprop.statistics.summary import summary_of
from tests.synthetic import synthetic_cube

NAMES = ("girl", "boy", "woman", "man")
FACTORS = {"labels": (50, 200)}
AT = {"labels": 50}
Z = np.array([[1.0, 1.2, 1.9, 1.4], [1.1, 1.1, 2.0, 1.3], [0.9, 1.3, 2.1, 1.5]])
"""[replicate, subgroup]; woman is best and girl worst."""


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    found = measure(synthetic_cube(FACTORS, replicates=3, draws=1, subjects=40, subgroups=NAMES), 0.8)
    given = xr.DataArray(Z, dims=("replicate", "subgroup"))
    return found.assign({name: (given + 0.0 * found["z"]).transpose(*found["z"].dims) for name in ("z", "brier")})


def test_by_hand(measures: xr.Dataset) -> None:
    (found,) = estimates(measures, [estimand("best_minus_worst", name="range", at=AT)])
    differences = Z[:, 2] - Z[:, 0]
    half = stats.t.ppf(1 - 0.05 / 12, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert found.value == pytest.approx(1.0) and found.subgroups == ("woman", "girl")
    assert found.high >= differences.mean() + half and found.low >= differences.mean() - half
    bounds = []
    for a in range(4):
        for b in range(4):
            if a != b:
                apart = Z[:, a] - Z[:, b]
                reach = stats.t.ppf(1 - 0.05 / 12, 2) * apart.std(ddof=1) / np.sqrt(3)
                bounds.append((apart.mean() - reach, apart.mean() + reach))
    low, high = np.array(bounds).T
    assert (found.low, found.high) == pytest.approx((max(low.max(), 0.0), high.max()))
    assert "best woman, worst girl; biased upwards" in found.reason
    assert (found.method, found.verdict) == ("simultaneous t", "") and np.isnan(found.zone_low)


def test_of_a_list_and_where_low_is_good(measures: xr.Dataset) -> None:
    some, low = estimates(
        measures,
        [
            estimand("best_minus_worst", name="some", subgroups=("girl", "boy", "man"), at=AT),
            estimand("best_minus_worst", name="brier", scale="brier", at=AT),
        ],
    )
    assert some.subgroups == ("man", "girl") and some.value == pytest.approx(0.4)
    assert low.subgroups == ("girl", "woman") and low.value == pytest.approx(1.0), "never negative"


def test_it_is_of_subgroups_and_not_of_their_groups(measures: xr.Dataset) -> None:
    """Groups are further entries of the dim, after the subgroups."""
    as_group = measures.assign_attrs(measures.attrs | {"subgroups": 3})
    (found,) = estimates(as_group, [estimand("best_minus_worst", name="range", at=AT)])
    assert found.subgroups == ("woman", "girl")
    as_group = measures.isel(subgroup=[0, 1, 3, 2]).assign_attrs(as_group.attrs)
    (found,) = estimates(as_group, [estimand("best_minus_worst", name="range", at=AT)])
    assert found.subgroups == ("man", "girl")


def test_a_replicate_that_lacks_one_subgroup_is_left_out_of_all(measures: xr.Dataset) -> None:
    lacking = measures.copy(deep=True)
    lacking["z"].loc[{"replicate": 1, "subgroup": "boy", "labels": 50}] = np.nan
    (found,) = estimates(lacking, [estimand("best_minus_worst", name="range", at=AT)])
    assert found.replicates == 2 and found.value == pytest.approx((0.9 + 1.2) / 2)
    assert found.reason.startswith("1 of 3 replicates left out: 1 undefined")


def test_the_interval_of_two_subgroups_is_that_of_their_difference() -> None:
    found = mean_range(Z[:, [0, 2]])
    plain = stats.ttest_rel(Z[:, 2], Z[:, 0]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_subgroups_against_the_mean_of_all_by_hand() -> None:
    value, low, high = minus_mean(Z)
    apart = Z - Z.mean(axis=1, keepdims=True)
    half = stats.t.ppf(1 - 0.05 / 8, 2) * apart.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose([value, low, high], [apart.mean(0), apart.mean(0) - half, apart.mean(0) + half])
    assert np.isnan(minus_mean(Z[:1])[1]).all() and np.isnan(mean_range(Z[:1]).low)


def test_reports_have_a_row_for_every_subgroup(measures: xr.Dataset) -> None:
    summary = summary_of(measures, [estimand("best_minus_worst", name="range", at=AT)])
    assert [row.subgroup for row in summary.against_mean] == list(NAMES)
    assert sum(row.mean.value for row in summary.against_mean) == pytest.approx(0.0)
    printed = text(tables(summary), 250)
    assert "All subgroups, simultaneous" in printed and "range" in printed and "best woman, worst girl" in printed
    rows = tabulated(summary).query("table == 'subgroup'")
    assert rows["subgroup"].tolist() == list(NAMES) and rows["name"].unique().tolist() == ["range"]
    (stated,) = tabulated(summary).query("table == 'estimand'").to_dict(orient="records")
    assert (stated["subgroup"], stated["against"]) == ("woman", "girl")
    none = summary_of(measures.isel(labels=[1]), [estimand("best_minus_worst", name="range", at=AT)])
    assert none.against_mean == [] and none.estimates[0].verdict == ""


def test_it_is_never_primary_and_its_subgroups_are_different() -> None:
    with pytest.raises(ValidationError, match="cannot be primary"):
        estimand("best_minus_worst", name="range", primary=True)
    with pytest.raises(ValidationError, match="girl is named more than once"):
        estimand("best_minus_worst", name="range", subgroups=("girl", "boy", "girl"))
    with pytest.raises(ValidationError, match="at least 2"):
        estimand("best_minus_worst", name="range", subgroups=("girl",))
