"""Variances from contributions: DeLong and Obuchowski by brute force, correlations, the bootstrap, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from scipy.stats import binomtest

import biasprop
from biasprop.metrics import calibration_intercept, calibration_slope
from biasprop.statistics import contributions
from biasprop.statistics.areas import paired_areas
from biasprop.statistics.bootstrap import resamples
from biasprop.statistics.group_intervals import Spread, clopper_pearson, difference, wilson


def sample(seed: int, n: int = 80) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(seed)
    labels = (random.uniform(size=n) < 0.4).astype(int)
    return np.round(random.standard_normal(n) + labels, 1), labels


def structural_components(scores: NDArray, labels: NDArray) -> tuple[NDArray, NDArray, float]:
    """V10 and V01 of DeLong et al. from all pairs, and the AUC."""
    pairs = 0.5 * (np.sign(scores[labels == 1][:, None] - scores[labels == 0]) + 1)
    return pairs.mean(axis=1), pairs.mean(axis=0), pairs.mean()


@pytest.mark.parametrize("seed", range(5))
def test_delong_from_all_pairs(seed) -> None:
    scores, labels = sample(seed)
    v10, v01, auc = structural_components(scores, labels)
    ours = contributions.area(scores, labels, np.ones(80), np.arange(80), 80)
    assert ours.value == pytest.approx(auc)
    assert ours.variance == pytest.approx(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))


@pytest.mark.parametrize("seed", range(5))
def test_obuchowski_from_all_pairs(seed) -> None:
    scores, labels = sample(seed)
    cluster = np.random.default_rng(seed).integers(0, 25, 80)
    v10, v01, auc = structural_components(scores, labels)
    of_diseased, of_healthy = cluster[labels == 1], cluster[labels == 0]
    m, n = len(v10), len(v01)
    e10 = np.array([(v10[of_diseased == k] - auc).sum() for k in range(25)])
    e01 = np.array([(v01[of_healthy == k] - auc).sum() for k in range(25)])
    i10, i01, i = len(set(of_diseased)), len(set(of_healthy)), len(set(cluster))
    s10, s01 = i10 / ((i10 - 1) * m) * (e10**2).sum(), i01 / ((i01 - 1) * n) * (e01**2).sum()
    s11 = i / (i - 1) * (e10 * e01).sum()
    ours = contributions.area(scores, labels, np.ones(80), cluster, 25)
    assert ours.variance == pytest.approx(s10 / m + s01 / n + 2 * s11 / (m * n))


def test_groups_that_share_subjects_agree_with_paired_areas() -> None:
    """Twins: each subject healthy and diseased in two subgroups."""
    random = np.random.default_rng(0)
    low = random.standard_normal(400) + 0.5 * random.standard_normal((2, 400))
    high = random.standard_normal(400) + 0.5 * random.standard_normal((2, 400)) + [[1.0], [1.4]]
    expected = paired_areas(low, high)
    audit = biasprop.audit_scores(
        np.concatenate([low, high], axis=1).ravel(),
        np.tile(np.repeat([0, 1], 400), 2),
        np.repeat(["a", "b"], 800),
        score_is="ranking",
        cluster=np.tile(np.arange(400), 4),
        metrics=["auc"],
    )
    _, low_bound, high_bound = expected.interval([1, -1])
    row = audit.contrasts.iloc[0]
    assert row["se"] == pytest.approx(np.sqrt(np.array([1, -1]) @ expected.covariance @ [1, -1]), rel=0.03)
    assert row["high"] - row["low"] == pytest.approx(high_bound - low_bound, rel=0.03)
    alone = np.sqrt(np.trace(expected.covariance))
    assert row["se"] < 0.9 * alone  # sharing subjects makes the gap more precise


@pytest.mark.parametrize("slope_free", [False, True])
def test_the_sandwich_agrees_with_simulation(slope_free) -> None:
    random = np.random.default_rng(1)
    scores = random.standard_normal((400, 500)) * 1.3
    labels = (random.uniform(size=scores.shape) < expit(0.3 + 0.8 * scores)).astype(int)
    metric = calibration_slope if slope_free else calibration_intercept
    whole = np.ones(500), np.arange(500), 500
    found = [contributions.calibration(s, y, *whole, slope_free) for s, y in zip(scores, labels, strict=True)]
    values = metric(scores, labels)
    np.testing.assert_allclose([one.value for one in found], values, rtol=1e-9)
    assert np.mean([one.variance for one in found]) == pytest.approx(values.var(), rel=0.25)


@pytest.mark.parametrize(("interval", "method"), [(wilson, "wilson"), (clopper_pearson, "exact")])
@pytest.mark.parametrize(("k", "n"), [(0, 12), (12, 12), (3, 12), (50, 80)])
def test_intervals_of_rates_without_weights_or_clusters_are_scipys(k, n, interval, method) -> None:
    one = contributions.mean(np.arange(n) < k, np.ones(n), np.arange(n), n)
    number = np.array([float(n)])
    spread = Spread(np.array([one.value]), np.array([one.variance]), np.eye(1), number, number, np.array([np.inf]))
    expected = binomtest(k, n).proportion_ci(method=method)
    np.testing.assert_allclose(np.ravel(interval(spread, 0.05)), [expected.low, expected.high], rtol=1e-9, atol=1e-12)


def test_newcombes_interval_of_his_example() -> None:
    """56 of 70 against 48 of 80: method 10 of Newcombe (1998), Table II (a), 0.0524 to 0.3339."""
    share, number = np.array([56 / 70, 48 / 80]), np.array([70.0, 80.0])
    variance = share * (1 - share) / number
    low, high = wilson(Spread(share, variance, np.eye(2), number, number, np.full(2, np.inf)), 0.05)
    found = difference((share[0], low[0], high[0]), (share[1], low[1], high[1]), 0.0)
    np.testing.assert_allclose(found, (0.0524, 0.3339), atol=5e-5)


def test_clusters_are_drawn_whole_and_the_blocks_do_not_matter(monkeypatch) -> None:
    cluster = np.array([7, 7, 3, 9, 9, 9])
    whole = np.concatenate(list(resamples(cluster, 0, "a", 50)))
    assert whole.shape == (50, 6)
    assert (whole[:, 0] == whole[:, 1]).all() and (whole[:, 3:] == whole[:, 3:4]).all()
    assert (whole[:, [0, 2, 3]].sum(axis=1) == 3).all()  # as many clusters as there are
    monkeypatch.setattr("biasprop.statistics.bootstrap.BLOCK", 18)
    np.testing.assert_array_equal(np.concatenate(list(resamples(cluster, 0, "a", 50))), whole)
    assert not np.array_equal(np.concatenate(list(resamples(cluster, 0, "b", 50))), whole)


def people(seed: int, persons: int, images: int, shift: float) -> tuple[NDArray, ...]:
    """Scores, targets, groups and persons: images of a person share a part of the score and the target."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(2 * persons), images)
    group = np.repeat(["a", "b"], persons * images)
    label = np.repeat((random.uniform(size=2 * persons) < 0.4).astype(int), images)
    own = np.repeat(random.standard_normal(2 * persons), images)
    noise = (own + random.standard_normal(len(own))) / np.sqrt(2) if images > 1 else own
    return noise + label * np.where(group == "a", 1.0 + shift, 1.0), label, group, person


