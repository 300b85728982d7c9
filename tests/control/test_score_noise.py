"""Score noise of known size: what it must do to an AUC, and that the pipeline returns just that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop import load_study, run_study
from biasprop.component import InputError
from biasprop.metrics import auc
from biasprop.population.shifts import EvaluationShift, Shift, of_subjects, score_noise
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.statistics.paired import paired
from biasprop.statistics.score_noise import expected, expected_auc, within_class_sd
from biasprop.study.study import Study
from tests.source_tree import ROOT

SMALL = (ROOT / "tests" / "torture" / "small.toml").read_text()
LABELS = SMALL.index("[factors.labels]")
NOISE = """
[factors.noise]
levels = [
  { name = "none",    set = { "finetuning.labels" = 32 } },
  { name = "0",       set = { "finetuning.labels" = 32, "evaluation.shifts" = { b = { score_noise = 0.0 } } } },
  { name = "b 1",     set = { "finetuning.labels" = 32, "evaluation.shifts" = { b = { score_noise = 1.0 } } } },
  { name = "16, b 1", set = { "finetuning.labels" = 16, "evaluation.shifts" = { b = { score_noise = 1.0 } } } },
]

[[estimands]]
name = "injected"
kind = "excess_gap"
primary = true
subgroups = ["a", "b"]
factor = "noise"
reference = "none"
at = { pretraining = "all a", noise = "b 1" }

