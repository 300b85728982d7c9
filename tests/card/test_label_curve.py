"""Learning curves: nested label sets of other people than those held out, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from biasprop.card import label_curve
from biasprop.card.label_curve import Labelled, Margin, budgets, label_curves, split

SHIFT = np.array([0.9, 0.45, 0.0, 0.0, 0.0])
"""Difference of the classes' means in standard deviations."""
MARGIN = Margin("z", 0.1)


def people(n: int, seed: int, images: int = 1) -> Labelled:
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(n // images), images)
    y = (random.uniform(size=n) < 0.4).astype(np.int64)
    features = random.standard_normal((n, len(SHIFT))) + y[:, None] * SHIFT
    female = person % 2 == 0
    groups = {("sex", "F"): female, ("sex", "M"): ~female, ("sex", "X"): np.zeros(n, bool)}
    return Labelled(features.astype("f4"), y, person, np.ones(n), groups)


def test_budgets_are_those_that_the_pool_allows() -> None:
    assert budgets(600, 0.4) == [20, 50, 100, 200]
    assert budgets(600, 0.05) == [100, 200], "at least five of the rarer class"
    assert budgets(20, 0.5) == [] and budgets(10**6, 0.5)[-1] == 5_000


def test_label_sets_are_nested_and_of_other_people_than_those_held_out() -> None:
    person = np.repeat(np.arange(100), 3)
    test, orders = split(person, 7, 4)
    assert len(np.unique(person[test])) == 50
    for order in orders:
        assert sorted(order) == sorted(np.setdiff1d(np.arange(300), test))
        assert not set(person[order]) & set(person[test])
        assert all(len(set(person[order[:k]])) == -(-k // 3) for k in (1, 3, 40)), "person by person"
    more = split(person, 7, 6)[1]
    assert all((a == b).all() for a, b in zip(orders, more, strict=False)), "more draws leave the first ones"
    assert not (orders[0] == orders[1]).all() and not (split(person, 8, 1)[1][0] == orders[0]).all()


def means(found: Labelled, test, orderings, sizes):
    """Log-odds of a classifier by the difference of means, without a fit."""
    scores = np.empty((len(orderings), len(sizes), len(test)))
    for k, order in enumerate(orderings):
        for b, size in enumerate(sizes):
            x, y = found.features[order[:size]], found.labels[order[:size]]
            apart = x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0) if 0 < y.sum() < size else np.nan
            scores[k, b] = found.features[test] @ (np.ones(len(SHIFT)) * apart)
    return scores


def test_intervals_cover_the_expected_area_over_people_and_label_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_curve, "_scores", means)
    # The area of weights w is Phi(w . shift / |w| / sqrt 2), averaged over many label sets.
    random = np.random.default_rng(11)
    truth = {}
    for size in (20, 50, 100):
        y = random.uniform(size=(4_000, size)) < 0.4
        y[:, 0], y[:, 1] = True, False
        noise = random.standard_normal((2, 4_000, len(SHIFT)))
        w = SHIFT + noise[0] / np.sqrt(y.sum(axis=1))[:, None] + noise[1] / np.sqrt((~y).sum(axis=1))[:, None]
        truth[size] = ndtr(w @ SHIFT / np.linalg.norm(w, axis=1) / np.sqrt(2)).mean()
    inside: dict[int, list[bool]] = {size: [] for size in truth}
    for seed in range(150):
        whole, female, *_ = label_curves(people(280, seed), seed, MARGIN, 0.95)
        for point in (*whole.points, *female.points):
            inside[point.labels].append(point.low <= truth[point.labels] <= point.high)
    assert set(inside) == {20, 50, 100}
    assert all(0.9 < np.mean(hits) < 0.99 for hits in inside.values()), {n: np.mean(h) for n, h in inside.items()}


def test_curves_say_how_many_labels_are_enough_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_curve, "_scores", means)
    curves = {curve.group: curve for curve in label_curves(people(20_000, 1, images=2), 0, MARGIN, 0.95)}
    assert set(curves) == {"overall", "F", "M", "X"}
    enough = curves["overall"].enough
    assert enough is not None and enough < 5_000
    assert [point.labels for point in curves["F"].points] == [20, 50, 100, 200, 500, 1_000, 2_000, 5_000]
    assert curves["X"].points == () and curves["X"].enough is None and "undefined for 0 diseased" in curves["X"].reason
    few = label_curves(people(280, 1), 0, MARGIN, 0.95)[0]
    assert few.enough is None and "for certain" in few.reason
    assert label_curves(people(20, 1), 0, MARGIN, 0.95)[0].reason.startswith("too few labels")


def test_enough_is_judged_on_the_scale_of_the_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A margin on the AUC is that of z times the slope of the AUC there, and a wider one needs fewer labels."""
    monkeypatch.setattr(label_curve, "_scores", means)
    found = people(20_000, 1)
    enough = {}
    for margin in (Margin("auc", 0.01), Margin("auc", 0.1), Margin("z", 0.01 / 0.22), Margin("z", 0.1 / 0.22)):
        enough[str(margin)] = label_curves(found, 0, margin, 0.95)[0].enough
    strict, wide, *on_z = enough.values()
    assert strict is not None and wide is not None and strict > wide and [strict, wide] == on_z
    few = label_curves(people(280, 1), 0, Margin("auc", 0.01), 0.95)[0]
    assert few.reason.startswith("no smaller budget is within 0.01 in AUC (stated with --margin) of")


def test_a_probe_of_the_package_learns_and_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_curve, "BUDGETS", (20, 100))
    found = people(300, 5)
    curve, *others = label_curves(found, 0, MARGIN, 0.95, draws=2)
    assert label_curves(found, 0, MARGIN, 0.95, draws=2)[0] == curve
    assert [point.labels for point in curve.points] == [20, 100]
    assert 0.6 < curve.points[-1].auc < 0.9 and curve.points[-1].auc > curve.points[0].auc - 0.05
    assert [one.group for one in others] == ["F", "M", "X"]


def test_many_features_are_reduced_without_labels() -> None:
    random = np.random.default_rng(0)
    signal = random.standard_normal((400, 3)) @ random.standard_normal((3, 300))
    features = (signal + 0.01 * random.standard_normal((400, 300))).astype("f4")
    reduced = label_curve._reduced(features, np.arange(200))
    assert reduced.shape == (400, label_curve.MAX_FEATURES)
    share = reduced[:200].var(axis=0)
    assert share[:3].sum() > 0.99 * share.sum()
