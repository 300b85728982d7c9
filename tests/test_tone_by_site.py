"""Tone x site, made small and run end to end: four subgroups, and every contrast that the study states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biasprop import load_study, run_study
from biasprop.report import results, tables
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from tests.source_tree import ROOT


@pytest.mark.slow
def test_contrasts_of_tone_within_site_of_site_within_tone_and_their_interaction(tmp_path: Path) -> None:
    study = load_study(
        ROOT / "studies" / "tone_by_site.toml",
        set=['factors.protocol.levels=["linear_probe", "nearest_neighbours"]', "estimands.0.at.protocol=linear_probe"],
        smoke=True,
    )
    cube = run_study(study, out=tmp_path, workers=0)
    names = ["light_academic", "light_community", "dark_academic", "dark_community"]
    assert cube["subgroup"].values.tolist() == names
    assert (cube["status"] == 1).all()
    placement = cube["separability_score"].values
    assert np.all((placement >= 0) & (placement <= 1))
    measures = measure(cube, study.evaluation.target_specificity)
    assert measures["subgroup"].values.tolist() == [*names, "light", "dark", "academic", "community"]
    assert measures["separability"].min() > 0.6, "tone and noise are seen"
    found = {
        (one.name, one.arm["pretraining"], one.arm["protocol"]): one.value
        for one in estimates(measures, study.estimands)
    }
    assert all(np.isfinite(value) for value in found.values())
    for mix in ("balanced", "both 0.1"):
        arm = (mix, "linear_probe")
        interaction = found["gap of tone, community", *arm] - found["gap of tone, academic", *arm]
        assert np.isclose(found["interaction of tone and site", *arm], interaction)
        other = found["gap of site, light", *arm] - found["gap of site, dark", *arm]
        assert np.isclose(-other, interaction), "both attributes have one interaction"
    summary = results.summarise(study, cube, [])
    text = tables.text(tables.tables(summary), 240)
    for stated in study.estimands:
        assert stated.name[:20] in text
