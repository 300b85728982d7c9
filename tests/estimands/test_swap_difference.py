"""Differences of swap contrasts against hand-made gaps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import estimand
from biasprop.statistics.estimate import estimates

FIELDS = {
    "name": "75 minus 10",
    "subgroups": ("light", "dark"),
    "factor": "pretraining",
    "skewed": ("light only", "dark only"),
    "minus": {"distance": "10"},
}


@pytest.fixture
def measures() -> xr.Dataset:
    """z [distance, pretraining, replicate, draw, subgroup]: gaps of .2 and -.2, then of .9 and -.3, and what arms of
    a replicate share."""
    gaps = np.array([[0.2, -0.2], [0.9, -0.3]])
    z = np.stack([1 + gaps, np.ones((2, 2))], axis=-1)[:, :, None, None] + np.array([0.0, 0.3, -0.1])[:, None, None]
    dims = ("distance", "pretraining", "replicate", "draw")
    coords = {"distance": ["10", "75"], "pretraining": ["light only", "dark only"], "subgroup": ["light", "dark"]}
    return xr.Dataset({"z": ((*dims, "subgroup"), z), "status": (dims, np.ones(z.shape[:-1], int))}, coords)


def test_it_is_the_paired_difference_of_both_swap_contrasts(measures: xr.Dataset) -> None:
    (found,) = estimates(measures, [estimand("swap_difference", **FIELDS)])
    assert found.arm == {"distance": "75"}, "the arm that is subtracted has none"
    np.testing.assert_allclose([found.value, found.low, found.high], 0.6 - 0.2)


def test_a_replicate_needs_all_four_arms(measures: xr.Dataset) -> None:
    measures["status"].loc[{"distance": "10", "pretraining": "dark only", "replicate": 1}] = 2
    (found,) = estimates(measures, [estimand("swap_difference", **FIELDS)])
    assert found.replicates == 2 and found.reason.startswith("1 of 3 replicates left out: 1 diverged")


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValidationError, match="difference from itself is 0 by definition"):
        estimand("swap_difference", **FIELDS, at={"distance": "10"})
    with pytest.raises(ValidationError, match="minus must not fix pretraining"):
        estimand("swap_difference", **FIELDS | {"minus": {"pretraining": "dark only"}})
