"""Tests, Holm's procedure, verdicts and the replicates a design needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from biasprop.statistics.intervals import t_interval
from biasprop.statistics.tests import (
    difference_p,
    equivalence_p,
    fewest,
    holm,
    power_of,
    ratio_equivalence_p,
    replicates_to_resolve,
    resolvable,
)
from biasprop.statistics.verdict import verdict

VALUES = np.array([0.11, 0.02, 0.07, -0.03, 0.05, 0.09])


def t_p(values: np.ndarray, alternative: str = "two-sided") -> float:
    """p of SciPy's one-sample t test against 0."""
    return float(stats.ttest_1samp(values, 0.0, alternative=alternative)[1])  # pyright: ignore[reportArgumentType]


def test_difference_agrees_with_scipy() -> None:
    assert difference_p(np.append(VALUES, np.nan)) == pytest.approx(t_p(VALUES))


def test_equivalence_agrees_with_two_one_sided_tests() -> None:
    below = t_p(VALUES - 0.1, "less")
    above = t_p(VALUES + 0.1, "greater")
    assert equivalence_p(VALUES, 0.1) == pytest.approx(2 * max(below, above))
    assert equivalence_p(-VALUES, 0.1) == pytest.approx(2 * max(below, above))
    assert equivalence_p(VALUES + 0.1, 0.1) == 1.0


def test_equivalence_is_the_interval_inside_the_margin() -> None:
    many = 0.05 + 0.08 * np.random.default_rng(9).standard_normal((200, 5))
    inside = [abs(t_interval(row).low) < 0.1 and abs(t_interval(row).high) < 0.1 for row in many]
    assert ((equivalence_p(many, 0.1) < 0.05) == inside).all()
    assert 0 < sum(inside) < 200


def test_equivalence_of_a_ratio_turns_with_the_denominator() -> None:
    y = 1.0 + VALUES
    expected = 2 * max(
        t_p(VALUES - 0.2 * y, "less"),
        t_p(VALUES + 0.2 * y, "greater"),
    )
    assert ratio_equivalence_p(VALUES, y, 0.2) == pytest.approx(expected)
    assert ratio_equivalence_p(VALUES, -y, 0.2) == pytest.approx(expected)


def test_no_spread_is_certain_and_too_few_are_nan() -> None:
    assert difference_p(np.zeros(4)) == 1.0
    assert difference_p(np.full(4, 0.02)) == 0.0
    assert equivalence_p(np.full(4, 0.02), 0.1) == 0.0
    assert equivalence_p(np.full(4, 0.2), 0.1) == 1.0
    for p in (difference_p([0.3]), equivalence_p([0.3, np.nan], 0.1), ratio_equivalence_p([1.0], [1.0], 0.1)):
        assert np.isnan(p)


def test_many_at_once_are_each_alone() -> None:
    many = np.random.default_rng(5).standard_normal((3, 4, 6))
    many[0, 0, :2] = many[1, 1, :5] = np.nan
    below = 1.0 + many
    for index in np.ndindex(3, 4):
        assert difference_p(many)[index] == pytest.approx(difference_p(many[index]), nan_ok=True)
        assert equivalence_p(many, 0.5)[index] == pytest.approx(equivalence_p(many[index], 0.5), nan_ok=True)
        alone = ratio_equivalence_p(many[index], below[index], 0.5)
        assert ratio_equivalence_p(many, below, 0.5)[index] == pytest.approx(alone, nan_ok=True)
    assert np.isnan(difference_p(many)).sum() == 1


def test_holm_by_hand() -> None:
    adjusted, factor = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(factor, [3, 1.5, 2, 4])  # 0.04 is overtaken by 2 * 0.03
    np.testing.assert_allclose(holm([0.6, 0.7])[0], [1.0, 1.0])
    np.testing.assert_allclose(holm([0.0, 0.5])[1], [2, 1])


def test_holm_counts_what_is_not_there() -> None:
    adjusted, _ = holm([0.01, np.nan, np.nan])
    np.testing.assert_allclose(adjusted, [0.03, np.nan, np.nan])
    assert holm([])[0].shape == (0,)


def test_holm_keeps_the_family_wise_error() -> None:
    p = np.random.default_rng(6).uniform(size=(3_000, 8))
    wrong = np.mean([(holm(row)[0] < 0.05).any() for row in p])
    assert wrong == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 3_000))
    assert np.mean((p < 0.05).any(axis=1)) > 0.3  # what it prevents


def test_the_factor_makes_intervals_that_agree_with_the_adjusted_test() -> None:
    p = np.random.default_rng(7).beta(0.3, 2.0, size=(500, 6))
    for row in p:
        adjusted, factor = holm(row)
        assert ((adjusted < 0.05) == (row < 0.05 / factor)).all()


@pytest.mark.parametrize(
    ("value", "difference", "equivalence", "expected", "word"),
    [
        (0.02, 0.30, 0.01, 1, "erased"),
        (0.02, 0.01, 0.01, 1, "erased"),  # equivalence comes first
        (0.30, 0.01, 0.90, 1, "persists"),
        (-0.30, 0.01, 0.90, 1, "reversed"),
        (-0.30, 0.01, 0.90, -1, "persists"),
        (-0.30, 0.01, 0.90, 0, "persists"),
        (0.30, 0.06, 0.90, 1, "not resolved"),
        (np.nan, np.nan, np.nan, 1, "not resolved"),
    ],
)
def test_verdicts(value, difference, equivalence, expected, word) -> None:
    found, remark = verdict(value, difference, equivalence, expected, 0.05)
    assert found == word
    assert remark == ("not zero, but inside the margin" if word == "erased" and difference < 0.05 else "")


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
