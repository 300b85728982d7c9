"""Closed-form answers of the Gaussian control against brute force and against the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from biasprop import keys
from biasprop.metrics import auc
from biasprop.study.conditions import Pretraining, PretrainingCondition
from biasprop.study.load import load_study
from biasprop.training import pretrain
from biasprop.training.batching import one_cell
from biasprop.truth import recovered
from biasprop.truth.expectation import (
    Design,
    cohort_subspaces,
    expected,
    head,
    incompatibility,
    label_sets,
    limit_head,
    limit_z,
)
from biasprop.truth.law import Law, auc_of_z, auc_sd, mean_z_of_test, z_sd
from biasprop.truth.subspace import crossing, largest_angle, leading, principal
from tests.members import SEED, images, subjects
from tests.source_tree import ROOT

STUDY = load_study(ROOT / "studies" / "gaussian_control.toml")
LAW = Law.of(STUDY.generator)
NORMAL = np.random.default_rng(5)
EQUAL = {"rows": 0.5, "columns": 0.5}


def mixed(share: float) -> Design:
    """The design of the study at a share of ``rows``."""
    return Design({"rows": share, "columns": 1 - share}, 0.1, 2_000, 3)


def covariance(share: float) -> np.ndarray:
    """Covariance of the study's cohort at a share of ``rows``."""
    return LAW.cohort_covariance(mixed(share).shares, 0.1)


# --- the law ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("g", [0, 1])
def test_the_declared_law_is_that_of_the_images(g: int) -> None:
    who = subjects(6_000, g)
    x = np.asarray(images(STUDY.generator, who), np.float64).reshape(len(who.label), -1)
    label, name = np.asarray(who.label), STUDY.subgroups[g]
    v = np.linalg.solve(LAW.covariances[name], LAW.signal)
    score = x @ v
    assert score[label == 1].mean() - score[label == 0].mean() == pytest.approx(v @ LAW.signal, rel=0.05)
    assert np.cov(score[label == 0]) == pytest.approx(v @ LAW.covariances[name] @ v, rel=0.1)
    ideal = float(auc_of_z(LAW.z(v, name)))
    assert auc(score, label) == pytest.approx(ideal, abs=0.012)
    assert ideal == pytest.approx(STUDY.generator.ideal_auc(STUDY.generator.representative(name)), abs=1e-5)


def test_the_spread_of_an_estimated_auc_is_exact() -> None:
    m, n, z = 40, 60, 1.1
    positives, negatives = NORMAL.standard_normal((20_000, m)) + z, NORMAL.standard_normal((20_000, n))
    scores = np.concatenate([positives, negatives], axis=1)
    found = auc(scores, np.broadcast_to(np.repeat([1, 0], [m, n]), scores.shape))
    assert found.std() == pytest.approx(float(auc_sd(z, m, n)), rel=0.02)
    assert found.mean() == pytest.approx(float(auc_of_z(z)), abs=0.002)
    on_z = np.sqrt(2) * norm.ppf(found)
    assert on_z.std() == pytest.approx(float(z_sd(z, m, n)), rel=0.06)
    assert on_z.mean() - z == pytest.approx(float(mean_z_of_test(z, m, n)) - z, rel=0.35)
    assert mean_z_of_test(z, 10**6, 10**6) == pytest.approx(z, abs=1e-5)


# --- subspaces -------------------------------------------------------------------------------------------------------


def test_a_crossing_is_where_the_kept_direction_changes() -> None:
    where, ratio = crossing(covariance, 3)
    assert 0.25 < where < 0.4 and 1 <= ratio < 1.01
    below, above = (principal(covariance(where + step), 3) for step in (-0.15, 0.15))
    assert largest_angle(below, above) > 60
    for share in (0, 0.1, 0.5, 0.9, 1):  # the shipped shares are away from it
        third, fourth = leading(covariance(share), 4)[2:]
        assert third / fourth > 1.5, share


def test_the_auc_turns_over_at_the_crossing() -> None:
    where, _ = crossing(covariance, 3)
    before, after = (limit_z(LAW, mixed(where + step), EQUAL) for step in (-0.15, 0.15))
    assert before["rows"] - before["columns"] > 0.2 and after["rows"] - after["columns"] < -0.4


