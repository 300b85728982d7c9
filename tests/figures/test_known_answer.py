"""The figures of the study whose answer is known in closed form, on the values that theory expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.study.load import load_study
from biasprop.study.study import Study
from paper.figures import eigenvalue_crossing

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(STUDIES / "gaussian_control.toml")


def test_eigenvalues_cross_where_the_subspace_changes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigenvalue_crossing, "COHORTS", 1)
    shares = {"share": (("pretraining", "subgroup"), [[1.0, 0.0], [0.0, 1.0]])}
    cube = xr.Dataset(coords={"pretraining": ["rows 1", "rows 0"], "subgroup": ["rows", "columns"], **shares})
    figure = eigenvalue_crossing.draw(cube, [], study)
    left, right = figure.axes
    features = study.encoder.features(study.generator.spec)
    kept = [line for line in left.lines if line.get_linestyle() == "-"]
    assert len(kept) == features
    share, lowest = np.asarray(kept[-1].get_data())
    ratio = lowest / np.asarray(left.lines[features].get_data())[1]
    assert np.all(ratio >= 1)
    assert share[np.argmin(ratio)] == pytest.approx(0.32, abs=0.02)
    figure.canvas.draw()
    assert not [label for label in left.get_yticklabels(which="both") if "$" in label.get_text()]
    rows, _, columns, *_ = (np.asarray(line.get_data())[1] for line in right.lines)
    assert rows[0] > columns[0] and rows[-1] < columns[-1], "each is seen worse where its own texture dominates"