@pytest.mark.parametrize("images", [1, 4])
def test_formulas_agree_with_the_bootstrap(images) -> None:
    scores, labels, groups, person = people(3, 300, images, 0.3)
    arguments = {"score_is": "log-odds", "threshold": 0.5, "n_bootstrap": 400}
    names = ["auc", "z", "sensitivity", "specificity", "calibration_intercept", "calibration_slope"]
    formula, drawn = (
        biasprop.audit_scores(scores, labels, groups, cluster=person, metrics=names, method=method, **arguments)
        for method in ("formula", "bootstrap")
    )
    for which in ("estimates", "contrasts"):
        np.testing.assert_allclose(getattr(formula, which)["se"], getattr(drawn, which)["se"], rtol=0.2)
    assert np.all(drawn.estimates["resamples"] == 400)


def covered(studies: int, persons: int, images: int, method: str, clusters: bool = True) -> tuple[float, float]:
    """Shares of simulated studies whose intervals hold the gap of the AUC and of the sensitivity."""
    gap = ndtr(1.3 / np.sqrt(2)) - ndtr(1.0 / np.sqrt(2))
    rates = ndtr(1.3 - 0.5) - ndtr(1.0 - 0.5)
    held = np.zeros(2)
    for seed in range(studies):
        scores, labels, groups, person = people(seed, persons, images, 0.3)
        found = biasprop.audit_scores(
            scores,
            labels,
            groups,
            score_is="ranking",
            threshold=0.5,
            cluster=person if clusters and images > 1 else None,
            metrics=["auc", "sensitivity"],
            method=method,  # pyright: ignore[reportArgumentType]
            n_bootstrap=200,
        ).contrasts
        held += [row.low <= truth <= row.high for row, truth in zip(found.itertuples(), (gap, rates), strict=True)]
    return tuple(held / studies)


@pytest.mark.parametrize("images", [1, 4])
def test_intervals_of_gaps_cover(images) -> None:
    for share in covered(150, 60, images, "formula"):
        assert 0.90 <= share <= 0.99  # 95 % has a standard error of 1.8 % here


def test_images_taken_for_people_do_not_cover() -> None:
    assert max(covered(80, 60, 4, "formula", clusters=False)) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", ["formula", "bootstrap"])
@pytest.mark.parametrize(("persons", "images"), [(40, 1), (40, 4), (150, 1), (150, 4)])
def test_intervals_of_gaps_cover_in_many_studies(persons, images, method) -> None:
    for share in covered(1000, persons, images, method):
        assert 0.93 <= share <= 0.975


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_the_effective_number_does_not_depend_on_the_scale_of_weights(scale: float) -> None:
    weight, cluster = scale * np.array([1.0, 2.0, 3.0, 0.0]), np.array([0, 0, 1, 2])
    with np.errstate(all="raise"):
        assert contributions.effective_number(weight, cluster) == pytest.approx(36 / 18)
    assert contributions.effective_number(0.0 * weight, cluster) == 0.0


def test_correlations_are_summed_over_blocks_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = list(np.random.default_rng(3).standard_normal((3, 20)))
    expected = np.array(shares) @ np.array(shares).T
    expected /= np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    monkeypatch.setattr(contributions, "BLOCK", 7)
    np.testing.assert_allclose(contributions.correlations(shares), expected)