def test_angles() -> None:
    basis = np.eye(5)[:, :2]
    turned = np.column_stack([basis[:, 0], np.cos(0.3) * basis[:, 1] + np.sin(0.3) * np.eye(5)[:, 4]])
    assert largest_angle(basis, basis @ [[1, 2], [0, 3]]) == pytest.approx(0, abs=1e-6)
    assert largest_angle(basis, turned) == pytest.approx(np.degrees(0.3))


# --- expectation and limit -------------------------------------------------------------------------------------------


def test_a_head_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    x = NORMAL.standard_normal((300, 3)) @ [[2, 1, 0], [0, 1, 0], [0, 0, 0.1]]
    label = (x[:, 0] + NORMAL.standard_normal(300) > 0.3).astype(int)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    for penalty in (1e-4, 1e-1):
        other = LogisticRegression(C=1 / (300 * penalty), tol=1e-10, max_iter=1_000).fit(scaled, label)
        assert np.allclose(head(x, label, penalty), other.coef_[0] / x.std(axis=0), rtol=1e-4)


def test_many_labels_and_a_large_cohort_reach_the_limit() -> None:
    basis = principal(covariance(0.1), 3)
    direction = label_sets(LAW, basis, [100_000], 1, 1e-8, SEED, 0)[0, 0]
    exact = basis @ limit_head(LAW, basis, EQUAL)
    for name in LAW.covariances:
        assert LAW.z(direction, name) == pytest.approx(LAW.z(exact, name), abs=0.02)
    angles = [
        largest_angle(cohort_subspaces(LAW, [mixed(0.1)._replace(cohort=n)], SEED, 0)[0], basis) for n in (300, 8_000)
    ]
    assert angles[1] < 4 < angles[0]


def test_the_limit_is_no_linear_discriminant_but_near_it() -> None:
    basis = principal(covariance(0.5), 3)
    pooled = basis.T @ (LAW.covariances["rows"] + LAW.covariances["columns"]) @ basis / 2
    linear = np.linalg.solve(pooled, basis.T @ LAW.signal)
    exact = limit_head(LAW, basis, EQUAL)
    cosine = exact @ linear / np.linalg.norm(exact) / np.linalg.norm(linear)
    assert 0.98 < cosine < 1 - 1e-6
    same = Law(LAW.signal, dict.fromkeys(LAW.covariances, LAW.covariances["rows"]))
    shared = np.linalg.solve(basis.T @ same.covariances["rows"] @ basis, basis.T @ LAW.signal)
    assert np.allclose(limit_head(same, basis, EQUAL), shared, rtol=1e-4), "with one covariance it is the discriminant"


def test_studies_without_a_known_answer_are_named() -> None:
    assert incompatibility(STUDY) is None
    assert "no law" in str(incompatibility(load_study(ROOT / "studies" / "skin_tone.toml")))
    staged = load_study(ROOT / "studies" / "gaussian_control.toml", ("pretraining.stages=[{ cohort = 1000 }]",))
    assert "one stage" in str(incompatibility(staged))


# --- the pipeline ----------------------------------------------------------------------------------------------------


def condition(share: float, **schedule: Any) -> PretrainingCondition:
    """The pretraining condition of the study at a share of ``rows``."""
    pretraining = STUDY.pretraining.model_dump(mode="json")
    pretraining |= {"shares": dict(mixed(share).shares), "schedule": pretraining["schedule"] | schedule}
    return PretrainingCondition(
        generator=STUDY.generator, encoder=STUDY.encoder, pretraining=Pretraining.model_validate(pretraining)
    )


def test_reconstruction_finds_the_principal_subspace_of_its_own_cohort() -> None:
    one = condition(0.1)
    key = keys.replicate(SEED, 0)
    batch = one_cell(one, key)
    params = pretrain.pretrain(batch, lambda *stage: None)[0]["encoder"]
    own = principal(np.cov(recovered.cohort_images(one, SEED, 0).T), 3)
    learned = largest_angle(np.asarray(params["map"][0]), own)
    assert learned < 3
    assert learned < 0.6 * largest_angle(own, principal(covariance(0.1), 3)), (
        "it follows its cohort, not the population"
    )
    other = principal(np.cov(recovered.cohort_images(one, SEED, 1).T), 3)
    assert learned < 0.6 * largest_angle(own, other)


