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
    left, right = eigenvalue_crossing.draw(cube, [], study).axes
    features = study.encoder.features(study.generator.spec)
    kept = [line for line in left.lines if line.get_linestyle() == "-"]
    assert len(kept) == features
    lowest, highest_dropped = kept[-1].get_ydata(), left.lines[features].get_ydata()
    ratio = np.divide(lowest, highest_dropped)
    assert np.all(ratio >= 1)
    assert kept[-1].get_xdata()[np.argmin(ratio)] == pytest.approx(0.32, abs=0.02)
    left.figure.canvas.draw()
    assert not [label for label in left.get_yticklabels(which="both") if "$" in label.get_text()]
    assert right.lines[0].get_ydata()[0] > right.lines[2].get_ydata()[0]
