"""Contrasts worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from biasprop.statistics.contrasts import (
    below_half,
    common_gap,
    excess_gap,
    gap,
    levelling_down,
    swap_contrast,
)

LEVELS = ["to A", "even", "to B"]


@pytest.fixture
def z() -> xr.DataArray:
    """[pretraining, replicate, subgroup]; the second replicate of `to B` is not there."""
    values = np.array([[[1.8, 1.0], [1.7, 1.1]], [[1.5, 1.4], [1.4, 1.4]], [[1.2, 1.6], [np.nan, np.nan]]])
    coords = {"pretraining": LEVELS, "replicate": [0, 1], "subgroup": ["A", "B"]}
    return xr.DataArray(values, coords, ("pretraining", "replicate", "subgroup"))


def test_gap(z: xr.DataArray) -> None:
    np.testing.assert_allclose(gap(z, ("A", "B")), [[0.8, 0.6], [0.1, 0.0], [-0.4, np.nan]])
    np.testing.assert_allclose(gap(z, ("B", "A")), -gap(z, ("A", "B")))


def test_excess_gap_is_paired_and_leaves_the_reference_out(z: xr.DataArray) -> None:
    excess = excess_gap(gap(z, ("A", "B")), "pretraining", "even")
    assert excess["pretraining"].values.tolist() == ["to A", "to B"]
    np.testing.assert_allclose(excess, [[0.7, 0.6], [-0.5, np.nan]])


def test_swap_contrast_cancels_what_both_mixes_share(z: xr.DataArray) -> None:
    beta = swap_contrast(gap(z, ("A", "B")), "pretraining", ("to A", "to B"))
    np.testing.assert_allclose(beta, [0.6, np.nan])
    harder = z + xr.DataArray([0.0, -0.7], coords={"subgroup": ["A", "B"]}, dims="subgroup")
    np.testing.assert_allclose(swap_contrast(gap(harder, ("A", "B")), "pretraining", ("to A", "to B")), [0.6, np.nan])


def test_the_common_gap_is_what_the_swap_contrast_leaves(z: xr.DataArray) -> None:
    gaps, skewed = gap(z, ("A", "B")), ("to A", "to B")
    common = common_gap(gaps, "pretraining", skewed)
    np.testing.assert_allclose(common, [0.2, np.nan])
    np.testing.assert_allclose(
        common + swap_contrast(gaps, "pretraining", skewed), gaps.sel(pretraining="to A") + 0 * common
    )


def test_how_far_a_contrast_is_below_half_of_the_first() -> None:
    beta = np.array([[0.8, 0.5, 0.1], [0.4, 0.3, 0.1]])
    expected = [[-0.4, -0.1, 0.3], [-0.2, -0.1, 0.1]]
    np.testing.assert_allclose(below_half(beta), expected)
    np.testing.assert_allclose(below_half(-beta), expected)  # sizes count, not signs
    mixed = np.array([[0.8, 0.5], [-0.4, 0.3], [-9.0, np.nan]])  # the sign is that of the mean of whole curves
    np.testing.assert_allclose(below_half(mixed)[:2], [[-0.4, -0.1], [0.2, -0.5]])
    np.testing.assert_allclose(below_half(np.stack([beta, -beta])), [expected, expected])


def levelled(better: float, worse: float) -> bool:
    """The flag where the reference has z of 1.8 (A) and 1.0 (B)."""
    values = np.array([[[1.8, 1.0]] * 2, [[better, worse]] * 2])
    coords = {"pretraining": ["even", "x"], "replicate": [0, 1], "subgroup": ["A", "B"]}
    z = xr.DataArray(values, coords, ("pretraining", "replicate", "subgroup"))
    flags = levelling_down(z, ("A", "B"), "pretraining", "even", margin=0.1)
    swapped = levelling_down(z, ("B", "A"), "pretraining", "even", margin=0.1)
    assert not flags.sel(pretraining="even")
    assert bool(swapped.sel(pretraining="x")) == bool(flags.sel(pretraining="x"))
    return bool(flags.sel(pretraining="x"))


def test_levelling_down() -> None:
    assert levelled(1.5, 1.0)  # the better one falls, the worse one stays
    assert levelled(1.5, 0.9)
    assert not levelled(1.5, 1.1)  # the worse one rises
    assert not levelled(1.75, 1.0)  # the better one falls by less than the margin
    assert not levelled(1.5, 0.5)  # the gap widens
    assert not levelled(0.2, 1.0)  # the gap turns round and is as wide
    assert not levelled(np.nan, 1.0)