def test_models_are_recovered_from_scores() -> None:
    x = NORMAL.standard_normal((2, 300, 20))
    true = NORMAL.standard_normal((4, 3)) @ NORMAL.standard_normal((3, 20))
    scores = (np.einsum("gsp,mp->mgs", x, true) + 0.7).astype(np.float32)
    found, error = recovered.directions(scores, x)
    assert np.allclose(found, true, atol=1e-5) and error < 1e-4
    assert largest_angle(recovered.span(found, 3), np.linalg.svd(true)[2][:3].T) < 0.01
    assert recovered.directions(scores**2, x)[1] > 0.1, "these scores are not linear"


def test_test_estimates_cover_the_exact_auc_at_the_nominal_rate() -> None:
    """Encoder and head fixed, many test sets; the interval uses the estimate alone."""
    basis = principal(covariance(0.9), 3)
    direction = label_sets(LAW, basis, [50], 1, 1e-4, SEED, 1)[0, 0]
    sets, size = 400, 100
    for g, name in enumerate(STUDY.subgroups):
        x = images(STUDY.generator, subjects(sets * size, g, seed=SEED + 1))
        label = np.asarray(subjects(size).label)
        scores = (np.asarray(x, np.float64).reshape(sets * size, -1) @ direction).reshape(sets, size)
        z = np.sqrt(2) * norm.ppf(auc(scores, np.broadcast_to(label, scores.shape)))
        half = 1.96 * z_sd(z, size // 2, size // 2)
        covered = np.mean(np.abs(z - LAW.z(direction, name)) < half)
        assert 0.92 <= covered <= 0.98, (name, covered)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_intervals_of_the_study_cover_the_expectation(tmp_path: Path) -> None:
    """Expectation over cohorts and labels, and law and subspace on the study's own models; half of its replicates."""
    from biasprop import run_study
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.measures import measure

    study = load_study(ROOT / "studies" / "gaussian_control.toml", replicates=6)
    cube = run_study(study, out=tmp_path, workers=0)
    measures = measure(cube, study.evaluation.target_specificity)
    found = estimates(measures, study.estimands)
    known = estimates(expected(study, 40, SEED), study.estimands)
    assert [(e.name, e.arm) for e in found] == [(e.name, e.arm) for e in known]
    # Contrasts of one replicate are dependent, so the family is bounded by Bonferroni and not by a count of misses.
    level = float(t.ppf(1 - 0.005 / len(found), 5))
    for one, truth in zip(found, known, strict=True):
        reach = level * np.hypot(one.se, truth.se)
        assert abs(one.value - truth.value) < reach, (one.name, one.arm, one.value, truth.value, one.se)
    assert np.mean([e.low <= k.value <= e.high for e, k in zip(found, known, strict=True)]) > 0.7
    z = measures["z"].transpose("pretraining", ..., "subgroup").values
    errors, half = [], study.evaluation.test // 2
    for replicate in range(study.replicates):
        models, residual = recovered.models(cube, study, replicate)
        assert residual < 1e-3
        for i, (share, directions) in enumerate(zip((1, 0.9, 0.5, 0.1, 0), models.values(), strict=True)):
            own = principal(np.cov(recovered.cohort_images(condition(share), study.seed, replicate).T), 3)
            assert largest_angle(recovered.span(directions, 3), own) < 4, (share, replicate)
            for g, name in enumerate(study.subgroups):
                exact = LAW.z(directions, name)
                measured = np.moveaxis(z[i], -1, 0)[g][:, replicate].ravel()
                errors.append(np.mean((measured - exact) / z_sd(exact, half, half)))
    assert abs(np.mean(errors)) < 4 / np.sqrt(study.replicates) and 0.4 < np.std(errors) < 1.6
