"""The joint effect of two skews, by hand and on cubes whose effects are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import estimand
from biasprop.statistics.contrasts import joint_effect
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

FACTORS = {"mix": ("even", "sex", "age", "both"), "labels": (50, 200)}
LEVELS: dict[str, Any] = {"factor": "mix", "both": "both", "single": ("sex", "age"), "neither": "even"}


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    """z of both subgroups is that of four numbers with a common part of each replicate; draws agree."""
    found = measure(synthetic_cube(FACTORS, replicates=4, draws=1, subjects=40, subgroups=("girl", "boy")), 0.8)
    level = xr.DataArray([1.5, 1.2, 1.1, 0.5], dims="mix")
    replicate = xr.DataArray([0.1, -0.1, 0.2, -0.2], dims="replicate")
    own = xr.DataArray([[0.04, -0.04, 0.0, 0.0]] + 3 * [[0.0] * 4], dims=("mix", "replicate"))
    girl = xr.DataArray([1.0, 0.0], dims="subgroup")
    return found.assign(z=(level * girl + replicate + own + 1.0 + 0.0 * found["z"]).transpose(*found["z"].dims))


def test_by_hand(measures: xr.Dataset) -> None:
    """.5 - 1.2 - 1.1 + 1.5 = -.3 in girls, 0 in boys; only the part of one arm alone is left in the interval."""
    girl, boy = estimates(measures, [estimand("joint_effect", name="joint", at={"labels": 50}, **LEVELS)])
    assert (girl.subgroups, boy.subgroups) == (("girl",), ("boy",)) and girl.arm == {"labels": 50}
    assert girl.value == pytest.approx(-0.3) and boy.value == pytest.approx(0.0, abs=1e-12)
    assert girl.se == pytest.approx(np.std([0.04, -0.04, 0.0, 0.0], ddof=1) / 2)
    assert girl.high < 0 < boy.high


def test_it_is_the_difference_of_two_differences(measures: xr.Dataset) -> None:
    (joint,) = estimates(
        measures, [estimand("joint_effect", name="joint", subgroup="girl", at={"labels": 50}, **LEVELS)]
    )

    def change(to: str, of: str) -> float:
        at = {"mix": to, "labels": 50}
        one = estimand("difference", name="change", subgroup="girl", at=at, minus={"mix": of})
        return estimates(measures, [one])[0].value

    assert joint.value == pytest.approx(change("both", "sex") - change("age", "even"))


def test_two_skews_that_add_up_have_none_at_any_size() -> None:
    z = xr.DataArray([1.0, 0.7, 0.6, 0.3], coords={"mix": list(FACTORS["mix"])}, dims="mix")
    assert float(joint_effect(z, "mix", "both", ("sex", "age"), "even")) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"single": ("sex", "sex")}, r"single\[0\] and single\[1\] are 'sex'"),
        ({"neither": "both"}, "both and neither are 'both'"),
        ({"both": "age"}, r"both and single\[1\] are 'age'"),
        ({"at": {"mix": "even"}}, "at must not fix mix"),
    ],
)
def test_levels_that_are_the_same_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        estimand("joint_effect", name="joint", **LEVELS | changes)
