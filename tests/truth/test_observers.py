"""Observers of the difficulty ledger against closed forms, and its learner."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from biasprop.nn.optimisation import Schedule
from biasprop.observers import ideal
from biasprop.observers.ideal import channels, exact_rows, fisher, linear_model_rows, observer_rows, widths
from biasprop.observers.learner import learner_rows
from biasprop.statistics.difficulty import Ledger, z_of
from biasprop.statistics.verdict import NEGLIGIBLE
from biasprop.study.load import load_study
from biasprop.truth.law import Law, auc_of_z
from tests.members import condition, member
from tests.source_tree import ROOT

STUDY = load_study(ROOT / "studies" / "gaussian_control.toml")
LAW = Law.of(STUDY.generator)


def ideal_z(name: str) -> float:
    """z of the prewhitening matched filter, the ideal observer of a subgroup."""
    return float(LAW.z(np.linalg.solve(LAW.covariances[name], LAW.signal), name))


@pytest.fixture(scope="module")
def control() -> Ledger:
    return observer_rows(STUDY.pretraining_condition())


@pytest.fixture(scope="module")
def skin() -> Ledger:
    return observer_rows(condition())


def of(ledger: Ledger, kind: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(row.observer, row.subgroups): row.auc for row in ledger.rows if row.kind == kind}


def test_exact_rows_are_the_closed_form(control: Ledger) -> None:
    found = {names[0]: area for (_, names), area in of(control, "exact").items()}
    for name in STUDY.subgroups:
        assert found[name] == pytest.approx(float(auc_of_z(ideal_z(name))), abs=1e-5)
    gap = ideal_z("rows") - ideal_z("columns")
    assert control.physics(STUDY.subgroups) == pytest.approx((gap, gap), abs=1e-4)
    assert next(c for c in control.comparisons if c.kind == "exact").verdict == NEGLIGIBLE


def test_the_distance_of_likelihood_ratios_is_that_of_simulated_ones() -> None:
    levels = {"rows": {"amplitude": 0.1, "stretch": 1.2}, "wide": {"amplitude": 0.2, "noise": 0.1}}
    generator = member("generators", "gaussian", subgroups=levels)
    law, random = Law.of(generator), np.random.default_rng(1)
    ratios = []
    for covariance in law.covariances.values():
        prewhitened = np.linalg.solve(covariance, law.signal)
        images = random.multivariate_normal(law.signal, covariance, 20_000)
        ratios.append(np.sort((images - law.signal / 2) @ prewhitened))
    x = np.concatenate(ratios)
    rows, wide = (np.searchsorted(each, x, side="right") / len(each) for each in ratios)
    assert exact_rows(generator).comparisons[0].distance == pytest.approx(np.abs(rows - wide).max(), abs=0.015)
    assert np.abs(rows - wide).max() > 0.2


def test_the_bracket_holds_where_the_truth_is_known(control: Ledger) -> None:
    """Lower bounds from images alone are below the exact AUC, and close to it if channels suffice."""
    known = {name: float(auc_of_z(ideal_z(name))) for name in STUDY.subgroups}
    lower = [row for row in control.rows if row.kind == "lower"]
    assert len(lower) == 4
    for row in lower:
        assert known[row.subgroups[0]] - 0.03 < row.auc and row.low < known[row.subgroups[0]], row
    blind = Ledger(tuple(row for row in control.rows if row.kind != "exact"), ())
    for name, area in known.items():
        assert blind.bracket(name)[0] < area < blind.bracket(name)[1] == 1


def test_fisher_s_rule_on_known_channels_has_the_area_of_theory() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(12, 12)) / 3 + np.eye(12)
    shift = 0.3 * random.normal(size=12)
    low, high = random.normal(size=(2, 4_000, 12)) @ root.T
    rule = fisher(low, high + shift)
    covariance = root @ root.T
    ideal = np.sqrt(shift @ np.linalg.solve(covariance, shift))
    assert 0.98 * ideal < rule @ shift / np.sqrt(rule @ covariance @ rule) <= ideal + 1e-12


def test_band_powers_are_invariant_to_translation() -> None:
    images = np.random.default_rng(0).uniform(size=(3, 16, 16, 3)).astype(np.float32)
    linear, both = widths((16, 16, 3))
    moved = channels(np.roll(images, (3, 5), (1, 2)))
    assert channels(images).shape == (3, both) and linear >= ideal.MIN_CHANNELS
    np.testing.assert_allclose(moved[:, linear:], channels(images)[:, linear:], atol=1e-4)
    assert np.abs(moved[:, :linear] - channels(images)[:, :linear]).max() > 0.1


def test_skin_has_bounds_and_no_exact_row(skin: Ledger) -> None:
    assert {row.kind for row in skin.rows} == {"upper", "lower", "separability"}
    for name in ("a", "b"):
        low, high = skin.bracket(name)
        assert 0.55 < low < high < 0.96
    low, high = skin.physics(("a", "b"))
    assert low < 0 < high
    assert of(skin, "separability")["channels and band powers", ("a", "b")] > 0.98


def test_equal_subgroups_are_found_equal() -> None:
    """Twins of equal subgroups are identical images: every difference is 0 and the separability is .5."""
    same = member("generators", "gaussian")
    found = observer_rows(condition("reconstruction", generator=same, encoder=member("encoders", "linear")))
    assert all(c.verdict == NEGLIGIBLE and abs(c.value) < 1e-6 for c in found.comparisons)
    assert next(row.auc for row in found.rows if row.kind == "separability") == pytest.approx(0.5, abs=1e-6)


def test_a_learner_learns_from_the_stream_and_stays_below_the_ideal() -> None:
    base = STUDY.pretraining_condition()
    found = learner_rows(base, Schedule(steps=300, batch=64, learning_rate=1e-2, weight_decay=0.0))
    assert {row.kind for row in found.rows} == {"learner"}
    for row in found.rows:
        assert row.auc > 0.75 and row.low < norm.cdf(ideal_z(row.subgroups[0]) / np.sqrt(2))
        assert "ideal" not in row.observer and "19,200 images" in row.observer
    assert np.isfinite(found.learner(STUDY.subgroups)) and z_of(found.rows[0].auc) == found.rows[0].z


CHESTS = {
    "chest_film": {"adult": {"age_mean": 50.0, "age_sd": 10.0}, "child": {"age_mean": 4.0, "age_sd": 1.0}},
    "chest_ct": {"routine": {"kind": "thin_soft_iterative"}, "low_dose": {"kind": "low_dose_sharp"}},
}
"""Generators of which an observer of the cues and a linear model are known, and subgroups that differ."""


NO_BOUND = pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="the linear model of chest CT has an AUC of .965, above the .930 of the observer of the cues; probably, "
    "because its edge moves by pixels, which derivatives do not describe (steps of density are not the cause: without "
    "them it is the same)",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "disease"),
    [*(("chest_film", disease) for disease in range(4)), pytest.param("chest_ct", 0, marks=NO_BOUND)],
)
def test_the_ledger_of_chests_brackets_the_ideal_observer_of_every_disease(kind: str, disease: int) -> None:
    """Rules on pixels are below the observer of the cues, the linear model is between chance and that observer, and
    with equal levers nothing tells the subgroup."""
    levels = CHESTS[kind]
    generator = member("generators", kind, size=24, subgroups=levels)
    one = condition(generator=generator)
    found = observer_rows(one, disease) + linear_model_rows(one, disease)
    assert {row.kind for row in found.rows} == {"upper", "lower", "separability", "model"}
    for name in levels:
        low, high = found.bracket(name)
        areas = {
            of_rows: max(row.auc for row in found.rows if (row.kind, row.subgroups) == (of_rows, (name,)))
            for of_rows in ("lower", "model")
        }
        assert 0.5 < low <= areas["lower"] < high == pytest.approx(0.93, abs=0.01), name
        assert 0.5 < areas["model"] < high, name
    assert of(found, "separability")["channels and band powers", tuple(levels)] > 0.98
    last = list(levels.values())[-1]
    alike = member("generators", kind, size=24, subgroups=dict.fromkeys(levels, last))
    off = observer_rows(condition(generator=alike), disease)
    assert of(off, "separability")["channels and band powers", tuple(levels)] == pytest.approx(0.5, abs=1e-6)
    assert all(test.value == 0 for test in off.comparisons)
