"""The contract every metric keeps, then hand-worked values and agreement with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, recall_score, roc_auc_score, roc_curve

from biasprop import metrics
from biasprop.metrics import METRICS, SCALES, Metric

COUNTS = {name for name, metric in METRICS.items() if metric.count}
NEEDS = {"threshold": 0.3, "threshold_probability": 0.6}
"""Any threshold will do for the contract."""
FRACTIONAL = {"brier", "net_benefit"}
"""Metrics that take weights other than 0 and 1."""


def per_subgroup(metric: Metric):
    """The metric as a function of scores, labels and weight."""

    def f(s, y, w=None):
        needs = {"labels": y} | {name: np.full(np.shape(s)[:-1], value) for name, value in NEEDS.items()}
        return metric.function(s, *(needs[need] for need in metric.needs), weight=w)

    return f


PER_SUBGROUP = [(name, per_subgroup(metric)) for name, metric in METRICS.items() if not metric.twins]
TWIN_METRICS = {name: metric.function for name, metric in METRICS.items() if metric.twins}


def sample(rows: int = 3, size: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.uniform(size=(rows, size)) < 0.4).astype("i1")
    scores = random.standard_normal((rows, size)) + 1.2 * labels - 0.5
    return np.round(scores, 1).astype("f4"), labels  # rounded: ties


@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_padding_changes_nothing(name, metric) -> None:
    scores, labels = sample()
    random = np.random.default_rng(1)
    place = random.permutation(500)
    padded = np.concatenate([scores, random.standard_normal((3, 100))], axis=1)[:, place]
    around = np.concatenate([labels, random.integers(0, 2, (3, 100))], axis=1)[:, place]
    weight = np.concatenate([np.ones((3, 400)), np.zeros((3, 100))], axis=1)[:, place]
    expected = metric(scores, labels)
    absent = weight == 0
    np.testing.assert_allclose(metric(padded, around, weight), expected, rtol=1e-6)
    np.testing.assert_allclose(metric(np.where(absent, np.nan, padded), around), expected, rtol=1e-6)
    np.testing.assert_allclose(metric(padded, np.where(absent, -1, around)), expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_leading_axes_are_rows(name, metric) -> None:
    scores, labels = sample(6)
    stacked = metric(scores.reshape(2, 3, -1), labels.reshape(2, 3, -1))
    one_by_one = [metric(s, y) for s, y in zip(scores, labels, strict=True)]
    assert stacked.shape == (2, 3)
    np.testing.assert_allclose(stacked.ravel(), one_by_one, rtol=1e-6)


@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_nothing_there_is_nan_or_a_count_of_0(name, metric) -> None:
    nothing = metric(np.full((2, 30), np.nan), np.full((2, 30), -1))
    assert (nothing == 0).all() if name in COUNTS else np.isnan(nothing).all()


@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_the_order_of_the_subjects_does_not_matter(name, metric) -> None:
    scores, labels = sample()
    order = np.random.default_rng(2).permutation(scores.shape[1])
    np.testing.assert_allclose(metric(scores[:, order], labels[:, order]), metric(scores, labels), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.direction and not metric.twins])
def test_a_better_model_has_the_better_value(name) -> None:
    # Log-odds of two normals at a distance are calibrated; a model that has seen less is at a smaller one.
    random = np.random.default_rng(3)
    labels = np.arange(4_000) % 2
    noise = random.standard_normal(4_000)
    strong, weak = (d * (d * (labels - 0.5) + noise) for d in (2.5, 0.5))
    if name in ("ece", "ece_expected"):
        strong, weak = strong, 3.0 * strong  # calibrated, and too confident
    metric = dict(PER_SUBGROUP)[name]
    if name == "specificity":
        strong, weak = strong - 1.0, weak + 1.0
    assert METRICS[name].direction * (metric(strong, labels) - metric(weak, labels)) > 0


@pytest.mark.parametrize("name", sorted(FRACTIONAL))
def test_a_weight_is_a_number_of_subjects(name) -> None:
    scores, labels = sample()
    metric = dict(PER_SUBGROUP)[name]
    times = np.random.default_rng(4).integers(0, 4, scores.shape[1])
    repeated = metric(np.repeat(scores, times, axis=1), np.repeat(labels, times, axis=1))
    np.testing.assert_allclose(metric(scores, labels, times), repeated, rtol=1e-9)
    np.testing.assert_allclose(metric(scores, labels, 0.37 * times), repeated, rtol=1e-9)
    with pytest.raises(ValueError, match="weight"):
        metric(scores, labels, -1.0 * times)


def test_every_metric_is_described_and_contrasts_can_be_taken_of_it() -> None:
    assert all(metric.long_name and (metric.heading or not metric.table) for metric in METRICS.values())
    assert set(SCALES) >= {"z", "auc", "brier", "net_benefit", "sensitivity", "own_sensitivity"}
    assert not set(SCALES) & {"n", "n_positive", "flip_rate", "score_shift"}
    assert all(scale.long_name for scale in SCALES.values())


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.link])
def test_a_link_is_turned_back_by_its_inverse_and_keeps_the_order(name) -> None:
    link = METRICS[name].link
    assert link is not None
    values = np.linspace(0.05, 0.95, 19)
    linked, moved = link.apply(values, 100, 40)
    assert not moved.any() and (np.diff(linked) > 0).all()
    np.testing.assert_allclose(link.inverse(linked), values, rtol=1e-12)


def test_brier_by_hand() -> None:
    # Probabilities 1/2, 3/4 and 1/4 of labels 1, 0 and 0: (1/4 + 9/16 + 1/16) / 3.
    scores = np.log([1.0, 3.0, 1.0 / 3.0])
    assert metrics.brier(scores, [1, 0, 0]) == pytest.approx((1 / 4 + 9 / 16 + 1 / 16) / 3)
    assert metrics.brier(scores, [1, 0, 0], [2.0, 1.0, 0.0]) == pytest.approx((2 / 4 + 9 / 16) / 3)
    assert metrics.brier([np.inf, -np.inf], [1, 0]) == 0.0


def test_brier_agrees_with_scikit_learn() -> None:
    scores, labels = sample()
    weight = np.random.default_rng(5).uniform(0, 2, scores.shape)
    for w in (None, weight):
        rows = zip(labels, scores, weight, strict=True)
        expected = [
            brier_score_loss(y, expit(s.astype("f8")), sample_weight=None if w is None else v) for y, s, v in rows
        ]
        np.testing.assert_allclose(metrics.brier(scores, labels, w), expected, rtol=1e-12)


def test_predictive_values_by_hand() -> None:
    scores, labels = np.array([0.9, 0.8, 0.4, 0.2, 0.1]), np.array([1, 0, 1, 0, 0])
    assert metrics.ppv(scores, labels, 0.5) == 1 / 2 and metrics.npv(scores, labels, 0.5) == pytest.approx(2 / 3)
    weight = np.array([3.0, 1, 2, 1, 1])
    assert metrics.ppv(scores, labels, 0.5, weight) == 3 / 4 and metrics.npv(scores, labels, 0.5, weight) == 1 / 2
    assert np.isnan(metrics.ppv(scores, labels, 1.0)) and np.isnan(metrics.npv(scores, labels, 0.0))


def test_net_benefit_by_hand() -> None:
    # Above log-odds -1.386, probability 0.2: two of the diseased, one of the healthy; a false positive costs 1/4.
    scores, labels = np.array([0.0, -1.0, -2.0, -1.2, -3.0]), np.array([1, 1, 1, 0, 0])
    assert metrics.net_benefit(scores, labels, 0.2) == pytest.approx((2 - 1 / 4) / 5)
    assert metrics.net_benefit(scores, labels, 0.5) == 0.0, "at even odds no subject is called diseased"
    assert metrics.net_benefit(scores + 9, labels, 0.2) == pytest.approx(3 / 5 - 2 / 5 / 4), "treat all"
    # At a prevalence of 0.3 instead of 3/5, by weights.
    weight = np.where(labels == 1, 0.3 / 3, 0.7 / 2)
    assert metrics.net_benefit(scores, labels, 0.2, weight) == pytest.approx(0.3 * 2 / 3 - 0.7 / 2 / 4)
    for wrong in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="threshold_probability"):
            metrics.net_benefit(scores, labels, wrong)


@pytest.mark.parametrize("name", ["auc", "calibration_intercept", "calibration_slope", "sensitivity"])
def test_a_missing_class_is_nan_never_0(name) -> None:
    metric = dict(PER_SUBGROUP)[name]
    assert np.isnan(metric(np.linspace(-1, 1, 200), np.zeros(200)))


def test_auc_by_hand() -> None:
    # Pairs (positive, negative): 2>1, 2=2 (half), 3>1, 3>2 -> 3.5 of 4.
    assert metrics.auc([1.0, 2.0, 2.0, 3.0], [0, 0, 1, 1]) == 3.5 / 4
    assert metrics.auc([0.0, 0.0], [0, 1]) == 0.5
    assert metrics.auc([-np.inf, np.inf, np.nan], [0, 1, 0]) == 1.0


def test_auc_agrees_with_scikit_learn() -> None:
    scores, labels = sample()
    expected = [roc_auc_score(y, s) for y, s in zip(labels, scores, strict=True)]
    np.testing.assert_allclose(metrics.auc(scores, labels), expected, rtol=1e-12)


def test_z_of_auc_by_hand() -> None:
    # Two unit normals one apart have AUC Phi(1 / sqrt 2) = 0.7602499 and z = 1.
    z, moved = metrics.z_of_auc([0.7602499389, 0.5, np.nan], 100, 50)
    np.testing.assert_allclose(z, [1.0, 0.0, np.nan], atol=1e-9)
    assert not moved.any()


def test_z_moves_a_perfect_auc_in_by_half_a_pair() -> None:
    z, moved = metrics.z_of_auc([0.0, 1.0, 1 - 0.5 / 24], 10, 4)  # 4 * 6 pairs
    assert moved.tolist() == [True, True, False]
    np.testing.assert_allclose(z, [-z[2], z[2], z[2]], rtol=1e-12)


def test_threshold_by_hand() -> None:
    scores, labels = np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.array([0, 0, 0, 0, 1])
    assert metrics.operating_threshold(scores, labels, 0.75) == 3.0  # 1, 2 and 3 of 4 are not called
    assert metrics.operating_threshold(scores, labels, 0.76) == 4.0
    assert metrics.operating_threshold(scores, labels, 1.0) == 4.0
    assert np.isnan(metrics.operating_threshold(scores[-1:], labels[-1:], 0.9))
    for wrong in (0.0, 1.1, np.nan):
        with pytest.raises(ValueError, match="target_specificity"):
            metrics.operating_threshold(scores, labels, wrong)


@pytest.mark.parametrize("size", [20, 200, 500, 1000])
@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
def test_threshold_is_the_smallest_that_reaches_the_target(size, target) -> None:
    scores = np.random.default_rng(size).standard_normal(size)
    labels = np.zeros(size)
    threshold = metrics.operating_threshold(scores, labels, target)
    assert metrics.specificity(scores, labels, threshold) >= target - 1e-12
    below = scores[scores < threshold].max()
    assert metrics.specificity(scores, labels, below) < target - 1e-12


def test_decisions_agree_with_scikit_learn() -> None:
    scores, labels = sample()
    threshold = np.array([0.1, 0.5, -0.3])
    for i in range(3):
        called = scores[i] > threshold[i]
        assert metrics.sensitivity(scores, labels, threshold)[i] == pytest.approx(recall_score(labels[i], called))
        assert metrics.specificity(scores, labels, threshold)[i] == pytest.approx(
            recall_score(labels[i], called, pos_label=0)
        )
    np.testing.assert_allclose(
        metrics.underdiagnosis(scores, labels, threshold), 1 - metrics.sensitivity(scores, labels, threshold)
    )
    assert np.isnan(metrics.sensitivity(scores, labels, np.full(3, np.nan))).all()


def test_threshold_lies_on_scikit_learns_curve() -> None:
    scores, labels = sample(1, 1000)
    threshold = metrics.operating_threshold(scores, labels, 0.9)
    false_positive, true_positive, _ = roc_curve(labels[0], scores[0], drop_intermediate=False)
    reached = np.flatnonzero(false_positive <= 0.1 + 1e-12)[-1]
    assert metrics.sensitivity(scores, labels, threshold)[0] == pytest.approx(true_positive[reached])


def test_calibration_slope_agrees_with_scikit_learn() -> None:
    scores, labels = sample(4, 600)
    scores = scores * np.array([[0.2], [1.0], [7.0], [-1.0]]) + 3.0
    expected = [
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(s[:, None].astype(float), y).coef_.item()
        for s, y in zip(scores, labels, strict=True)
    ]
    np.testing.assert_allclose(metrics.calibration_slope(scores, labels), expected, rtol=1e-4)


def test_calibration_intercept_balances_the_books() -> None:
    scores, labels = sample(4, 600)
    scores = scores * np.array([[0.2], [1.0], [30.0], [300.0]]) - 3.0
    intercept = metrics.calibration_intercept(scores, labels)
    predicted = expit(intercept[:, None] + scores.astype(float)).sum(axis=1)  # the score equation of the offset model
    np.testing.assert_allclose(predicted, labels.sum(axis=1), rtol=1e-8)


def test_calibration_of_a_known_model() -> None:
    random = np.random.default_rng(3)
    risk = random.standard_normal((2, 40_000)) * 1.5
    labels = random.uniform(size=risk.shape) < expit(risk)
    scores = np.stack([risk[0], (risk[1] - 0.7) / 0.5])  # the second: twice too extreme, and shifted
    np.testing.assert_allclose(metrics.calibration_slope(scores, labels), [1.0, 0.5], atol=0.03)
    assert metrics.calibration_intercept(scores, labels)[0] == pytest.approx(0.0, abs=0.04)


def test_calibration_is_nan_where_it_is_not_defined() -> None:
    separated = np.concatenate([np.linspace(-2, -1, 60), np.linspace(1, 2, 60)])
    labels = np.repeat([0, 1], 60)
    touching = np.concatenate([np.linspace(-2, 0, 60), np.linspace(0, 2, 60)])  # quasi-separation: one shared value
    few = np.repeat([0, 1], [71, 49])
    for scores, y in [(separated, labels), (-separated, labels), (touching, labels), (np.ones(120), labels)]:
        assert np.isnan(metrics.calibration_slope(scores, y))
        assert np.isnan(metrics.calibration_intercept(scores, y))
    overlapping = np.sin(np.arange(120.0))
    assert np.isnan(metrics.calibration_slope(overlapping, few))
    assert np.isfinite(metrics.calibration_slope(overlapping, labels))


def test_ece_by_hand() -> None:
    # 15 bins of 2 subjects; in each bin one is diseased and both are given probability 0.8: |1 - 1.6| / 2 = 0.3.
    logit = np.log(4.0)
    scores = logit + np.repeat(np.arange(15), 2) * 1e-9
    labels = np.tile([0, 1], 15)
    assert metrics.ece(scores, labels) == pytest.approx(0.3, abs=1e-6)
    # V = 2 * 0.16 a bin, so E = 15 * sqrt(2 * 0.32 / pi) / 30.
    assert metrics.ece_expected(scores, labels) == pytest.approx(0.5 * np.sqrt(0.64 / np.pi), abs=1e-6)
    # Equal scores share a bin: with one value alone there is one bin.
    assert metrics.ece(np.zeros(40), np.tile([0, 1], 20)) == pytest.approx(0.0)


def test_ece_ignores_the_order_of_the_subjects() -> None:
    scores, labels = sample(1, 401)
    place = np.random.default_rng(5).permutation(401)
    np.testing.assert_allclose(metrics.ece(scores[:, place], labels[:, place]), metrics.ece(scores, labels), rtol=1e-9)


def test_expected_ece_is_what_a_perfect_model_has_on_average() -> None:
    random = np.random.default_rng(7)
    scores = random.standard_normal(600) * 1.3
    labels = (random.uniform(size=(400, 600)) < expit(scores)).astype(int)
    drawn = metrics.ece(np.broadcast_to(scores, labels.shape), labels)
    error = drawn.std() / 20
    assert drawn.mean() == pytest.approx(metrics.ece_expected(scores, labels[0]), abs=4 * error + 0.0005)


def test_twins_by_hand() -> None:
    scores = np.array([[1.0, 2.0, 3.0, np.nan], [0.0, 2.5, 0.0, 1.0]])
    assert TWIN_METRICS["flip_rate"](scores, 0.5) == pytest.approx(2 / 3)  # the fourth lacks a twin
    assert TWIN_METRICS["score_shift"](scores, 0.5) == pytest.approx((1.0 - 0.5 + 3.0) / 3)
    assert np.isnan(TWIN_METRICS["flip_rate"](scores, np.nan))
    three = np.array([[1.0], [0.0], [0.0]])  # two of the three pairs differ
    assert TWIN_METRICS["flip_rate"](three, 0.5) == pytest.approx(2 / 3)
    assert TWIN_METRICS["score_shift"](three, 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize("name", list(TWIN_METRICS))
def test_twins_padding_and_identity(name) -> None:
    metric = TWIN_METRICS[name]
    scores = np.random.default_rng(0).standard_normal((2, 3, 50))
    padded = np.concatenate([scores, np.full((2, 3, 10), 99.0)], axis=-1)
    weight = np.concatenate([np.ones((2, 50)), np.zeros((2, 10))], axis=-1)
    threshold = np.array([0.0, 0.4])
    np.testing.assert_allclose(metric(padded, threshold, weight), metric(scores, threshold), rtol=1e-12)
    same = np.broadcast_to(scores[:, :1], scores.shape)
    np.testing.assert_allclose(metric(same, threshold), 0.0, atol=1e-15)
    assert np.isnan(metric(scores[:, :1], threshold)).all()
    assert np.isnan(metric(np.full((2, 3, 5), np.nan), threshold)).all()


@pytest.mark.parametrize(
    ("scores", "labels", "why"),
    [
        (np.arange(150.0), np.arange(150) % 3 == 0, ""),
        (np.arange(149.0), np.arange(149) % 3 == 2, "a fit needs 50 of each class"),
        (np.arange(100.0), np.zeros(100), "a fit needs 50 of each class"),
        (np.ones(100), np.arange(100) % 2, "all scores are equal"),
        (
            np.where(np.arange(100) < 3, np.inf, np.arange(100.0)),
            np.arange(100) % 2,
            "3 of 100 probabilities are 0 or 1",
        ),
        (np.arange(100.0), np.arange(100) >= 50, "separate the classes (none of the diseased is below"),
        (np.arange(100.0), np.arange(100) < 50, "separate the classes (none of the healthy is below"),
    ],
)
def test_why_calibration_is_undefined(scores: np.ndarray, labels: np.ndarray, why: str) -> None:
    said = metrics.calibration_undefined(scores, labels.astype(int))
    assert why in said and (said == "") == (why == "")
    for function in (metrics.calibration_intercept, metrics.calibration_slope):
        assert np.isnan(function(scores, labels.astype(int))) == bool(why)
    missing = np.append(scores, np.nan), np.append(labels.astype(int), 1)
    assert metrics.calibration_undefined(*missing) == said
