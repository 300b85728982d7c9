"""Examples that are feature vectors, read by an encoder without parameters, from study file to estimates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import biasprop
from biasprop.component import InputError
from biasprop.generators.dermoscopy import Dermoscopy
from biasprop.statistics.measures import measure
from biasprop.study.load import load_study
from tests.source_tree import ROOT

STUDY = """
title = "Embeddings of another model"
question = "Does the mix of the labelled set decide whom a probe of given features serves?"
seed = 771
replicates = 2

[generator]
kind = "feature_vector"
length = 8
[generator.subgroups]
a = { noise = 1.0 }
b = { angle = 90.0 }

[encoder]
kind = "identity"

[pretraining]
objective = "scratch"
shares = { a = 0.5, b = 0.5 }

[finetuning]
labels = 2000
protocol = { kind = "linear_probe", draws = 1 }
shares = { a = 0.5, b = 0.5 }

[evaluation]
test = 4000
selection = 400
calibration = 400

[factors.labelled]
levels = [
  { name = "a", set = { "finetuning.shares" = { a = 1.0, b = 0.0 } } },
  { name = "even", set = { "finetuning.shares" = { a = 0.5, b = 0.5 } } },
]

[[estimands]]
name = "gap"
kind = "gap"
primary = true
subgroups = ["a", "b"]
at = { labelled = "even" }
"""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study above as a file."""
    path = tmp_path_factory.mktemp("study") / "embeddings.toml"
    path.write_text(STUDY)
    return path


def test_probes_of_feature_vectors_reach_what_theory_says(study_file: Path, tmp_path: Path) -> None:
    """Fitted to one subgroup, a linear probe is the ideal observer there and at chance where the signal is orthogonal;
    fitted to both, it has ``d' = (u . (u + v) / 2) / |(u + v) / 2| = 1 / sqrt 2`` of the ideal one's in either."""
    study = load_study(study_file)
    cube = biasprop.run_study(study_file, tmp_path, workers=0)
    auc = measure(cube.load(), 0.8)["auc"].mean(["replicate", "draw"])
    subject = study.generator.representative("a")
    ideal = study.generator.ideal_auc(subject)
    assert float(auc.sel(labelled="a", subgroup="a")) == pytest.approx(ideal, abs=0.01)
    assert float(auc.sel(labelled="a", subgroup="b")) == pytest.approx(0.5, abs=0.03)
    half = study.generator.model_copy(update={"distance": study.generator.distance / 2**0.5}).ideal_auc(subject)
    assert np.allclose(auc.sel(labelled="even"), half, atol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("encoder.kind=vit", r"vit reads image, which examples of feature_vector do not have; they have features"),
        ("pretraining.objective=contrastive", "identity has no parameters to pretrain; use objective = scratch"),
        ("finetuning.protocol=full", "full adapts the encoder, and identity has no parameters; use a linear_probe"),
    ],
)
def test_components_that_do_not_fit_are_refused(study_file: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(study_file, (change,))


def test_flips_of_images_without_that_symmetry_are_left_out_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path, flip = ROOT / "studies" / "skin_tone.toml", "pretraining.objective.augmentation.flip"
    monkeypatch.setattr(Dermoscopy, "symmetries", ("transpose",))
    views = load_study(path).pretraining_condition().pretraining.objective.augmentation
    assert views.flip == 0 and views.transpose == 0.5
    assert load_study(path, (f"{flip}=0",))
    message = f"{flip}: is 0.5, but images of dermoscopy have no such symmetry"
    with pytest.raises(InputError, match=message):
        load_study(path, (f"{flip}=0.5",))
