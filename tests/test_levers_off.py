"""The shipped null, made small and run end to end: every paired difference is exactly 0, and the report says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biasprop import load_study, run_study
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.source_tree import ROOT


@pytest.mark.slow
def test_every_difference_is_exactly_0_and_negligible(tmp_path: Path) -> None:
    study = load_study(ROOT / "studies" / "levers_off.toml", smoke=True)
    cube = run_study(study, out=tmp_path, workers=0)
    score = cube["score"].where(cube["status"] == 1)
    assert np.isfinite(score.values).any(axis=(score.get_axis_num("subject"), score.get_axis_num("draw"))).all()
    first = {name: 0 for name in ("pretraining", "subgroup")}
    assert ((score == score.isel(first, drop=True)) | score.isnull()).all(), "scores differ between twins or mixes"
    assert float(score.max("subject").max()) > float(score.min("subject").min()), "all scores are one number"
    found = estimates(measure(cube, study.evaluation.target_specificity), study.estimands)
    assert {one.kind for one in found} == {"swap_contrast", "gap", "excess_gap"}
    for one in found:
        assert (one.value, one.low, one.high, one.se) == (0, 0, 0, 0), one.name
        assert (one.verdict, one.reason) == ("negligible" if one.primary else "", ""), one.name
