"""Thresholds of each subgroup's own, as a sensitivity analysis."""

from __future__ import annotations

import numpy as np
import pytest

from biasprop.metrics import operating_threshold, sensitivity, specificity
from biasprop.statistics.measures import measure
from tests.synthetic import synthetic_cube

ARM = {"pretraining": 0, "labels": 1, "protocol": 1, "replicate": 2, "draw": 0}


def test_each_subgroup_is_judged_at_a_threshold_of_its_own() -> None:
    cube = synthetic_cube(replicates=3, subjects=300)
    found = measure(cube, 0.8).isel(ARM)
    arm = cube.isel(ARM)
    for g in range(2):
        mine = arm.calibration_subgroup.values == g
        threshold = operating_threshold(arm.calibration_score.values[mine], arm.calibration_label.values[mine], 0.8)
        assert float(found.own_threshold[g]) == threshold
        score, label = arm.score.values[g], arm.label.values
        assert float(found.own_sensitivity[g]) == sensitivity(score, label, threshold)
        assert float(found.own_specificity[g]) == specificity(score, label, threshold)
        assert float(found.own_underdiagnosis[g]) == pytest.approx(1 - sensitivity(score, label, threshold))


def test_own_thresholds_bring_every_subgroup_to_the_target_where_a_common_one_does_not() -> None:
    cube = synthetic_cube(replicates=3, subjects=1_000, calibration=2_000)
    dark = cube.subgroup == "dark"
    shifted = cube["score"].where(~dark, cube["score"] + 1)
    moved = cube["calibration_score"] + (cube["calibration_subgroup"] == 1)
    found = measure(cube.assign(score=shifted, calibration_score=moved), 0.8)
    own, common = (found[name].mean(("replicate", "draw")) for name in ("own_specificity", "specificity"))
    assert np.nanmax(np.abs(own - 0.8)) < 0.05
    assert float((common.sel(subgroup="light") - common.sel(subgroup="dark")).min()) > 0.15


def test_a_subgroup_without_calibration_subjects_has_no_threshold() -> None:
    cube = synthetic_cube(replicates=2)
    alone = measure(cube.assign(calibration_subgroup=cube["calibration_subgroup"] * 0), 0.8)
    assert alone.own_threshold.sel(subgroup="dark").isnull().all()
    assert alone.own_sensitivity.sel(subgroup="dark").isnull().all()
    assert np.isfinite(alone.sensitivity.where(alone.status == 1)).any()
