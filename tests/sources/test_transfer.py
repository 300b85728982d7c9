"""Pretraining on another generator, from study file to estimates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import biasprop
from biasprop.status import Status
from tests.source_tree import ROOT

LEVELS = """
[factors.pretraining]
levels = [
  { name = "cohort", set = { "pretraining.shares" = { a = 1.0, b = 0.0 } } },
  { name = "same generator", set = { "pretraining.source" = { kind = "generator", shares = { a = 1.0, b = 0.0 }, \
generator = { kind = "gaussian", size = 8, subgroups = { a = { amplitude = 0.10, stretch = 1.2 }, \
b = { amplitude = 0.08, stretch = -0.8 } } } } } },
  { name = "skin", set = { "pretraining.source" = { kind = "generator", shares = { light = 0.5, dark = 0.5 }, \
generator = { kind = "dermoscopy", size = 16, subgroups = { light = "light", dark = "dark" } } } } },
]
"""
"""Skin of 16 x 16 pixels in three channels, for a study of 8 x 8 in one."""

ESTIMAND = """
[[estimands]]
name = "off-domain minus in-domain"
kind = "difference"
primary = true
subgroup = "a"
minus = { pretraining = "cohort" }
at = { pretraining = "skin", labels = 32, protocol = "probe" }
"""


def test_a_study_of_transfer_between_generators(tmp_path: Path) -> None:
    small = (ROOT / "tests" / "torture" / "small.toml").read_text()
    head, rest = small.split("[factors.pretraining]")
    _, _, factors = rest.partition("[factors.labels]")
    probes = "\n".join(line for line in factors.partition("[[estimands]]")[0].splitlines() if '"full"' not in line)
    path = tmp_path / "transfer.toml"
    path.write_text(head + LEVELS + "[factors.labels]" + probes + ESTIMAND)
    cube = biasprop.run_study(path, tmp_path, workers=0).load()
    scores = cube["score"].isel(draw=0)
    assert np.all(cube["status"].isel(draw=0) == Status.OK)
    by_level = {level: scores.sel(pretraining=level).values for level in cube["pretraining"].values}
    np.testing.assert_array_equal(by_level["same generator"], by_level["cohort"])
    assert np.max(np.abs(by_level["skin"] - by_level["cohort"])) > 0.1
    shares = cube["realised_share"].sel(labels=16, protocol="probe")
    assert np.isnan(shares.sel(pretraining="skin")).all()
    assert np.all(shares.sel(pretraining="cohort", subgroup="a") == 1.0)
    table = biasprop.dataframe(next(tmp_path.glob("transfer-*")))
    found = table[(table["table"] == "estimand") & (table["name"] == "off-domain minus in-domain")]
    assert len(found) == 1 and np.isfinite(found["value"]).all()