[[estimands]]
name = "nothing injected"
kind = "excess_gap"
subgroups = ["a", "b"]
factor = "noise"
reference = "none"
at = { noise = "0" }
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study with noise on the scores of its second subgroup."""
    file = tmp_path_factory.mktemp("study") / "noise.toml"
    file.write_text(SMALL[:LABELS].replace("pretext = 100", "") + NOISE)
    probe = "finetuning.protocol={ kind = 'linear_probe', draws = 2 }"
    return load_study(file, set=(probe, "generator.contrast=0.3"))


@pytest.fixture(scope="module")
def cube(study: Study, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return run_study(study, out=tmp_path_factory.mktemp("results"), workers=0)


def test_the_expected_auc_is_that_of_brute_force() -> None:
    random = np.random.default_rng(4)
    labels = np.repeat([0, 1, -1], [40, 30, 5])
    scores = np.exp(random.standard_normal(75)) + labels  # not normal
    sd = 0.7 * float(within_class_sd(scores[labels >= 0], labels[labels >= 0]))
    noisy = scores + sd * random.standard_normal((20_000, 75))
    simulated = auc(noisy, np.broadcast_to(labels, noisy.shape))
    assert expected_auc(scores, labels, sd) == pytest.approx(simulated.mean(), abs=4 * simulated.std() / 20_000**0.5)
    assert expected_auc(scores, labels, 0.0) == float(auc(scores, labels))
    assert expected_auc(scores, labels, 1e-9) == pytest.approx(float(auc(scores, labels)))


def test_normal_scores_lose_a_known_factor_of_z() -> None:
    """z falls by sqrt(1 + noise^2), which is what the unit is for."""
    random = np.random.default_rng(5)
    labels = np.repeat([0, 1], 2_000)
    scores = 3.0 * (random.standard_normal(4_000) + 1.2 * labels) + 5.0
    assert within_class_sd(scores, labels) == pytest.approx(3.0, rel=0.03)
    from biasprop.metrics import z_of_auc

    z = z_of_auc(expected_auc(scores, labels, 0.75 * within_class_sd(scores, labels)), 4_000, 2_000)[0]
    assert z == pytest.approx(z_of_auc(auc(scores, labels), 4_000, 2_000)[0] / 1.25, rel=0.01)


def test_noise_of_0_and_the_other_subgroup_keep_their_bits(cube: xr.Dataset) -> None:
    clean = cube.sel(noise="none")
    for name in ("score", "calibration_score", "selection_score", "train_auc", "latents", "separability_score"):
        assert cube.sel(noise="0")[name].identical(clean[name].assign_coords(cube.sel(noise="0")[name].coords)), name
    noisy = cube.sel(noise="b 1")
    assert np.array_equal(noisy["score"].sel(subgroup="a"), clean["score"].sel(subgroup="a"))
    for name in ("selection_score", "train_auc", "latents", "separability_score", "label"):
        assert np.array_equal(noisy[name], clean[name], equal_nan=True), name
    in_b = clean["calibration_subgroup"].values == 1
    moved = noisy["calibration_score"].values != clean["calibration_score"].values
    assert np.array_equal(moved, np.broadcast_to(in_b[..., None, :], moved.shape))


def test_noise_has_the_stated_size_and_is_shared_by_arms(cube: xr.Dataset) -> None:
    clean, noisy = (cube["score"].sel(subgroup="b", noise=level) for level in ("none", "b 1"))
    added = (noisy - clean).transpose("pretraining", "replicate", "draw", "subject").values
    label = cube["label"].sel(noise="none").transpose("pretraining", "replicate", "subject").values
    for k, r in np.ndindex(label.shape[:2]):
        unit = within_class_sd(clean.isel(pretraining=k, replicate=r).transpose("draw", "subject").values, label[k, r])
        normal = added[k, r] / unit[:, None]
        assert np.allclose(normal, added[0, r, 0] / added[0, r, 0].std() * normal[0].std(), atol=1e-3)
        assert 0.7 < normal[0].std() < 1.3  # 60 subjects
    assert not np.allclose(added[0, 0, 0], added[0, 1, 0], rtol=0.1)


def test_the_coords_say_what_was_injected(cube: xr.Dataset) -> None:
    assert cube["score_noise"].sel(subgroup="b").values.tolist() == [0, 0, 1, 1]
    assert not cube["score_noise"].sel(subgroup="a").values.any()
    assert cube["noiseless"].values.tolist() == ["none", "0", "none", ""]  # no level has 16 labels without noise


def test_the_expectation_of_every_arm(cube: xr.Dataset, study: Study) -> None:
    known, found = expected(cube), measure(cube, 0.8)
    for level in ("none", "0"):
        assert np.array_equal(known["auc"].sel(noise=level), found["auc"].sel(noise=level))
        assert np.array_equal(known["z"].sel(noise=level), found["z"].sel(noise=level))
    assert np.array_equal(known["auc"].sel(subgroup="a", noise="b 1"), found["auc"].sel(subgroup="a", noise="b 1"))
    assert known["auc"].sel(subgroup="b", noise="16, b 1").isnull().all()
    one = {"pretraining": "all b", "replicate": 1, "draw": 1}
    scores = cube["score"].sel(one | {"noise": "none", "subgroup": "b"}).values
    label = cube["label"].sel(pretraining="all b", replicate=1, noise="none").values
    stated = expected_auc(scores, label, float(within_class_sd(scores, label)))
    assert float(known["auc"].sel(one | {"noise": "b 1", "subgroup": "b"})) == stated
    injected, nothing, _ = estimates(known, study.estimands)
    returned, null, _ = estimates(found, study.estimands)
    assert injected.value > 0.05 and returned.value == pytest.approx(injected.value, abs=0.4)
    assert nothing.value == null.value == 0.0 and null.low == null.high == 0.0


def test_a_cube_without_score_noise_has_no_expectation(cube: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="score noise"):
        expected(cube.drop_vars("noiseless"))


def test_score_noise_is_no_shift_of_subjects() -> None:
    noise, both = EvaluationShift(score_noise=0.5), EvaluationShift(score_noise=0.5, acquisition=0.3)
    assert of_subjects({"a": noise, "b": both}) == {"b": EvaluationShift(acquisition=0.3)}
    stated = {"a": EvaluationShift()}  # as it stands in a study file: its programs have the shift of size 0
    assert of_subjects(stated) == stated
    assert score_noise({"b": both}, ("a", "b")) == (0.0, 0.5)
    assert "score_noise" not in EvaluationShift().model_dump() and "score_noise" not in Shift.model_fields


@pytest.mark.parametrize("stage", ["pretraining", "finetuning"])
def test_only_an_evaluation_has_scores(stage: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(SMALL.replace("[evaluation]", f"[{stage}.shifts.b]\nscore_noise = 1.0\n\n[evaluation]"))
    with pytest.raises(InputError, match=rf"bad.toml:\d+: {stage}.shifts.b.score_noise"):
        load_study(file)


def test_a_contrast_of_expectations_is_paired(cube: xr.Dataset, study: Study) -> None:
    """Returned and expected value of one replicate differ by the noise alone, so much less than replicates do."""
    primary = study.estimands[0]
    (returned,), (injected,) = (paired(values, primary) for values in (measure(cube, 0.8), expected(cube)))
    assert returned.values.shape == injected.values.shape == (2,) and np.isfinite(injected.values).all()
