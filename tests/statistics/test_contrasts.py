"""Contrasts worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from biasprop.statistics.contrasts import (
    common_gap,
    excess_gap,
    gap,
    halving_budget,
    label_efficiency,
    learning_surface,
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


@pytest.mark.parametrize(
    ("beta", "answer", "top"),
    [
        ([0.8, 0.5, 0.3, 0.1], 1000.0, 50.0),
        ([0.8, 0.3, 0.5, 0.1], 5000.0, 50.0),  # below half at 200, but it does not stay there
        ([0.8, 0.7, 0.6, 0.5], np.nan, 50.0),
        ([0.1, 0.2, 0.4, 0.8], np.nan, 5000.0),  # rises: it never fell
        ([0.1, 0.8, 0.4, 0.39], 5000.0, 200.0),  # exactly half is not below half
        ([-0.8, 0.1, -0.1, 0.0], 200.0, 50.0),  # sizes count, not signs
    ],
)
def test_halving_budget(beta, answer, top) -> None:
    found = halving_budget(beta, [50, 200, 1000, 5000])
    np.testing.assert_equal(found, (answer, top))
    np.testing.assert_equal(halving_budget(beta[::-1], [5000, 1000, 200, 50]), (answer, top))


def test_halving_budget_of_an_unfinished_curve_is_nan() -> None:
    assert np.isnan(halving_budget([0.8, np.nan], [50, 200])).all()


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


def test_a_learning_surface_is_the_least_squares_plane() -> None:
    random = np.random.default_rng(3)
    share, budgets = np.array([0.0, 0.5, 1.0]), np.array([25, 200, 1000, 5000])
    z = 0.3 + random.standard_normal((4, 3, 4)) + 0.2 * share[:, None]
    columns = np.stack(np.broadcast_arrays(1.0, share[:, None], np.log(budgets)), axis=-1).reshape(-1, 3)
    expected = np.linalg.lstsq(columns, z.reshape(4, -1).T)[0]
    np.testing.assert_allclose(np.stack(learning_surface(z, share, budgets)), expected[1:], rtol=1e-10)
    z[1, 2, 0] = np.nan
    assert np.isnan(np.stack(learning_surface(z, share, budgets))).sum(axis=0).tolist() == [0, 2, 0, 0]


def test_label_efficiency_reads_the_reference_between_its_budgets() -> None:
    budgets = [50, 200, 800]
    curve = np.array([[0.5, 1.0, 1.4]] * 5)
    reached = [0.75, 1.2, 1.0, 0.4, 1.5]
    ratios = label_efficiency(reached, 50, curve, budgets)
    np.testing.assert_allclose(ratios, [100 / 50, 400 / 50, 200 / 50, 0.0, np.inf])
    curve[0, 2] = np.nan  # a budget that is not there may be the one that would have been enough
    assert np.isnan(label_efficiency([0.75, np.nan], 50, curve[:2], budgets)).all()


def test_label_efficiency_of_a_falling_curve_takes_the_first_place() -> None:
    curve = np.array([[0.5, 1.0, 0.6, 1.2]])
    np.testing.assert_allclose(label_efficiency([0.75], 1, curve, [1, 4, 16, 64]), [2.0])
