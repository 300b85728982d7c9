"""A level against the best of several others: chosen on calibration subjects, in every replicate, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from biasprop.estimands import estimand
from biasprop.metrics import auc
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

FACTORS = {"training": ("federated", "first site", "second site"), "labels": (50, 200)}
LEVELS: dict[str, Any] = {"factor": "training", "level": "federated", "candidates": ("first site", "second site")}
REPLICATES = 4


@pytest.fixture(scope="module")
def measures() -> xr.Dataset:
    """Calibration prefers the first site in replicates 0 and 1, the second in 2 and 3; test z and validation do not."""
    found = measure(synthetic_cube(FACTORS, replicates=REPLICATES, draws=2, subjects=40), 0.8)
    by_replicate = {"training": list(FACTORS["training"]), "replicate": found["replicate"].values}
    z = xr.DataArray([[1.0] * 4, [0.9, 0.8, 0.7, 0.6], [1.5, 1.4, 1.3, 1.2]], by_replicate, ("training", "replicate"))
    calibration = xr.DataArray([[0.99] * 4, [0.8, 0.8, 0.7, 0.7], [0.7, 0.7, 0.8, 0.8]], z.coords, z.dims)
    return found.assign(
        z=(z + 0.0 * found["z"]).transpose(*found["z"].dims),
        calibration_auc=(calibration + 0.0 * found["calibration_auc"]).transpose(*found["calibration_auc"].dims),
        validation_auc=(1.0 - calibration + 0.0 * found["calibration_auc"]).transpose(*found["validation_auc"].dims),
    )


def best(measures: xr.Dataset, **changes: Any) -> Any:
    (found,) = estimates(
        measures,
        [estimand("difference_from_best", name="best", subgroup="dark", at={"labels": 50}, **LEVELS | changes)],
    )
    return found


def test_by_hand(measures: xr.Dataset) -> None:
    """1 - .9, 1 - .8, 1 - 1.3 and 1 - 1.2: calibration decides although the test prefers the second site throughout."""
    found = best(measures)
    values = np.array([0.1, 0.2, -0.3, -0.2])
    assert found.value == pytest.approx(values.mean()) and found.se == pytest.approx(values.std(ddof=1) / 2)
    assert found.reason.endswith("each was the best on calibration subjects: first site 2, second site 2")


def test_the_choice_is_by_all_calibration_subjects_of_an_arm() -> None:
    """The stored scores of the second site tell its calibration subjects apart perfectly, those of the first do not."""
    cube = synthetic_cube(FACTORS, replicates=REPLICATES, draws=2, subjects=40)
    cube["calibration_score"] = xr.where(
        cube["training"] == "second site", 9.0 * cube["calibration_label"], cube["calibration_score"]
    ).transpose(*cube["calibration_score"].dims)
    measures = measure(cube, 0.8)
    assert (measures["calibration_auc"].sel(training="second site") == 1.0).all()
    arm = cube.isel(training=0, labels=0, replicate=0)
    expected = auc(arm["calibration_score"].values, arm["calibration_label"].values)
    assert measures["calibration_auc"].values[0, 0, 0] == pytest.approx(expected)
    assert best(measures).reason.endswith(f"calibration subjects: second site {REPLICATES}")


def test_of_equal_aucs_it_is_the_first(measures: xr.Dataset) -> None:
    equal = measures.assign(calibration_auc=0.0 * measures["calibration_auc"])
    assert best(equal).value == pytest.approx(1 - np.mean([0.9, 0.8, 0.7, 0.6]))


@pytest.mark.parametrize("lacking", ["z", "calibration_auc"])
def test_a_replicate_that_lacks_a_candidate_is_left_out_whichever_would_be_chosen(
    measures: xr.Dataset, lacking: str
) -> None:
    gone = (measures["training"] == "second site") & (measures["replicate"] == 0)
    found = best(measures.assign({lacking: measures[lacking].where(~gone)}))
    assert found.replicates == REPLICATES - 1 and found.value == pytest.approx(np.mean([0.2, -0.3, -0.2]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"candidates": ("first site",)}, "at least 2 items"),
        ({"candidates": ("first site", "first site")}, "first site is named more than once"),
        ({"candidates": ("first site", "federated")}, "candidates must not name 'federated'"),
        ({"at": {"training": "federated"}}, "at must not fix training"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        estimand("difference_from_best", name="best", **LEVELS | changes)
