"""Intervals: hand-worked values, agreement with SciPy, and coverage by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from biasprop.statistics.intervals import bootstrap_interval, fieller_interval, t_interval, t_intervals


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


def test_bootstrap_agrees_with_scipy_and_repeats() -> None:
    values = np.random.default_rng(2).exponential(size=14)
    expected = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=9_999, rng=5).confidence_interval
    found = bootstrap_interval(np.append(values, np.nan))
    assert found == bootstrap_interval(values)
    assert found.method == "bootstrap"
    assert found[1:3] == pytest.approx((expected.low, expected.high), rel=0.05)


def test_bootstrap_is_refused_below_ten_replicates() -> None:
    values = np.arange(9.0)
    found = bootstrap_interval(values)
    assert found.method == "t"
    assert found[:4] == t_interval(values)[:4]
    assert "10 replicates, there are 9" in found.reason


def test_bootstrap_of_a_constant_is_a_point() -> None:
    assert bootstrap_interval(np.full(12, 0.25))[:4] == (0.25, 0.25, 0.25, 0.0)


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
    y = np.array([0.9, 1.0, 1.2])
    assert fieller_interval(0.5 * y, y)[:4] == pytest.approx((0.5, 0.5, 0.5, 0.0), abs=1e-7)


def test_fieller_without_a_denominator_is_nan_with_the_reason() -> None:
    found = fieller_interval([1.0, 2.0, 3.0], [-1.0, 0.2, 1.0])
    assert np.isnan(found[:4]).all()
    assert "holds 0" in found.reason
    assert "2 replicates" in fieller_interval([1.0, np.nan], [1.0, 1.0]).reason


RUNS = 2_000
TRUTH, RATIO = 0.3, 0.4


def coverage(interval: Callable[[np.ndarray, np.ndarray], tuple[float, float]], truth: float, n: int = 6) -> float:
    """Share of simulated studies (paired, correlated, normal) whose interval holds the truth."""
    random = np.random.default_rng(11)
    y = 1.0 + 0.2 * random.standard_normal((RUNS, n))
    x = truth * y + 0.1 * random.standard_normal((RUNS, n))
    held = [low <= truth <= high for low, high in (interval(x[i], y[i]) for i in range(RUNS))]
    return float(np.mean(held))


def is_nominal(share: float, level: float = 0.95) -> bool:
    """Within three Monte Carlo standard errors of the level."""
    return abs(share - level) < 3 * np.sqrt(level * (1 - level) / RUNS)


def test_t_interval_covers() -> None:
    assert is_nominal(coverage(lambda x, y: t_interval(x - TRUTH * y + TRUTH)[1:3], TRUTH))


def test_fieller_interval_covers() -> None:
    assert is_nominal(coverage(lambda x, y: fieller_interval(x, y)[1:3], RATIO))


def test_a_wrong_interval_fails_the_same_check() -> None:
    def wrong(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        values = x - TRUTH * y + TRUTH
        half = 1.96 * values.std(ddof=1) / len(values)  # sd / n instead of sd / sqrt n
        return values.mean() - half, values.mean() + half

    assert not is_nominal(coverage(wrong, TRUTH))
    assert not is_nominal(coverage(lambda x, y: t_interval(x - TRUTH * y + TRUTH, 0.92)[1:3], TRUTH))
