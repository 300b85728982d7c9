"""Coupling of shares: two laws move as few subjects as the bound allows, and attributes move alone."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.population import sampling
from biasprop.population.attributes import Attributes, Population

KEY = keys.stream(keys.replicate(3, 0), keys.Stream.PRETRAIN_SUBJECTS)
N = 20_000
RECORDED = [int(bit) for bit in "10111101010111001100011011001001"]
"""Subgroup of the first members at equal shares of two."""
TONE_BY_SITE = Population(
    attributes={"tone": ("light", "dark"), "site": ("north", "south", "west")},
).structure()


def drawn(shares: dict[str, Any], attributes: Attributes | None = None, n: int = N) -> np.ndarray:
    """Subgroup of every member of a cohort."""
    return np.asarray(sampling.cohort(KEY, jnp.arange(n), shares, 0.5, attributes=attributes).subgroup)


def product(tone: tuple[float, ...], site: tuple[float, ...]) -> dict[str, float]:
    """Shares of the subgroups in a product law."""
    return {f"{i}{j}": t * s for i, t in enumerate(tone) for j, s in enumerate(site)}


def values(subgroup: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tone and site of every member."""
    return subgroup // 3, subgroup % 3


def test_two_subgroups_have_the_recorded_bits() -> None:
    """Drawn before there was any other coupling; stored results depend on them."""
    assert drawn({"a": 0.5, "b": 0.5}, n=32).tolist() == RECORDED


@pytest.mark.parametrize("levels", [3, 4, 7])
def test_a_change_of_total_variation_d_moves_at_most_2d_over_1_plus_d(levels: int) -> None:
    random = np.random.default_rng(levels)
    for concentration in (0.5, 2.0, 20.0):
        one, other = random.dirichlet(np.full(levels, concentration), 2)
        distance = np.abs(one - other).sum() / 2
        names = [f"level {i}" for i in range(levels)]
        before, after = (drawn(dict(zip(names, law.tolist(), strict=True))) for law in (one, other))
        moved = (before != after).mean()
        assert distance - 4 * (0.25 / N) ** 0.5 <= moved <= 2 * distance / (1 + distance) + 4 * (0.25 / N) ** 0.5
        for level in range(levels):
            assert abs((before == level).mean() - one[level]) < 4 * (one[level] * (1 - one[level]) / N) ** 0.5 + 1e-4


def test_one_of_four_shares_moves_fewer_subjects_than_cumulated_shares_would() -> None:
    before = drawn({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25})
    after = drawn({"a": 0.4, "b": 0.2, "c": 0.2, "d": 0.2})
    assert 0.14 < (before != after).mean() < 0.24  # cumulated shares move 45 %
    assert not np.any((before == 0) & (after != 0)), "who has the level whose share grows keeps it"


def test_levels_can_be_reordered_and_added() -> None:
    before = drawn({"a": 0.2, "b": 0.3, "c": 0.5})
    reordered = drawn({"c": 0.5, "a": 0.2, "b": 0.3})
    assert np.array_equal(before, np.array([2, 0, 1])[reordered])
    assert np.array_equal(before, drawn({"a": 0.2, "b": 0.3, "c": 0.5, "d": 0.0}))


def test_in_a_product_law_one_margin_moves_no_other_attribute() -> None:
    site = (0.5, 0.3, 0.2)
    base_tone, base_site = values(drawn(product((0.5, 0.5), site), TONE_BY_SITE))
    for share in (0.9, 0.37, 0.01):
        tone, same = values(drawn(product((share, 1 - share), site), TONE_BY_SITE))
        assert np.array_equal(same, base_site)
        assert np.all((tone >= base_tone) if share < 0.5 else (tone <= base_tone)), "tones move one way"
        assert abs((tone == 0).mean() - share) < 4 * (0.25 / N) ** 0.5
    same, other = values(drawn(product((0.5, 0.5), (0.1, 0.1, 0.8)), TONE_BY_SITE))
    assert np.array_equal(same, base_tone) and (other != base_site).any()


def test_attributes_of_a_product_law_are_independent_and_of_a_joint_law_as_stated() -> None:
    joint = {"00": 0.4, "01": 0.1, "02": 0.0, "10": 0.05, "11": 0.15, "12": 0.3}
    for law in (product((0.8, 0.2), (0.5, 0.3, 0.2)), joint):
        subgroup = drawn(law, TONE_BY_SITE)
        for i, share in enumerate(law.values()):
            assert abs((subgroup == i).mean() - share) <= 4 * (share * (1 - share) / N) ** 0.5


def test_subgroups_of_share_0_are_never_drawn() -> None:
    for law in (product((1.0, 0.0), (0.5, 0.0, 0.5)), product((0.0, 1.0), (0.0, 1.0, 0.0))):
        subgroup = drawn(law, TONE_BY_SITE)
        assert set(subgroup) == {i for i, share in enumerate(law.values()) if share}


def test_adding_an_attribute_changes_no_other() -> None:
    one = Population(attributes={"tone": ("light", "dark")}).structure()
    tone = drawn({"light": 0.3, "dark": 0.7}, one)
    both, _ = values(drawn(product((0.3, 0.7), (0.2, 0.3, 0.5)), TONE_BY_SITE))
    assert np.array_equal(tone, both)
