"""Noise of known size in one subgroup's features: its closed-form expectation, and coverage of the intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, norm

from biasprop import load_study, run_study
from biasprop.metrics import auc
from biasprop.statistics.estimate import estimates
from biasprop.statistics.intervals import t_interval
from biasprop.statistics.measures import measure
from biasprop.statistics.paired import paired
from biasprop.statistics.score_noise import expected as expected_by_noise
from biasprop.study import design
from biasprop.truth.expectation import evaluated_z, expected, incompatibility, law_of_test
from biasprop.truth.law import Law
from tests.members import images, subjects
from tests.source_tree import ROOT

FILE = ROOT / "studies" / "injected_features.toml"
STUDY = load_study(FILE)
ARMS = {arm.levels["injected"]: arm for cell, arm in design.arms(STUDY) if arm.levels["labels"] == 200}
DIRECTION = np.random.default_rng(8).standard_normal(STUDY.generator.size**2)
MATCHED = np.linalg.solve(Law.of(STUDY.generator).covariances["rows"], Law.of(STUDY.generator).signal)


def test_the_law_has_the_noise_of_the_images() -> None:
    shifted, plain = law_of_test(STUDY, ARMS["features 2.1"].condition.evaluation), Law.of(STUDY.generator)
    assert np.array_equal(shifted.covariances["rows"], plain.covariances["rows"])
    extra = shifted.covariances["columns"] - plain.covariances["columns"]
    assert np.allclose(extra, 0.04**2 * np.expm1(2 * 2.1) * np.eye(len(extra)), atol=1e-6)
    who = subjects(2_000, 1)._replace(noise=np.full(2_000, np.exp(2.1), np.float32))
    x = np.asarray(images(STUDY.generator, who), np.float64).reshape(2_000, -1)
    healthy = x[np.asarray(who.label) == 0] @ MATCHED
    assert healthy.var() == pytest.approx(MATCHED @ shifted.covariances["columns"] @ MATCHED, rel=0.12)


@pytest.mark.parametrize("level", ["scores 0.5", "scores 1", "features 1.6"])
def test_the_exact_z_is_that_of_simulated_scores(level: str) -> None:
    evaluation = ARMS[level].condition.evaluation
    law = law_of_test(STUDY, evaluation)
    rows, columns = evaluated_z(law, MATCHED, evaluation)
    assert rows == pytest.approx(float(Law.of(STUDY.generator).z(MATCHED, "rows")))
    random, n = np.random.default_rng(6), 400_000
    label = np.repeat([0, 1], n // 2)
    sd = np.sqrt(MATCHED @ law.covariances["columns"] @ MATCHED)
    noise = evaluation.shifts["columns"].score_noise or 0.0
    scores = sd * (random.standard_normal(n) + noise * random.standard_normal(n)) + label * (MATCHED @ law.signal)
    assert np.sqrt(2) * norm.ppf(auc(scores, label)) == pytest.approx(columns, abs=0.012)


def test_the_expectation_of_the_study_has_the_injected_skews() -> None:
    assert incompatibility(STUDY) is None
    known = estimates(expected(STUDY, 3, 4), STUDY.estimands)
    value = {(e.name, *e.arm.values()): e.value for e in known}
    name = "gap returned for every injected skew"
    for kind in ("scores", "features"):
        sizes = [level for level in ARMS if str(level).startswith(kind) and level != "scores 0"]
        gaps = [value[name, level, 200] for level in sizes]
        assert gaps == sorted(gaps) and gaps[0] > 0.02 and gaps[-1] > 0.3
    assert value["nothing injected", "scores 0", 200] == 0.0
    assert all(v == 0.0 for (name, *_), v in value.items() if name == "change of rows")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("pretraining.shifts={ rows = { acquisition = 1.0 } }", "only shifts of the evaluation"),
        ("finetuning.shifts={ rows = { missed = 0.2 } }", "only shifts of the evaluation"),
    ],
)
def test_studies_with_other_shifts_have_no_known_answer(assignment: str, said: str) -> None:
    assert said in str(incompatibility(load_study(FILE, set=(assignment,))))


def test_another_shift_of_the_evaluation_has_no_known_answer() -> None:
    control = load_study(ROOT / "studies" / "gaussian_control.toml", set=("evaluation.shifts.rows.presentation=0.5",))
    assert "presentation" in str(incompatibility(control))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_intervals_of_five_replicates_cover_the_injected_skew(tmp_path: Path) -> None:
    """100 replicates of a small study, in groups of 5: the share of 95 % intervals that hold the truth."""
    small = ("pretraining.cohort=500", "pretraining.schedule.steps=400", "generator.size=8", "evaluation.test=400")
    few = ("evaluation.calibration=40", "evaluation.selection=40", "finetuning.protocol.draws=2")
    study = load_study(FILE, set=(*small, *few, "factors.labels.levels=[200]"), replicates=100)
    cube = run_study(study, out=tmp_path, workers=0)
    found, by_noise = measure(cube, 0.8), expected_by_noise(cube)
    integrated = expected(study, 400, 5)
    least = int(binom.ppf(1e-3, 20, 0.95))
    for estimand in study.estimands[:2]:  # noisier features, noisier scores
        (returned,) = paired(found, estimand)
        truth = next(e for e in estimates(integrated, study.estimands) if e.name == estimand.name)
        intervals = [t_interval(group, 0.95) for group in returned.values.reshape(20, 5)]
        covered = sum(i.low <= truth.value <= i.high for i in intervals)
        assert covered >= least, (estimand.name, covered, truth.value, returned.values.mean())
        reach = 4 * np.hypot(returned.values.std(ddof=1) / 10, truth.se)
        assert abs(returned.values.mean() - truth.value) < reach
    # Given the scores without noise the expectation is exact replicate by replicate, so the differences alone are left.
    (injected,) = paired(by_noise, study.estimands[1])
    errors = (returned.values - injected.values).reshape(20, 5)
    assert sum(i.low <= 0 <= i.high for i in (t_interval(group, 0.95) for group in errors)) >= least
    assert abs(errors.mean()) < 4 * errors.std() / 10
    assert errors.std() < 0.7 * returned.values.std() or errors.std() < 0.1
