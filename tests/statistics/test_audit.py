"""An audit of independent people: agreement with scikit-learn and fairlearn, empty groups, clusters, the result."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from scipy.special import expit
from sklearn.metrics import precision_score, recall_score, roc_auc_score

import biasprop
from biasprop import metrics
from biasprop.component import InputError
from biasprop.statistics.audit_result import Audit
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED, UNCLEAR, zone

THRESHOLD = 0.25
TABLES = 200
RATES = ("sensitivity", "specificity", "underdiagnosis", "ppv", "npv")


def people(seed: int, n: int = 600, groups: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"group": random.choice(groups, n), "label": (random.uniform(size=n) < 0.4).astype(int)})
    return table.assign(score=random.standard_normal(n) + 1.2 * table["label"] - 0.5)


def hard_table(seed: int) -> pd.DataFrame:
    """Few people: empty groups, groups of one class, ties, weights (also 0), missing values."""
    random = np.random.default_rng(seed)
    n = int(random.integers(5, 120))
    groups = pd.Categorical(random.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05]), list("abcde"))
    table = pd.DataFrame({"group": groups, "label": (random.uniform(size=n) < 0.4).astype(float)})
    if seed % 4 == 0:
        table.loc[table["group"] == "b", "label"] = float(seed % 8 == 0)
    table["score"] = random.standard_normal(n) + table["label"]
    if seed % 2:
        table["score"] = table["score"].round(int(random.integers(0, 2)))
    table["weight"] = random.uniform(0.1, 4.0, n) if seed % 3 else 1.0
    if seed % 3 == 1:
        table.loc[random.uniform(size=n) < 0.1, "weight"] = 0.0
    for column in ("group", "label", "score"):
        table.loc[random.uniform(size=n) < 0.05, column] = None
    return table


def area(target, score, sample_weight) -> float:
    return roc_auc_score(target, score, sample_weight=sample_weight) if len(set(target)) == 2 else np.nan


def recall(positive: int):
    def of(target, score, sample_weight) -> float:
        if positive not in set(target):
            return np.nan
        return recall_score(target, score > THRESHOLD, sample_weight=sample_weight, pos_label=positive)

    return of


def precision(positive: int):
    def of(target, score, sample_weight) -> float:
        given = {"sample_weight": sample_weight, "zero_division": np.nan, "labels": [positive], "average": None}
        return np.ravel(precision_score(target, (score > THRESHOLD).astype(int), **given))[0]

    return of


ORACLES = {
    "auc": area,
    "sensitivity": recall(1),
    "specificity": recall(0),
    "ppv": precision(1),
    "npv": precision(0),
}


def metric_frame(table: pd.DataFrame) -> MetricFrame:
    whole = table.dropna(subset=["group", "label", "score"]).query("weight > 0")
    return MetricFrame(
        metrics=ORACLES,
        y_true=whole["label"].astype(int).to_numpy(),
        y_pred=whole["score"].to_numpy(),
        sensitive_features=whole["group"].astype(str).to_numpy(),
        sample_params={name: {"sample_weight": whole["weight"].to_numpy()} for name in ORACLES},
    )


@pytest.mark.parametrize("block", range(10))
def test_values_agree_with_scikit_learn_and_fairlearn_on_200_tables(block) -> None:
    seen = {"empty": 0, "one class": 0, "missing": 0, "weights": 0, "ties": 0}
    for seed in range(block * TABLES // 10, (block + 1) * TABLES // 10):
        table = hard_table(seed)
        audit = biasprop.audit_scores(
            table["score"],
            table["label"],
            table["group"],
            score_is="ranking",
            weight=table["weight"],
            threshold=THRESHOLD,
        )
        ours, frame = audit.by_group.loc["group"], metric_frame(table)
        theirs = frame.by_group.reindex(ours.index)
        for name in ORACLES:
            np.testing.assert_allclose(ours[name], theirs[name].astype(float), rtol=1e-9, atol=1e-12, err_msg=str(seed))
        np.testing.assert_allclose(ours["underdiagnosis"], 1 - ours["sensitivity"])
        known = table.dropna(subset=["group", "label", "score"]).query("weight > 0")
        counts = known.groupby("group", observed=False)["label"].agg(["size", "sum"])
        assert ours["n"].tolist() == counts["size"].tolist() and ours["n_positive"].tolist() == counts["sum"].tolist()
        for name in ORACLES:
            # A difference of fairlearn is the largest minus the smallest value, in absolute terms.
            gaps = audit.contrasts.query("metric == @name")["value"].abs().max()
            spread = np.asarray(theirs[name], float)[np.asarray(theirs[name].notna())]
            np.testing.assert_allclose(gaps, np.ptp(spread) if len(spread) > 1 else np.nan, rtol=1e-9)
            if len(spread) == len(frame.by_group) > 1:
                assert float(gaps) == pytest.approx(frame.difference(method="between_groups")[name])
        _consistent(audit)
        seen["empty"] += int((ours["n"] == 0).any())
        seen["one class"] += int(((ours["n_positive"] == ours["n"]) & (ours["n"] > 0)).any())
        seen["missing"] += int(ours["n_missing"].sum() > 0)
        seen["weights"] += int(table["weight"].nunique() > 1)
        seen["ties"] += int(known["score"].nunique() < len(known))
    assert all(seen.values()), seen


def _consistent(audit: Audit) -> None:
    """An undefined value has no interval and a reason; a bound lies on its side of the value."""
    for table in (audit.estimates, audit.contrasts):
        undefined = table["value"].isna()
        assert (table.loc[undefined, ["low", "high"]].isna()).all(axis=None)
        assert np.all(table.loc[undefined, "reason"] != "")
        bounded = table["low"].notna()
        assert np.all(table.loc[~bounded, "reason"] != "")
        assert np.all((table["low"] <= table["value"] + 1e-12)[bounded])
        assert np.all((table["high"] >= table["value"] - 1e-12)[bounded])
    rates = audit.estimates[audit.estimates["metric"].isin(RATES)]
    assert rates["low"].notna().equals(rates["value"].notna())
    assert (audit.estimates.loc[audit.estimates["metric"] == "auc", ["low", "high"]].dropna() % 1 > 0).all(axis=None)


def test_measures_are_those_of_the_package() -> None:
    table = people(0, 900)
    audit = biasprop.audit_scores(
        table["score"],
        table["label"],
        table["group"],
        score_is="log-odds",
        threshold=0.1,
        threshold_probability=0.3,
        n_bootstrap=100,
    )
    for group, rows in table.groupby("group"):
        s, y = rows["score"].to_numpy(), rows["label"].to_numpy()
        ours = audit.by_group.loc[("group", group)]
        for name in ("auc", "calibration_intercept", "calibration_slope", "ece", "ece_expected", "brier"):
            assert ours[name] == metrics.METRICS[name].function(s, y)
        assert ours["net_benefit"] == metrics.net_benefit(s, y, 0.3)
        for name in RATES:
            assert ours[name] == metrics.METRICS[name].function(s, y, 0.1)
        assert ours["z"] == metrics.z_of_auc(ours["auc"], len(s), y.sum())[0]
    assert audit.overall["auc"] == metrics.auc(table["score"], table["label"])
    assert set(audit.estimates["method"]) == {"DeLong", "Wilson", "sandwich", "linearised", "bootstrap of people", ""}


def test_probabilities_and_log_odds_give_the_same_audit() -> None:
    table = people(1)
    given = {"target": table["label"], "groups": table["group"]}
    logits = biasprop.audit_scores(table["score"], **given, score_is="log-odds", threshold=0.2, n_bootstrap=100)
    shares = biasprop.audit_scores(
        expit(table["score"]), **given, score_is="probability", threshold=expit(0.2), n_bootstrap=100
    )
    pd.testing.assert_frame_equal(logits.estimates, shares.estimates)
    pd.testing.assert_frame_equal(logits.contrasts, shares.contrasts)


def test_gaps_are_signed_and_on_the_scale_of_the_measure() -> None:
    table = people(2)
    audit = biasprop.audit_scores(table["score"], table["label"], table["group"], score_is="ranking", threshold=0.2)
    values = audit.by_group.loc["group"]
    for row in audit.contrasts.itertuples():
        assert (row.group, row.against) == ("a", "b")
        assert row.value == values.loc["a", row.metric] - values.loc["b", row.metric]
    turned = biasprop.audit_scores(
        table["score"], table["label"], table["group"], score_is="ranking", threshold=0.2, pairs=[("b", "a")]
    ).contrasts
    np.testing.assert_allclose(turned["value"], -audit.contrasts["value"])
    np.testing.assert_allclose(turned["low"], -audit.contrasts["high"])


def test_measures_that_cannot_be_computed_are_left_out_with_a_reason() -> None:
    table = people(3)
    audit = biasprop.audit_scores(table["score"], table["label"], table["group"], score_is="ranking")
    assert set(audit.estimates["metric"]) == {"auc", "z"}
    assert "threshold" in audit.left_out["sensitivity"] and "order" in audit.left_out["ece"]
    assert np.isnan(audit.threshold) and audit.threshold_origin == "none"
    with pytest.raises(InputError, match="sensitivity cannot be computed: no operating threshold"):
        biasprop.audit_scores(table.score, table.label, table.group, score_is="ranking", metrics=["sensitivity"])


def test_net_benefit_has_the_interval_of_a_mean() -> None:
    table = people(10, 2000)
    arguments = {"score_is": "probability", "metrics": ["net_benefit"]}
    given = (expit(table["score"]), table["label"], table["group"])
    audit = biasprop.audit_scores(*given, **arguments, threshold_probability=0.2)
    assert audit.threshold_probability == 0.2
    for row in audit.estimates.query("attribute == 'group'").itertuples():
        inside = table[table["group"] == row.group]
        # One person adds 1, -p / (1 - p) or 0.
        worth = (expit(inside["score"]) > 0.2) * np.where(inside["label"] == 1, 1.0, -0.25)
        assert row.value == pytest.approx(worth.mean())
        assert row.se == pytest.approx(worth.std() / np.sqrt(len(inside)), rel=0.06)
    with pytest.raises(InputError, match="net_benefit cannot be computed: no threshold probability"):
        biasprop.audit_scores(*given, **arguments)
    with pytest.raises(InputError, match=r"threshold_probability: must be in \(0, 1\), not 20"):
        biasprop.audit_scores(*given, **arguments, threshold_probability=20)
    by_rank = arguments | {"score_is": "ranking"}
    with pytest.raises(InputError, match="net_benefit cannot be computed: scores of which only the order is known"):
        biasprop.audit_scores(*given, **by_rank, threshold_probability=0.2)


def test_a_threshold_comes_from_other_people() -> None:
    table, other = people(4), people(5)
    arguments = {"scores": table["score"], "target": table["label"], "groups": table["group"], "score_is": "ranking"}
    audit = biasprop.audit_scores(**arguments, threshold_from=(other["score"], other["label"]), target_specificity=0.9)
    assert audit.threshold == metrics.operating_threshold(other["score"], other["label"], 0.9)
    assert audit.threshold_origin.startswith("specificity 0.9 on ")
    with pytest.raises(InputError, match="these are the scores that are audited"):
        biasprop.audit_scores(**arguments, threshold_from=(table["score"], table["label"]))
    given = biasprop.audit_scores(**arguments, threshold=1, threshold_origin="the vendor's manual")
    assert (given.threshold, given.threshold_origin) == (1.0, "the vendor's manual")


def test_several_attributes_and_their_intersections() -> None:
    table = people(6).assign(age=lambda t: pd.cut(np.arange(len(t)) % 90, [0, 30, 60, 120], labels=list("yme")))
    table["age"] = table["age"].cat.add_categories("unborn")
    audit = biasprop.audit_scores(
        table["score"], table["label"], table[["group", "age"]], score_is="ranking", intersections=True
    )
    values = audit.by_group
    assert list(dict.fromkeys(values.index.get_level_values(0))) == ["group", "age", "group x age"]
    assert values.loc["group x age"].index.tolist()[:3] == ["a, y", "a, m", "a, e"]
    assert values.loc[("group x age", "b, unborn"), "n"] == 0 and np.isnan(values.loc[("age", "unborn"), "auc"])
    inside = table.query("group == 'b' and age == 'm'")
    assert values.loc[("group x age", "b, m"), "auc"] == metrics.auc(inside["score"], inside["label"])
    assert audit.without_group["age"] == table["age"].isna().sum() > 0
    by_name = {name: table[name] for name in ("group", "age")}
    again = biasprop.audit_scores(table["score"], table["label"], by_name, score_is="ranking", intersections=True)
    pd.testing.assert_frame_equal(audit.estimates, again.estimates)
    one = biasprop.audit_scores(
        table["score"], table["label"], by_name, score_is="ranking", pairs={"age": [("y", "e")]}, metrics=["z"]
    )
    assert one.contrasts[["attribute", "group", "against", "metric"]].to_numpy().tolist() == [["age", "y", "e", "z"]]


def test_verdicts_read_the_adjusted_interval() -> None:
    bounds = {(0.3, 0.5): MATERIAL, (-0.5, -0.3): MATERIAL, (0.01, 0.15): NEGLIGIBLE, (-0.1, 0.1): NEGLIGIBLE}
    bounds |= {(0.1, 0.3): UNCLEAR, (-0.3, -0.1): UNCLEAR, (-0.1, 0.3): NOT_RESOLVED, (np.nan, np.nan): ""}
    assert {pair: zone(*pair, margin=0.2) for pair in bounds} == bounds
    table = people(7, 2000, ("a", "b", "c"))
    noise = np.random.default_rng(0).standard_normal(len(table))
    table["score"] += np.where(table["group"] == "c", 6 * noise, 0.0)
    audit = biasprop.audit_scores(table.score, table.label, table.group, score_is="ranking", margin={"z": 0.4})
    gaps = audit.contrasts.query("metric == 'z'").set_index(["group", "against"])
    assert gaps["verdict"].to_dict() == {("a", "b"): NEGLIGIBLE, ("a", "c"): MATERIAL, ("b", "c"): MATERIAL}
    # Bonferroni over the three pairs: normal intervals at level 1 - 5 % / 3 are wider by 2.394 / 1.960.
    wider = (gaps["adjusted_high"] - gaps["value"]) / (gaps["high"] - gaps["value"])
    np.testing.assert_allclose(wider, 2.3939797998 / 1.9599639845, rtol=1e-9)
    assert np.all(audit.contrasts.query("metric == 'auc'")["verdict"] == "")


def test_the_seed_decides_and_other_groups_or_measures_do_not() -> None:
    table = people(8, 900, ("a", "b", "c"))
    arguments = {"score_is": "log-odds", "method": "bootstrap", "n_bootstrap": 100, "threshold": 0.0}
    first = biasprop.audit_scores(table["score"], table["label"], table["group"], **arguments).estimates
    again = biasprop.audit_scores(table["score"], table["label"], table["group"], **arguments).estimates
    pd.testing.assert_frame_equal(first, again)
    other = biasprop.audit_scores(table["score"], table["label"], table["group"], **arguments, seed=1).estimates
    assert not first["low"].equals(other["low"])
    two = table[table["group"] != "b"]
    fewer = biasprop.audit_scores(two.score, two.label, two.group, **arguments, metrics=["ece"]).estimates
    kept = first.query("metric == 'ece' and group in ('a', 'c')").reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer.query("attribute == 'group'").reset_index(drop=True), kept)


def test_an_auc_of_1_has_no_interval() -> None:
    audit = biasprop.audit_scores(
        [1, 2, 3, 4, 1, 4, 2, 3], [0, 0, 1, 1, 0, 1, 1, 0], list("aaaabbbb"), score_is="ranking"
    )
    row = audit.estimates.query("group == 'a' and metric == 'auc'").iloc[0]
    assert row["value"] == 1.0 and np.isnan(row["low"]) and row["reason"] == "no interval: an AUC of 0 or 1"
    assert np.all(audit.contrasts["low"].isna()) and np.all(audit.contrasts["reason"].str.startswith("a: "))


def test_the_result_as_one_table_and_as_json() -> None:
    table = people(9)
    audit = biasprop.audit_scores(table["score"], table["label"], table["group"], score_is="log-odds", n_bootstrap=100)
    whole = audit.to_dataframe()
    assert whole["table"].value_counts().to_dict() == {
        "estimate": len(audit.estimates),
        "contrast": len(audit.contrasts),
    }
    text = json.dumps(audit.to_json(), allow_nan=False)
    assert json.loads(text)["estimates"][0]["value"] == audit.estimates["value"][0]


def test_an_audit_warns_of_nothing() -> None:
    table = hard_table(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scores, target, groups in ((table["score"], table["label"], table["group"]), ([], [], [])):
            biasprop.audit_scores(scores, target, groups, score_is="log-odds", threshold=0.0, n_bootstrap=100)
