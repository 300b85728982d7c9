"""The paired t test, zones and the replicates a design needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from biasprop.statistics.tests import fewest, power_of, replicates_to_resolve, resolvable
from biasprop.statistics.verdict import zone


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.11, 0.30, "material"),
        (-0.30, -0.11, "material"),
        (-0.02, 0.05, "negligible"),
        (0.01, 0.05, "negligible"),  # also where 0 is left out
        (0.0, 0.0, "negligible"),
        (0.01, 0.30, "present, size unclear"),
        (0.10, 0.30, "present, size unclear"),  # wholly beyond the margin means more than the margin
        (-0.30, -0.01, "present, size unclear"),
        (-0.01, 0.10, "not resolved"),
        (0.0, 0.30, "not resolved"),
        (-np.inf, np.inf, "not resolved"),
        (np.nan, np.nan, ""),
    ],
)
def test_zones(low: float, high: float, word: str) -> None:
    assert zone(low, high, 0.1) == word
    assert zone(-high, -low, 0.1) == word


@pytest.mark.parametrize("replicates", [2, 3, 6, 20])
def test_resolvable_has_the_power_it_says(replicates) -> None:
    smallest = resolvable(0.05, replicates)
    assert power_of(smallest, 0.05, replicates) == pytest.approx(0.8, abs=1e-6)
    random = np.random.default_rng(8)
    values = smallest + 0.05 * random.standard_normal((2_000, replicates))
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(replicates))
    found = np.mean(np.abs(t) > stats.t.ppf(0.975, replicates - 1))
    assert found == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 2_000))


@pytest.mark.parametrize(("replicates", "contrast"), [(2, 0.0), (2, 0.3), (6, 0.05), (6, -0.08), (200, 0.01)])
def test_power_agrees_with_scipy(replicates: int, contrast: float) -> None:
    df, shift = replicates - 1, contrast * np.sqrt(replicates) / 0.05
    critical = stats.t.ppf(0.975, df)
    expected = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert power_of(contrast, 0.05, replicates) == pytest.approx(expected, rel=1e-9)


def test_resolvable_shrinks_with_replicates_and_spread() -> None:
    assert resolvable(0.05, 6) > resolvable(0.05, 7)
    assert resolvable(0.1, 6) == pytest.approx(2 * resolvable(0.05, 6))
    assert resolvable(0.0, 6) == 0.0
    assert np.isnan(resolvable(0.05, 1))
    assert np.isnan(resolvable(np.nan, 6))


def test_fewest_is_the_first_that_is_enough() -> None:
    assert [fewest(lambda n, first=first: n >= first) for first in (2, 3, 17, 10_000, 10_001)] == [
        2,
        3,
        17,
        10_000,
        None,
    ]


def test_replicates_to_resolve_looks_both_ways() -> None:
    clear = replicates_to_resolve(0.3, 0.1, margin=0.1)
    inside = replicates_to_resolve(0.0, 0.1, margin=0.1)
    edge = replicates_to_resolve(0.1, 0.1, margin=0.1)
    assert clear is not None and inside is not None and edge is not None
    assert clear < inside
    assert clear < edge
    assert replicates_to_resolve(0.1, 0.1, margin=0.1, alpha=0.005) > edge  # pyright: ignore[reportOptionalOperand]
    assert replicates_to_resolve(0.0, 1e4, margin=0.1) is None
