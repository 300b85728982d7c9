"""Own-representation and level effects against hand-made levels, and the worth of pretraining with its protocols."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import estimand
from biasprop.statistics.estimate import estimates
from biasprop.statistics.summary import Estimate

MIXES = ("light only", "dark only", "scratch")
PROTOCOLS = ("linear_probe", "full")
SKEW = {"subgroups": ("light", "dark"), "factor": "pretraining", "skewed": ("light only", "dark only")}
WORTH = {"name": "worth", "factor": "pretraining", "reference": "scratch", "protocol": "protocol"}


@pytest.fixture
def measures() -> xr.Dataset:
    """z [pretraining, protocol, replicate, draw, subgroup]; a replicate adds the same to all."""
    means = np.array(
        [[[1.9, 1.5], [1.6, 1.2]], [[1.4, 1.3], [1.3, 1.1]], [[0.8, 0.7], [1.25, 1.0]]]
    )  # [pretraining, protocol, subgroup]
    shared = np.array([-0.1, 0.0, 0.3])
    z = means[:, :, None, None, :] + shared[:, None, None]
    validation = np.array([[0.9, 0.8], [0.8, 0.7], [0.6, 0.7]])[:, :, None, None] + 0.01 * shared[:, None]
    dims = ("pretraining", "protocol", "replicate", "draw")
    coords = {"pretraining": list(MIXES), "protocol": list(PROTOCOLS), "subgroup": ["light", "dark"]}
    status = np.ones(z.shape[:-1], int)
    return xr.Dataset(
        {"z": ((*dims, "subgroup"), z), "validation_auc": (dims, validation), "status": (dims, status)}, coords
    )


def found(measures: xr.Dataset, kind: str, **fields: object) -> dict[str, Estimate]:
    return {one.subgroups[0]: one for one in estimates(measures, [estimand(kind, **fields)])}


def test_swap_contrast_and_level_effect_are_half_sum_and_half_difference_of_the_own_effects(
    measures: xr.Dataset,
) -> None:
    at = {"protocol": "linear_probe"}
    own = found(measures, "own_representation", name="own", at=at, **SKEW)
    np.testing.assert_allclose([own["light"].value, own["dark"].value], [0.5, -0.2])
    (swap,) = estimates(measures, [estimand("swap_contrast", name="swap", at=at, **SKEW)])
    (level,) = estimates(measures, [estimand("level_effect", name="level", at=at, **SKEW)])
    np.testing.assert_allclose(swap.value, (0.5 - 0.2) / 2)
    np.testing.assert_allclose(level.value, (0.5 + 0.2) / 2)


def test_each_side_of_a_worth_has_the_protocol_that_validation_chooses(measures: xr.Dataset) -> None:
    worth = found(measures, "worth", at={"pretraining": "light only"}, **WORTH)
    np.testing.assert_allclose([worth["light"].value, worth["dark"].value], [1.9 - 1.25, 1.5 - 1.0])
    assert worth["light"].reason == "chosen on validation: linear_probe; for scratch: full"
    by_protocol = {name: value for name, value in WORTH.items() if name != "protocol"}
    at = {"pretraining": "light only", "protocol": "full"}
    same = found(measures, "worth", at=at, **by_protocol)
    np.testing.assert_allclose(same["light"].value, 1.6 - 1.25)


def test_a_replicate_without_one_of_the_protocols_is_no_part_of_a_worth(measures: xr.Dataset) -> None:
    measures["status"].loc[{"pretraining": "scratch", "protocol": "linear_probe", "replicate": 1}] = 2
    worth = found(measures, "worth", at={"pretraining": "light only"}, **WORTH)["dark"]
    assert worth.replicates == 2
    assert worth.reason.startswith("1 of 3 replicates left out: 1 diverged")


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValidationError, match="compared with itself it is 0 by definition"):
        estimand("worth", at={"pretraining": "scratch"}, **WORTH)
    with pytest.raises(ValidationError, match="protocol must not be the factor that has the reference"):
        estimand("worth", **WORTH | {"protocol": "pretraining"})
    with pytest.raises(ValidationError, match="subgroup must be one of subgroups"):
        estimand("own_representation", name="own", subgroup="brown", **SKEW)
