"""Intervals: hand-worked values and agreement with SciPy. ``tests/coverage`` has their coverage."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from biasprop.statistics.intervals import fieller_bounds, fieller_interval, t_interval, t_intervals


def test_t_interval_by_hand() -> None:
    # Mean 2, sd 1, n 3: standard error 1 / sqrt 3, t(0.975, 2) = 4.302653.
    found = t_interval([1.0, np.nan, 2.0, 3.0])
    assert found.value == 2.0
    assert found.se == pytest.approx(3**-0.5)
    assert found.high == pytest.approx(2 + 4.302653 * 3**-0.5, abs=1e-5)
    assert found.low == pytest.approx(2 - 4.302653 * 3**-0.5, abs=1e-5)


def test_t_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).standard_normal(7)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert t_interval(values, 0.9)[1:3] == pytest.approx((expected.low, expected.high))


def test_one_replicate_has_a_value_and_no_interval() -> None:
    found = t_interval([0.3, np.nan])
    assert found.value == 0.3
    assert np.isnan([found.low, found.high, found.se]).all()
    assert "2 replicates" in found.reason
    assert np.isnan(t_interval([np.nan]).value)


def test_t_intervals_are_t_interval_of_every_arm() -> None:
    values = np.random.default_rng(1).standard_normal((2, 3, 5))
    values[0, 0, 1] = values[1, 2, :4] = np.nan
    values[0, 1] = np.nan
    found = t_intervals(xr.DataArray(values, dims=("a", "b", "replicate")))
    for index in np.ndindex(2, 3):
        one = t_interval(values[index])
        for name in ("value", "low", "high", "se"):
            assert float(found[name][index]) == pytest.approx(getattr(one, name), nan_ok=True)
    assert found["replicates"].values.tolist() == [[4, 0, 5], [5, 5, 1]]


def test_fieller_holds_exactly_the_ratios_that_a_t_test_does_not_reject() -> None:
    random = np.random.default_rng(3)
    y = 1.0 + 0.3 * random.standard_normal(8)
    x = 0.5 * y + 0.2 * random.standard_normal(8)
    found = fieller_interval(x, y, 0.9)
    assert found.value == pytest.approx(x.mean() / y.mean())
    for bound in (found.low, found.high):
        assert float(stats.ttest_1samp(x - bound * y, 0.0)[1]) == pytest.approx(0.1)  # pyright: ignore[reportArgumentType]
    assert found.low < found.value < found.high


def test_fieller_of_a_fixed_ratio_is_a_point() -> None:
    y = np.array([0.9, 1.0, 1.2, 1.1])
    assert fieller_interval(0.5 * y, y)[:4] == pytest.approx((0.5, 0.5, 0.5, 0.0), abs=1e-7)


def test_fieller_is_not_offered_for_three_replicates() -> None:
    y = np.array([0.9, 1.0, 1.2, 1.1])
    x = 0.5 * y + np.array([0.01, -0.02, 0.0, 0.01])
    few, enough = fieller_interval(x[:3], y[:3]), fieller_interval(x, y)
    assert few.value == pytest.approx(x[:3].mean() / y[:3].mean())
    assert few.se > 0
    assert np.isnan([few.low, few.high]).all()
    assert few.reason == "Fieller's interval needs 4 replicates, there are 3"
    assert enough.low < enough.value < enough.high


def test_fieller_of_many_studies_is_fieller_of_each() -> None:
    random = np.random.default_rng(4)
    y = 0.4 + 0.5 * random.standard_normal((40, 6))
    x = 0.5 * y + 0.2 * random.standard_normal((40, 6))
    low, high = fieller_bounds(x, y, 0.9)
    each = [fieller_interval(a, b, 0.9) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(low, [one.low for one in each])
    np.testing.assert_allclose(high, [one.high for one in each])
    assert 0 < np.isnan(low).sum() < 40
    np.testing.assert_array_equal(np.isnan(low), stats.ttest_1samp(y, 0.0, axis=1).pvalue >= 0.1)  # pyright: ignore[reportAttributeAccessIssue]


def test_fieller_without_a_denominator_is_nan_with_the_reason() -> None:
    found = fieller_interval([1.0, 2.0, 3.0], [-1.0, 0.2, 1.0])
    assert np.isnan(found[:4]).all()
    assert "contains 0" in found.reason
    assert "4 replicates" in fieller_interval([1.0, np.nan], [1.0, 1.0]).reason
