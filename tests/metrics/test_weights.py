"""Real-valued weights of the metrics: integers are repeated entries, only ratios matter, 0 and 1 are what they were."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score, roc_auc_score

from biasprop import metrics
from biasprop.metrics import METRICS
from biasprop.metrics.calibration import calibration_intercept, calibration_slope
from tests.metrics.test_metrics import COUNTS, NEEDS, PER_SUBGROUP, TWIN_METRICS, sample

VALUES = [(name, metric) for name, metric in PER_SUBGROUP if name not in COUNTS]


def weighted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores, labels = sample(1, 300, seed)
    if seed % 2:
        scores = scores + random.standard_normal(scores.shape)  # no ties
    return scores[0], labels[0], random.integers(0, 4, 300).astype(float)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("name", "metric"), [pair for pair in VALUES if pair[0] != "ece_expected"])
def test_integer_weights_are_repeated_entries(name, metric, seed) -> None:
    scores, labels, weight = weighted(seed)
    repeated = np.repeat(np.arange(300), weight.astype(int))
    expected = metric(scores[repeated], labels[repeated])
    assert np.isfinite(expected)
    np.testing.assert_allclose(metric(scores, labels, weight), expected, rtol=1e-9)
    for scale in (0.137, 1e-305, 1e-200, 1e200, 1e300):
        np.testing.assert_allclose(metric(scores, labels, scale * weight), expected, rtol=1e-8)


@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_rows_of_weights_share_one_row_of_scores(name, metric) -> None:
    scores, labels, weight = weighted(1)
    rows = np.stack([weight, weight[::-1] * 0.3, np.ones(300)])
    needs = {"labels": labels} | {name: np.full(3, value) for name, value in NEEDS.items()}
    together = METRICS[name].function(scores, *(needs[need] for need in METRICS[name].needs), rows)
    np.testing.assert_allclose(together, [metric(scores, labels, row) for row in rows], rtol=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "i8", "?"])
@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_weights_of_0_and_1_give_the_bits_of_padding(name, metric, dtype) -> None:
    scores, labels = sample()
    weight = np.random.default_rng(1).uniform(size=labels.shape) < 0.8
    padded = metric(scores, np.where(weight, labels, -1))
    np.testing.assert_array_equal(metric(scores, labels, weight.astype(dtype)), padded)
    np.testing.assert_array_equal(metric(scores, labels, np.ones(labels.shape, dtype)), metric(scores, labels))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize(("name", "metric"), PER_SUBGROUP)
def test_a_weight_is_finite_and_not_negative(name, metric, wrong) -> None:
    scores, labels = sample(1, 30)
    weight = np.ones(labels.shape)
    weight[0, 3] = wrong
    with pytest.raises(ValueError, match="finite and not negative"):
        metric(scores, labels, weight)


def test_counts_are_of_entries() -> None:
    assert metrics.n([1.0, 2.0, 3.0, np.nan], [0, 1, 1, 1], [0.5, 2.5, 0.0, 9.0]) == 2
    assert metrics.n_positive([1.0, 2.0, 3.0, np.nan], [0, 1, 1, 1], [0.5, 2.5, 0.0, 9.0]) == 1


def test_weighted_auc_by_hand() -> None:
    # Pairs and their weights: 2 > 1 counts 3 * 1, 2 = 2 half of 3 * 4, the second diseased is below both.
    assert metrics.auc([1.0, 2.0, 2.0, 0.0], [0, 0, 1, 1], [1.0, 4.0, 3.0, 2.0]) == pytest.approx((3 + 6) / (5 * 5))


@pytest.mark.parametrize("seed", range(5))
def test_weighted_metrics_agree_with_scikit_learn(seed) -> None:
    scores, labels, _ = weighted(seed)
    weight = np.random.default_rng(seed).uniform(0.1, 5.0, 300)
    assert metrics.auc(scores, labels, weight) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight))
    called = scores > 0.25
    for name, positive in (("sensitivity", 1), ("specificity", 0)):
        expected = recall_score(labels, called, sample_weight=weight, pos_label=positive)
        assert METRICS[name].function(scores, labels, 0.25, weight) == pytest.approx(expected)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(scores[:, None].astype(float), labels, weight)
    assert metrics.calibration_slope(scores, labels, weight) == pytest.approx(fit.coef_.item(), rel=1e-4)


@pytest.mark.parametrize("target", [0.01, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_weighted_threshold_is_that_of_repeated_entries(seed, target) -> None:
    scores, labels, weight = weighted(seed)
    repeated = np.repeat(np.arange(300), weight.astype(int))
    expected = metrics.operating_threshold(scores[repeated], labels[repeated], target)
    assert metrics.operating_threshold(scores, labels, target, weight) == expected
    assert metrics.operating_threshold(scores, labels, target, weight * 1e-6) == expected
    assert np.isnan(metrics.operating_threshold(scores, labels, target, weight * (labels == 1)))


def test_the_minimum_per_class_is_one_of_entries() -> None:
    scores, labels, _ = weighted(0)
    some = np.flatnonzero(labels == 1)[:49]
    keep = np.concatenate([some, np.flatnonzero(labels == 0)])
    assert np.isnan(metrics.calibration_slope(scores[keep], labels[keep], np.full(len(keep), 2.5)))
    assert np.isfinite(metrics.calibration_slope(scores[keep], labels[keep], np.full(len(keep), 2.5), min_per_class=1))


@pytest.mark.parametrize("name", list(TWIN_METRICS))
def test_integer_weights_of_twins_are_repeated_subjects(name) -> None:
    scores = np.random.default_rng(0).standard_normal((3, 40))
    weight = np.random.default_rng(1).integers(0, 4, 40)
    repeated = np.repeat(np.arange(40), weight)
    expected = TWIN_METRICS[name](scores[:, repeated], np.array(0.2))
    np.testing.assert_allclose(TWIN_METRICS[name](scores, np.array(0.2), 0.7 * weight), expected, rtol=1e-12)


def test_expected_ece_with_weights_is_what_a_perfect_model_has_on_average() -> None:
    random = np.random.default_rng(7)
    scores = random.standard_normal(600) * 1.3
    weight = random.uniform(0.2, 3.0, 600)
    labels = (random.uniform(size=(400, 600)) < 1 / (1 + np.exp(-scores))).astype(int)
    drawn = metrics.ece(np.broadcast_to(scores, labels.shape), labels, np.broadcast_to(weight, labels.shape))
    expected = metrics.ece_expected(scores, labels[0], weight)
    assert drawn.mean() == pytest.approx(expected, abs=4 * drawn.std() / 20 + 0.0005)


def test_a_perfect_weighted_auc_is_exactly_1() -> None:
    for seed in range(50):
        weight = np.random.default_rng(seed).uniform(size=37)
        assert metrics.auc(np.arange(37), np.arange(37) > 20, weight) == 1.0
        assert metrics.auc(-np.arange(37), np.arange(37) > 20, weight) == 0.0


@pytest.mark.parametrize("weight", [1e4, 1e6, 1e8, 1e12, 1e17, 1e30, 1e300])
def test_where_a_row_outweighs_all_others_a_calibration_is_solved_or_undefined(weight: float) -> None:
    random, labels = np.random.default_rng(0), np.arange(40) % 2
    scores, rows = random.normal(size=40) + labels, np.arange(40)
    weights = np.where(rows == rows[:, None], weight, 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slopes = calibration_slope(scores, labels, weights, min_per_class=1)
        intercepts = calibration_intercept(scores, labels, weights, min_per_class=1)
    for row in rows:  # scores relative to that of the heavy row, which has then no part in the equation of the slope
        x = scores - scores[row]
        if np.isfinite(slopes[row]):
            at, _ = solved(slopes[row] * x, labels, weights[row])
            terms = weights[row] * (labels - expit(at + slopes[row] * x)) * x
            assert abs(terms.sum()) < 1e-5 * np.abs(terms).sum()
        if np.isfinite(intercepts[row]):
            low, high = solved(scores, labels, weights[row])
            assert low - 1e-6 < intercepts[row] < high + 1e-6
    assert np.isfinite(slopes).all() if weight == 1e4 else weight < 1e17 or np.isnan(slopes).all()
    assert np.isfinite(intercepts[0::2]).all(), "risks are as small as they have to be"


def solved(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Bounds of the intercept with which logits are calibrated, by bisection without cancellation."""
    low, high = -1e4, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        risk = middle + logits
        positive = (weight * expit(-risk))[labels == 1].sum() > (weight * expit(risk))[labels == 0].sum()
        low, high = (middle, high) if positive else (low, middle)
    return low, high
