"""The worst group is judged as one that was picked, and the smallest one by what it could have resolved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biasprop
from biasprop.metrics import operating_threshold


def people(seed: int, shift: float = 0.0, groups: int = 6, each: int = 80) -> pd.DataFrame:
    """Equal groups, except that people with the disease score lower in the first one by ``shift``."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"group": np.repeat(list("abcdef")[:groups], each), "label": np.arange(groups * each) % 2})
    score = random.standard_normal(len(table)) + 1.2 * table["label"] - shift * (table["group"] == "a") * table["label"]
    return table.assign(score=score)


def audit(table: pd.DataFrame, **arguments):
    names = {"score_is": "ranking", "threshold": 0.6, "metrics": ["auc", "sensitivity", "underdiagnosis"]}
    return biasprop.audit_scores(table["score"], table["label"], table["group"], **names | arguments)


def test_the_worst_of_equal_groups_is_covered_and_the_largest_gap_includes_0() -> None:
    from scipy.special import ndtr

    truth = {"auc": ndtr(1.2 / np.sqrt(2)), "sensitivity": ndtr(1.2 - 0.6)}
    picked, plain, without_gap = [], [], []
    for seed in range(120):
        found = audit(people(seed))
        estimates = found.estimates.set_index(["attribute", "group", "metric"])
        for row in found.worst.itertuples():
            if row.metric in truth:
                own = estimates.loc[("group", row.group, row.metric)]
                picked.append(row.low <= truth[row.metric] <= row.high)
                plain.append(own.low <= truth[row.metric] <= own.high)
                without_gap.append(row.gap_high >= 0)
    assert np.mean(picked) >= 0.95 and np.mean(without_gap) >= 0.95
    assert np.mean(plain) < 0.93, "the interval of the group itself is too optimistic"


def test_the_worst_group_is_named_and_its_gap_is_signed() -> None:
    found = audit(people(0, shift=1.2, each=400)).worst.set_index("metric")
    assert set(found["group"]) == {"a"} and set(found["groups"]) == {6}
    assert found.loc["auc", "gap"] < found.loc["auc", "gap_high"] < 0 < found.loc["underdiagnosis", "gap_low"]
    assert np.all(found["gap_low"] <= found["gap"]) and np.all(found["gap"] <= found["gap_high"])
    assert found.loc["sensitivity", "gap"] == pytest.approx(-found.loc["underdiagnosis", "gap"])
    np.testing.assert_allclose(found.loc["sensitivity", "low"], 1 - found.loc["underdiagnosis", "high"])


def test_a_group_without_an_interval_is_not_picked() -> None:
    table = people(1, groups=3)
    table.loc[table["group"] == "a", "label"] = 1
    found = audit(table).worst.set_index("metric")
    assert found.loc["auc", "groups"] == 2 and found.loc["auc", "group"] != "a"
    assert found.loc["sensitivity", "groups"] == 3


def test_a_resolvable_difference_is_found_four_times_in_five() -> None:
    found, sizes = [], []
    for seed in range(200):
        one = audit(people(seed, 0.43, groups=2, each=400), metrics=["auc"])
        row = one.contrasts.iloc[0]
        found.append(row.high < 0)
        sizes.append(row.resolvable)
    true = 0.8019 - 0.7069  # AUC at distances of 1.2 and 0.77 SD
    assert np.mean(sizes) == pytest.approx(true, abs=0.01)
    assert 0.7 < np.mean(found) < 0.92


def test_the_smallest_group_and_its_counts() -> None:
    table = people(2, groups=2)
    table = pd.concat([table, table.head(7).assign(group="few")])
    found = audit(table, threshold=float(operating_threshold(table["score"], table["label"], 0.8))).smallest
    assert set(found["group"]) == {"few"} and set(found["n"]) == {7} and set(found["n_positive"]) == {3}
    assert np.all(found.query("metric == 'sensitivity'")["resolvable"] > 0.3)


@pytest.mark.parametrize("method", ["wilson", "exact"])
def test_exact_intervals_of_rates(method) -> None:
    from scipy.stats import binomtest

    table = people(3, groups=2)
    found = audit(table, rate_interval=method).estimates.query("attribute == 'group' and metric == 'sensitivity'")
    for row in found.itertuples():
        diseased = table.query("group == @row.group and label == 1")
        theirs = binomtest(int((diseased["score"] > 0.6).sum()), len(diseased)).proportion_ci(method=method)
        np.testing.assert_allclose([row.low, row.high], theirs, rtol=1e-9)
        assert row.method == {"wilson": "Wilson", "exact": "Clopper-Pearson"}[method]


def test_net_benefit_and_brier_score_have_the_variance_of_a_mean() -> None:
    table = people(4, groups=2)
    given = {"score_is": "log-odds", "metrics": ["brier", "net_benefit"], "threshold_probability": 0.4}
    formula = audit(table, **given).estimates
    bootstrap = audit(table, **given, method="bootstrap", n_bootstrap=1000).estimates
    np.testing.assert_allclose(formula["value"], bootstrap["value"])
    np.testing.assert_allclose(formula["se"], bootstrap["se"], rtol=0.1)
    few = audit(pd.concat([table.head(3).assign(group="few"), table.tail(3)]), **given).estimates
    brier = few.query("metric == 'brier'")
    assert np.all(brier["low"] >= 0) and np.all(brier["high"] <= 1) and np.any(brier["low"] == 0)
