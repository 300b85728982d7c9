"""Sampling: shares are coupled between cohorts, counts of lists are exact and nested."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.interfaces import Subjects
from biasprop.population import sampling
from biasprop.population.shifts import Shift, in_order, shifted_prevalence

KEY = keys.replicate(11, 0)


def members(n: int, *shares: float, prevalence: float = 0.5) -> Subjects:
    """A cohort with these shares."""
    named: dict[str, Any] = {f"s{i}": share for i, share in enumerate(shares)}
    return sampling.cohort(KEY, jnp.arange(n), named, prevalence)


def test_realised_shares_and_prevalence_are_near_the_stated() -> None:
    n = 20_000
    for shares in [(0.1, 0.9), (0.5, 0.3, 0.2), (0.25, 0.25, 0.25, 0.25)]:
        who = members(n, *shares, prevalence=0.2)
        for i, share in enumerate(shares):
            inside = np.asarray(who.subgroup) == i
            assert abs(inside.mean() - share) < 4 * np.sqrt(share * (1 - share) / n)
            assert abs(np.asarray(who.label)[inside].mean() - 0.2) < 4 * np.sqrt(0.16 / inside.sum())


def test_shares_of_0_and_1_are_exact() -> None:
    assert np.all(np.asarray(members(5_000, 1.0, 0.0).subgroup) == 0)
    assert np.all(np.asarray(members(5_000, 0.0, 1.0).subgroup) == 1)
    assert not np.any(np.asarray(members(5_000, 0.5, 0.0, 0.5).subgroup) == 1)


def test_raising_a_share_flips_subjects_one_way_only() -> None:
    last = members(3_000, 1.0, 0.0)
    for share in (0.9, 0.5, 0.1, 0.0):
        who = members(3_000, share, 1 - share)
        assert np.all(np.asarray(who.subgroup) >= np.asarray(last.subgroup))
        assert np.any(np.asarray(who.subgroup) > np.asarray(last.subgroup))
        assert jnp.array_equal(who.label, last.label)
        assert jnp.array_equal(who.key, last.key)
        last = who


def test_raising_the_prevalence_only_adds_disease() -> None:
    rare, common = members(3_000, 0.5, 0.5, prevalence=0.1), members(3_000, 0.5, 0.5, prevalence=0.4)
    assert np.all(np.asarray(common.label) >= np.asarray(rare.label))
    assert jnp.array_equal(common.subgroup, rare.subgroup)


def test_a_member_is_addressed_by_index_alone() -> None:
    whole = members(100, 0.3, 0.7)
    some = jnp.array([97, 3, 3, 40])
    picked = sampling.cohort(KEY, some, {"s0": 0.3, "s1": 0.7}, 0.5)
    assert jnp.array_equal(picked.key, whole.key[some])
    assert jnp.array_equal(picked.subgroup, whole.subgroup[some]) and jnp.array_equal(picked.label, whole.label[some])


@pytest.mark.parametrize("prevalence", [0.5, 0.3])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (1.0, 0.0), (0.5, 0.3, 0.2)])
def test_every_prefix_has_exact_counts(shares: tuple[float, ...], prevalence: float) -> None:
    subgroups, labels = sampling.exact_counts({f"s{i}": share for i, share in enumerate(shares)}, prevalence, 1_000)
    assert subgroups.dtype == labels.dtype == np.int32
    for n in [4, 7, 50, 200, 333, 1_000]:
        for i, share in enumerate(shares):
            inside = subgroups[:n] == i
            assert abs(inside.sum() - n * share) <= 1, (n, i)
            assert abs((inside & (labels[:n] == 1)).sum() - n * share * prevalence) <= 1, (n, i)
        assert abs(labels[:n].sum() - n * prevalence) <= 1


def test_budgets_are_nested() -> None:
    longest = sampling.exact_counts({"a": 0.5, "b": 0.5}, 0.5, 1_000)
    for n in (50, 200):
        shorter = sampling.exact_counts({"a": 0.5, "b": 0.5}, 0.5, n)
        assert all(np.array_equal(short, long[:n]) for short, long in zip(shorter, longest, strict=True))
    fifty = sampling.exact_counts({"a": 0.5, "b": 0.5}, 0.5, 50)
    assert fifty[0].sum() == 25 and fifty[1].sum() == 25


def shifts(**values: float) -> tuple[Shift, ...]:
    """The second of two subgroups is shifted."""
    return in_order({"b": Shift(**values)}, ["a", "b"])


def test_exact_counts_honour_a_prevalence_of_each_subgroup() -> None:
    for by in (-1.5, 0.8):
        own = [0.4, shifted_prevalence(0.4, np.exp(by))]
        subgroups, labels = sampling.exact_counts({"a": 0.7, "b": 0.3}, 0.4, 2_000, shifts(prevalence=by))
        shorter = sampling.exact_counts({"a": 0.7, "b": 0.3}, 0.4, 50, shifts(prevalence=by))
        assert all(np.array_equal(short, long[:50]) for short, long in zip(shorter, (subgroups, labels), strict=True))
        for n in (50, 333, 2_000):
            for i, share in enumerate((0.7, 0.3)):
                inside = subgroups[:n] == i
                assert abs(inside.sum() - n * share) <= 1
                assert abs(labels[:n][inside].sum() - n * share * own[i]) <= 1
    plain = sampling.exact_counts({"a": 0.7, "b": 0.3}, 0.4, 500)
    zero = sampling.exact_counts({"a": 0.7, "b": 0.3}, 0.4, 500, shifts())
    assert all(np.array_equal(a, b) for a, b in zip(plain, zero, strict=True))


def test_label_errors_have_nearly_exact_counts_in_every_prefix() -> None:
    subgroup, label = sampling.exact_counts({"a": 0.5, "b": 0.5}, 0.5, 4_000)
    for missed, false_alarm in [(0.3, 0.0), (0.05, 0.2), (1.0, 1.0)]:
        recorded = sampling.recorded_labels(subgroup, label, shifts(missed=missed, false_alarm=false_alarm))
        assert np.array_equal(recorded[subgroup == 0], label[subgroup == 0])
        for n in (50, 200, 4_000):
            for truth, rate in ((1, missed), (0, false_alarm)):
                those = (subgroup[:n] == 1) & (label[:n] == truth)
                assert abs((recorded[:n] != label[:n])[those].sum() - rate * those.sum()) <= 3, (n, truth)


def test_a_prevalence_shift_of_the_test_excludes_subjects_and_relabels_none() -> None:
    label = np.tile([0, 1], 2_000).astype(np.int32)
    for by in (-2.0, 1.0):
        recorded = sampling.test_labels(label, shifts(prevalence=by, missed=0.25))
        counted = recorded[1] >= 0
        assert np.array_equal(recorded[0], label)
        assert label[counted].mean() == pytest.approx(shifted_prevalence(0.5, np.exp(by)), abs=0.002)
        wrong = (recorded[1] != label)[counted & (label == 1)].mean()
        assert wrong == pytest.approx(0.25, abs=0.02), "inclusion and label errors are dependent"
