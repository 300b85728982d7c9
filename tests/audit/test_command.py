"""The command: every form of table gives the same numbers, thresholds say where they are from, gaps are signed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from biasprop.audit.__main__ import main

COLUMNS = ["--label", "y", "--score", "p", "--by", "sex,site"]


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    y = (random.uniform(size=n) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-(random.standard_normal(n) + 1.5 * y - 1)))
    person = np.arange(n) // 2
    return pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(n)],
            "patient": person,
            "sex": random.choice(["F", "M"], n),
            "site": random.choice(["A", "B"], n, p=[0.8, 0.2]),
            "age": random.integers(18, 90, n),
            "split": np.where(person % 4 == 0, "val", "test"),
            "y": y,
            "p": p.round(4),
        }
    )


@pytest.fixture
def table(tmp_path, monkeypatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    found = people()
    found.to_csv("t.csv", index=False)
    return found


@pytest.fixture
def run(capsys):
    def audited(*words: str, file: str = "t.csv", columns: list[str] = COLUMNS) -> dict:
        code = main([file, *columns, *words, "--json"])
        out, told = capsys.readouterr()
        assert code == 0, told
        return json.loads(out)

    return audited


@pytest.fixture
def refused(capsys):
    def message(*words: str, file: str = "t.csv", columns: list[str] = COLUMNS) -> str:
        assert main([file, *columns, *words]) == 2
        out, told = capsys.readouterr()
        assert out == "" and "Traceback" not in told
        return told

    return message


def values(result: dict, attribute: str, metric: str) -> dict[str, float]:
    rows = result["estimates"]
    return {row["group"]: row["value"] for row in rows if (row["attribute"], row["metric"]) == (attribute, metric)}


def test_numbers_are_those_of_scikit_learn_and_fairlearn(table, run) -> None:
    result = run("--threshold", "0.4", "--threshold-origin", "vendor", "--net-benefit-at", "0.2")
    called = (table["p"] > 0.4).astype(int)

    def of(function, score):
        groups = table[["sex", "site"]].agg(", ".join, axis=1)
        return MetricFrame(metrics=function, y_true=table["y"], y_pred=score, sensitive_features=groups).by_group

    def net_benefit(y, p):
        return np.mean((p > 0.2) & (y == 1)) - np.mean((p > 0.2) & (y == 0)) * 0.2 / 0.8

    expected = {
        "auc": of(roc_auc_score, table["p"]),
        "brier": of(brier_score_loss, table["p"]),
        "net_benefit": of(net_benefit, table["p"]),
        "sensitivity": of(recall_score, called),
        "underdiagnosis": of(lambda y, c: 1 - recall_score(y, c), called),
        "specificity": of(lambda y, c: recall_score(y, c, pos_label=0), called),
        "ppv": of(precision_score, called),
        "npv": of(lambda y, c: precision_score(y, c, pos_label=0), called),
    }
    for metric, groups in expected.items():
        ours = values(result, "sex x site", metric)
        assert ours == pytest.approx(dict(groups), rel=1e-9), metric
    assert result["threshold_origin"] == "vendor" and result["threshold"] == 0.4


FORMS = {
    "semicolons and decimal commas": {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"},
    "tabs": {"sep": "\t"},
    "quotes": {"quoting": 1, "lineterminator": "\r\n"},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_table_does_not_matter(form, table, run) -> None:
    plain = run()
    table.assign(y=table["y"].map({0: "no", 1: "Yes"})).to_csv("u.csv", index=False, **FORMS[form])
    other = run(file="u.csv")
    assert other["estimates"] == plain["estimates"] and other["contrasts"] == plain["contrasts"]
    assert "y: " in " ".join(other["notes"])


def test_percentages_are_shares(table, run, refused) -> None:
    plain = run("--threshold", "0.4")
    table.assign(p=[f"{100 * p:.2f} %" for p in table["p"]]).to_csv("u.csv", index=False)
    marked = run("--threshold", "40", file="u.csv")
    table.assign(p=(100 * table["p"]).round(2)).to_csv("v.csv", index=False)
    assert "for percentages: --score-is percent" in refused("--score-is", "probability", file="v.csv")
    stated = run("--threshold", "40", "--score-is", "percent", file="v.csv")
    for other in (marked, stated):
        for a, b in zip(other["estimates"], plain["estimates"], strict=True):
            assert a["value"] == (None if b["value"] is None else pytest.approx(b["value"], rel=1e-6))


def test_truth_and_scores_are_joined_by_an_id_in_any_order(table, run, refused) -> None:
    plain = run()
    table[["id", "p"]].to_csv("scores.csv", index=False)
    table.drop(columns="p").sample(frac=1, random_state=1).to_csv("truth.csv", index=False)
    assert run("--metadata", "truth.csv", "--on", "id", file="scores.csv")["estimates"] == plain["estimates"]
    table.drop(columns="p").iloc[2:].to_csv("truth.csv", index=False)
    fewer = run("--metadata", "truth.csv", "--on", "id", file="scores.csv")
    left_out = "2 rows of scores.csv have no row in truth.csv and are left out (first: scores.csv:2: id)"
    assert fewer["notes"][0] == left_out
    both = refused("--metadata", "truth.csv", "--on", "id")
    assert "'y' (--label) is a column of t.csv and of truth.csv; rename one of them" in both
    assert "--metadata and --on: have to be given together" in refused("--on", "id")
    table.drop(columns="p").assign(y="").to_csv("truth.csv", index=False)
    empty = refused("--metadata", "truth.csv", "--on", "id", file="scores.csv")
    assert "truth.csv:2: y: is empty in every audited row" in empty


def test_a_threshold_says_where_it_comes_from(table, run, capsys) -> None:
    here = run()
    assert here["threshold_origin"].startswith("chosen on the data it judges: specificity 0.8 on ")
    main(["t.csv", *COLUMNS])
    assert "(chosen on the data it judges: specificity 0.8" in capsys.readouterr().out
    other = run("--threshold-from", "split=val", "--specificity", "0.9", "--person", "patient")
    healthy = table.query("split == 'val' and y == 0")["p"]
    assert other["threshold"] == np.sort(healthy)[int(np.ceil(0.9 * len(healthy))) - 1]
    assert other["threshold_origin"] == f"specificity 0.9 on {len(healthy)} healthy rows of split=val"
    assert other["estimates"][0]["n"] == (table["split"] == "test").sum()
    assert run("--split", "split=val")["estimates"][0]["n"] == (table["split"] == "val").sum()


def test_gaps_that_were_stated_are_the_only_ones_and_signed(table, run, refused) -> None:
    every, one, turned = run(), run("--gap", "F,M", "--margin", "auc=0.05"), run("--gap", "sex=M,F")
    assert len({(row["attribute"], row["group"], row["against"]) for row in every["contrasts"]}) == 1 + 1 + 6
    assert not every["gaps_stated_in_advance"] and one["gaps_stated_in_advance"]
    assert {(row["group"], row["against"]) for row in one["contrasts"]} == {("F", "M")}
    for a, b in zip(one["contrasts"], turned["contrasts"], strict=True):
        assert a["value"] == pytest.approx(-b["value"]) and a["adjusted_low"] == pytest.approx(-b["adjusted_high"])
        assert (a["verdict"] != "") == (a["metric"] == "auc")
        assert a["adjusted_low"] == a["low"], "one gap needs no correction"
    assert run("--gap", "F, A,M, B")["contrasts"][0]["attribute"] == "sex x site"
    allowed = "allowed: sex = F | M; site = A | B; sex x site = F, A | F, B | M, A | M, B"
    assert refused("--gap", "F,N") == f"--gap F,N: has to be two groups of one attribute, A,B; {allowed}\n"
    assert f"{allowed}; did you mean sex x site=F, A,M, B?" in refused("--gap", "F,A,M, B")
    assert "A,B; allowed: site = A | B\n" in refused("--gap", "site=A,C")
    assert "allowed: site = A | B; did you mean site=A,B?" in refused("--gap", "site=a,b")
    assert len(refused("--gap", "F," + "N" * 5_000)) < 400
    assert "--margin acu: no such measure; allowed: auc" in refused("--margin", "acu=0.1")


def test_a_bootstrap_of_people_with_one_seed_gives_the_same_numbers(table, run) -> None:
    words = ["--method", "bootstrap", "--resamples", "100", "--person", "patient", "--by", "sex"]
    columns = COLUMNS[:4]
    first, again = (run(*words, columns=columns) for _ in range(2))
    assert first == again and first["estimates"][0]["method"] == "bootstrap of clusters"
    other = run(*words, "--seed", "1", columns=columns)
    assert first["estimates"][0]["se"] != other["estimates"][0]["se"]


def test_rows_of_one_person_are_not_independent(table, run) -> None:
    plain = run()["estimates"][0]
    pd.concat([table, table.assign(id=table["id"] + "b")]).to_csv("twice.csv", index=False)
    naive = run(file="twice.csv")["estimates"][0]
    right = run("--person", "id2", file=str(_with_original_id("twice.csv")))["estimates"][0]
    assert naive["se"] < 0.75 * plain["se"] and right["se"] == pytest.approx(plain["se"], rel=0.02)


def _with_original_id(name: str) -> Path:
    table = pd.read_csv(name)
    file = Path("grouped.csv")
    table.assign(id2=table["id"].str.removesuffix("b")).to_csv(file, index=False)
    return file


def test_case_mix_beside_a_stated_population(table, run, refused, capsys) -> None:
    result = run("--population", "site=A:0.5,B:0.3,C:20%")
    mix = {row["group"]: row for row in result["case_mix"] if row["attribute"] == "site"}
    share = (table["site"] == "A").mean()
    assert mix["A"]["share"] == share and mix["A"]["difference"] == pytest.approx(share - 0.5)
    assert mix["C"]["n"] == 0 and mix["C"]["stated"] == 0.2 and mix["C"]["prevalence"] is None
    assert mix["B"]["prevalence"] == table.query("site == 'B'")["y"].mean()
    assert "lacks the group 'B'" in refused("--population", "site=A:0.5,C:0.5")
    assert "shares add up to 0.8" in refused("--population", "site=A:0.5,B:0.3")
    assert "'B' has to be GROUP:SHARE" in refused("--population", "site=A:0.5,B")


def test_bins(table, run, refused) -> None:
    result = run("--by", "age", "--bins", "age=0,40,65", columns=COLUMNS[:4])
    counts = np.histogram(table["age"], [0, 40, 65, np.inf])[0].tolist()
    rows = [row for row in result["estimates"] if row["attribute"] == "age" and row["metric"] == "auc"]
    assert [row["group"] for row in rows] == ["0 to <40", "40 to <65", "65 and more"]
    assert [row["n"] for row in rows] == counts
    assert "is no attribute of --by" in refused("--bins", "age=0,40")
    assert "two numbers that rise" in refused("--by", "age", "--bins", "age=40,0", columns=COLUMNS[:4])
    many = refused("--by", "id", columns=COLUMNS[:4])
    assert many.startswith("t.csv:2: id: every row has a value of its own")


def test_what_is_undefined_is_a_dash_with_counts(table, run, capsys) -> None:
    table.loc[table["site"] == "B", "y"] = 0
    table.to_csv("t.csv", index=False)
    assert values(run(), "site", "auc")["B"] is None
    main(["t.csv", *COLUMNS])
    out = capsys.readouterr().out
    healthy = int((table["site"] == "B").sum())
    counts = f"undefined for 0 diseased and {healthy} healthy"
    assert f"- site: B: AUC, sensitivity, underdiagnosis: {counts}\n" in out
    assert f"- site: B: intercept, slope: {counts}: a fit needs 50 of each class\n" in out
    assert "chance of 80 % to find" in out and "corrected for having been picked" in out


def test_probabilities_of_0_and_1_and_many_intersections(table, run) -> None:
    table["p"] = table["p"].round(0)
    table["a"], table["b"] = (np.random.default_rng(i).integers(0, 12, len(table)) for i in range(2))
    table.to_csv("t.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run("--by", "a,b", columns=COLUMNS[:4])
    assert result["notes"][-1] == "intersections are left out: 144 groups, at most 100"
    overall = {row["metric"]: row["value"] for row in result["estimates"] if row["attribute"] == "overall"}
    assert overall["brier"] == pytest.approx((table["p"] != table["y"]).mean())


def test_scores_of_which_only_the_order_is_known(table, run, refused) -> None:
    table.assign(p=10 * table["p"] - 3).to_csv("u.csv", index=False)
    result = run(file="u.csv")
    assert {row["metric"] for row in result["estimates"]}.isdisjoint({"brier", "calibration_slope", "net_benefit"})
    assert "taken as a ranking" in result["notes"][0]
    assert values(result, "sex", "auc") == pytest.approx(values(run(), "sex", "auc"))
    assert "--net-benefit-at: needs probabilities" in refused("--net-benefit-at", "0.2", file="u.csv")


def test_names_are_data(table, run, capsys) -> None:
    nasty = "=HYPERLINK(1)\x1b[31m[bold]<script>"
    table.assign(sex=table["sex"].replace("F", nasty)).to_csv("t.csv", index=False)
    main(["t.csv", *COLUMNS, "--figure", "f.png"])
    out, _ = capsys.readouterr()
    assert "\x1b" not in out and r"=HYPERLINK(1)\x1b[31m[bold]<script>" in out.replace("\n", "")
    assert Path("f.png").read_bytes().startswith(b"\x89PNG")


def test_results_of_others_are_drawn_without_an_interval(table, capsys) -> None:
    Path("r.csv").write_text("Subgroup;Metric;Mean;Std\nF;AUC;0,81;0,02\nM;AUC;0,85;\nF;F1;0,5;0,1\n")
    assert main(["r.csv", "--figure", "r.svg"]) == 0
    out = capsys.readouterr().out
    assert "0.810 (0.020)" in out and "0.850\n" not in out and "[" not in out and Path("r.svg").exists()
    assert main(["r.csv", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["aggregate"]
    assert records[1] == {"group": "M", "metric": "AUC", "mean": 0.85, "sd": None}
    for content, says in {
        "group,metric,mean,sd\nF,AUC,x,1\n": "r.csv:2: mean: 'x' is not a finite number",
        "group,metric,mean,sd\nF,AUC,1,-1\n": "r.csv:2: sd: is -1; an sd is not negative",
        "group,metric,mean\nF,AUC,1\nF,AUC,2\n": "r.csv:3: group: AUC of F is there twice",
        "group,metric,mean\n,AUC,1\n": "r.csv:2: group: is empty",
        "a,b\n1,2\n": "r.csv: no column group or subgroup or cohort, so it is no table of results",
    }.items():
        Path("r.csv").write_text(content)
        assert main(["r.csv"]) == 2
        assert capsys.readouterr().err.startswith(says)
    assert main(["r.csv", "--label", "y"]) == 2
    assert "--score, --by: has to be given with --label" in capsys.readouterr().err


def test_options_that_are_wrong(table, refused) -> None:
    for words, says in {
        ("--threshold", "nan"): "--threshold nan: has to be a finite number",
        ("--threshold", "3"): "--threshold 3: scores are probabilities; has to be in [0, 1]",
        ("--specificity", "80"): "--specificity 80: has to be a share",
        ("--resamples", "5"): "--resamples 5: has to be 100 to",
        ("--figure", "t.csv"): "is read by this command, and would be overwritten",
        ("--figure", "f.bmp"): "no such format; allowed: .svg, .pdf, .png",
        ("--split", "test"): "--split test: has to be COLUMN=VALUE",
        ("--split", "splitt=test"): "no column 'splitt' (--split); allowed: id, patient, ",
        ("--threshold", "0.5", "--threshold-from", "split=val"): "--threshold-from: cannot be combined",
        ("--bins", "age=0,1", "--bins", "age=0,2"): "--bins age: is given twice",
        ("--split", "split=test", "--threshold-from", "split=test"): "is in --split and in --threshold-from",
    }.items():
        assert says in refused(*words)


def test_rows_without_a_weight_set_no_threshold(table, refused) -> None:
    weight = np.where(table["split"] == "val", 0, 1)
    table.assign(w=weight).to_csv("u.csv", index=False)
    told = refused("--threshold-from", "split=val", "--weight", "w", file="u.csv")
    assert told.startswith(
        "u.csv: --threshold-from split=val: no healthy row there has a score and a weight (w) above 0"
    )
    table.assign(w=1 - weight).to_csv("u.csv", index=False)
    told = refused("--threshold-from", "split=val", "--weight", "w", file="u.csv")
    line = int(np.argmax(weight)) + 2
    assert told == f"u.csv:{line}: w: is 0, and so it is in every audited row that has a score and a label\n"
