"""Predictions are scored by a stated rule from what the results keep; earlier answers stand beside the present ones."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.estimands import estimand
from biasprop.statistics.estimand import Estimand, references
from biasprop.statistics.measures import measure
from biasprop.study.factors import read_factors
from paper import before_after, pages, predictions
from paper.predictions import Prediction
from paper.study_result import dumps
from tests.source_tree import ROOT
from tests.synthetic import synthetic_cube, true_gap

SWAP = {"subgroups": ("light", "dark"), "factor": "pretraining", "skewed": ("all light", "all dark")}
ARM = {"labels": 50, "protocol": "full"}


def predicted(number: int, expected: str, one: Estimand | None = None, against: Estimand | None = None) -> Prediction:
    stated = one or estimand("swap_contrast", name="q", at=ARM, **SWAP)
    return Prediction(number, "demo", f"quantity {number}", expected, "why", 0.1, stated, against)


def result(*values: tuple[float, float, float]) -> dict[str, Any]:
    """A result with these values of predictions 1, 2, ..."""
    entries = [
        {"prediction": number, "value": value, "low": low, "high": high, "replicates": 6, "reason": ""}
        for number, (value, low, high) in enumerate(values, 1)
    ]
    return {"predictions": entries}


@pytest.mark.parametrize(
    ("expected", "low", "high", "score"),
    [
        ("positive", 0.01, 0.3, "hit"),
        ("positive", -0.3, -0.01, "miss"),
        ("positive", -0.01, 0.3, "open"),
        ("positive", -0.01, 0.09, "miss"),
        ("positive", 0.01, 0.09, "hit"),
        ("negative", -0.3, -0.01, "hit"),
        ("negative", 0.01, 0.3, "miss"),
        ("negligible", -0.05, 0.05, "hit"),
        ("negligible", 0.01, 0.09, "hit"),
        ("negligible", 0.11, 0.2, "miss"),
        ("negligible", -0.2, -0.11, "miss"),
        ("negligible", 0.05, 0.2, "open"),
        ("positive", np.nan, np.nan, "open"),
        ("negligible", np.nan, np.nan, "open"),
    ],
)
def test_the_rule(expected: str, low: float, high: float, score: str) -> None:
    assert predictions.score(expected, low, high, 0.1) == score


def test_counts_misses_first_and_what_has_not_run() -> None:
    stated = [predicted(1, "positive"), predicted(2, "negative"), predicted(3, "positive"), predicted(4, "negligible")]
    results = {"demo": result((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), (0.1, -0.1, 0.3))}
    value = predictions.scored(stated, results)
    assert value["counts"] == {"miss": 1, "open": 1, "hit": 1, "not run yet": 1} and value["kendall"] is None
    assert [row["score"] for row in value["predictions"]] == ["hit", "miss", "open", "not run yet"]
    page = predictions.page(json.loads(dumps(value)), "<!-- -->")
    assert "Of 4 predictions: miss 1, open 1, hit 1, not run yet 1." in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [row.split(" | ")[6] for row in rows] == ["miss", "open", "hit", "not run yet"]


def test_ranks_agree_and_disagree() -> None:
    expected = ["negative", "negative", "negligible", "negligible", "positive", "positive", "positive"]
    stated = [predicted(number, word) for number, word in enumerate(expected, 1)]
    values = [(value, value - 0.1, value + 0.1) for value in (-0.3, -0.2, -0.01, 0.02, 0.2, 0.3, 0.4)]
    agree = predictions.scored(stated, {"demo": result(*values)})["kendall"]
    assert agree == predictions.scored(stated, {"demo": result(*values)})["kendall"], "the same on every call"
    concordant, ties = 16, 5  # of 21 pairs, 5 are of equal expectations
    assert agree["tau"] == pytest.approx(concordant / np.sqrt((21 - ties) * 21), abs=1e-4)
    assert agree["p"] == pytest.approx(24 / 5040, abs=0.002) and agree["n"] == 7, "2! 2! 3! of 7! orders are perfect"
    reverse = predictions.scored(stated, {"demo": result(*values[::-1])})["kendall"]
    assert reverse["tau"] == -agree["tau"] and reverse["p"] > 0.99
    few = predictions.scored(stated[:4], {"demo": result(*values[:4])})
    assert few["kendall"] is None


def test_a_study_measures_its_own_predictions() -> None:
    measures = measure(synthetic_cube(replicates=6, subjects=400, seed=2), 0.8)
    fewer = estimand("swap_contrast", name="q", at={"labels": 1000, "protocol": "full"}, minus={"labels": 50}, **SWAP)
    elsewhere = estimand("swap_contrast", name="q", at={"labels": 77, "protocol": "full"}, **SWAP)
    stated = [predicted(1, "positive"), predicted(2, "negative", fewer), predicted(3, "positive", elsewhere)]
    other = Prediction(4, "another", "q", "positive", "", 0.1, stated[0].estimand, None)
    found = predictions.measured("demo", measures, [*stated, other])
    assert [one["prediction"] for one in found] == [1, 2, 3]
    effects = [true_gap("all light", 50), true_gap("all light", 1000) - true_gap("all light", 50)]
    for one, truth in zip(found, effects, strict=False):
        assert one["low"] < truth < one["high"] and one["replicates"] == 6
    assert np.isnan(found[2]["value"]) and "labels = 77" in found[2]["reason"]
    assert predictions.scored(stated, {"demo": {"predictions": found}})["counts"]["hit"] == 2
    with pytest.raises(InputError, match="prediction 1: is not one mean"):
        predictions.measured("demo", measures, [predicted(1, "positive", estimand("swap_contrast", name="q", **SWAP))])


def test_a_correlation_is_over_the_arms_that_both_share() -> None:
    measures = measure(synthetic_cube(replicates=6, draws=1, subjects=200, seed=3), 0.8)
    at = {"pretraining": "all light"}
    worth = estimand("difference", name="q", subgroup="light", at=at, minus={"pretraining": "scratch"})
    own = estimand("own_representation", name="q", subgroup="light", **SWAP)
    one = predicted(1, "positive", worth.model_copy(), own)
    (found,) = predictions.measured("demo", measures, [one])
    assert np.isnan(found["value"]), "the first fixes the mix in its arm, which the second does not have"
    named = estimand("worth", name="q", factor="pretraining", reference="scratch", subgroup="light", at=at)
    (found,) = predictions.measured("demo", measures, [predicted(1, "positive", named, own)])
    assert found["value"] > 0.5 and found["reason"] == ""


def named(one: Estimand) -> dict[str, set[Any]]:
    """Factor -> levels that an estimand names."""
    found: dict[str, set[Any]] = {}
    for field, what in references(type(one)).items():
        value, factor = getattr(one, field), getattr(one, "factor", None)
        if what == "arm":
            for name, level in value.items():
                found.setdefault(name, set()).add(level)
        elif what == "level" and factor is not None:
            found.setdefault(factor, set()).update(value if isinstance(value, tuple) else (value,))
    return found


def test_every_prediction_is_mapped_to_what_its_study_has() -> None:
    """Of studies that there are already."""
    stated = predictions.read()
    assert len(stated) == len(tomllib.loads(predictions.FILE.read_text(encoding="utf-8"))["prediction"]) == 40
    assert {one.expected for one in stated} == set(predictions.SIGNS)
    checked = 0
    for one in stated:
        file = ROOT / "studies" / f"{one.study}.toml"
        if not file.exists():
            continue
        checked += 1
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        levels = {name: {level.label for level in read.levels} for name, read in read_factors(table).items()}
        for part in filter(None, (one.estimand, one.against)):
            assert all(names <= levels[name] for name, names in named(part).items()), (one.number, named(part), levels)
        fixed = {*one.estimand.at, *one.estimand._contrasted()}
        assert one.against or fixed == set(levels), (one.number, "has to be of one arm")
    assert checked >= 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('expected = "positive"', 'expected = "up"'), r"prediction 1: expected: is 'up'; allowed: positive"),
        (("prediction = 1", "prediction = 2"), "one table for each of the predictions 1 to 1"),
        (('study = "other"', 'study = "demo"'), "study: is not 'demo' as there"),
        (('kind = "gap"', 'kind = "gaps"'), "quantity of prediction 1"),
        (("margin = 0.1", "margins = 0.1"), "quantity of prediction 1: 'margin'"),
        (("[[quantity]]", "[[quantities]]"), "cannot be read as tables"),
    ],
)
def test_a_wrong_entry_is_bad_input(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    stated = '[[prediction]]\nstudy = "demo"\nquantity = "q"\nexpected = "positive"\nreason = "r"\n'
    how = '[[quantity]]\nprediction = 1\nstudy = "demo"\nmargin = 0.1\n'
    how += 'estimand = { kind = "gap", subgroups = ["a", "b"] }\n'
    files = [tmp_path / "predictions.toml", tmp_path / "map.toml"]
    texts = [stated, how]
    if change[0].startswith('study = "other"'):
        texts[1] = how.replace('study = "demo"', 'study = "other"')
    else:
        texts = [text.replace(*change) for text in texts]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        predictions.read(*files)


def estimate(name: str, role: str, value: float, **arm: Any) -> dict[str, Any]:
    bounds = {"low": value - 0.1, "high": value + 0.1}
    return {
        "name": name,
        "kind": "gap",
        "scale": "z",
        "role": role,
        "arm": arm,
        "value": value,
        "verdict": "v",
    } | bounds


def test_the_same_quantity_and_the_present_primary_stand_beside_the_earlier_answer() -> None:
    fields = {"study": "demo", "quantity": "old quantity", "recipe": "numerics 1", "value": 0.5, "why": "a new recipe"}
    now = {"name": "swap", "arm": {"labels": 200}}
    entries = [
        before_after.Earlier.model_validate(fields | {"now": now, "interval": (0.4, 0.6), "verdict": "persists"})
    ]
    results = {"demo": {"estimates": [estimate("swap", "exploratory", 0.1, labels=50)]}}
    results["demo"]["estimates"] += [
        estimate("swap", "exploratory", 0.2, labels=200),
        estimate("new", "primary", 0.3, labels=50),
    ]
    page = before_after.page(before_after.compared(entries, results), "<!-- -->")
    assert (
        "| demo | old quantity | numerics 1 | +0.500 [+0.400, +0.600] | persists | +0.200 [+0.100, +0.300] | "
        "new: +0.300 [+0.200, +0.400], v | a new recipe |"
    ) in page
    page = before_after.page(before_after.compared(entries, {}), "<!-- -->")
    assert page.count(before_after.NOT_RUN) == 2
    other = {"demo": {"estimates": [estimate("else", "exploratory", 0.3)]}}
    page = before_after.page(before_after.compared(entries, other), "<!-- -->")
    assert "not among its estimands" in page and "none: exploratory" in page


def test_earlier_answers_name_what_their_study_has() -> None:
    for one in before_after.read():
        table = tomllib.loads((ROOT / "studies" / f"{one.study}.toml").read_text(encoding="utf-8"))
        names = [each["name"] for each in table["estimands"]]
        assert one.now.name in names, (one.study, one.now.name, names)
        levels = {name: {level.label for level in read.levels} for name, read in read_factors(table).items()}
        assert all(level in levels[name] for name, level in one.now.arm.items()), (one.study, one.now.arm)
        assert one.interval is None or one.interval[0] < one.value < one.interval[1]


def test_committed_pages_across_studies_are_current() -> None:
    for name, text in pages.across(pages.read()).items():
        assert (pages.RESULTS / name).read_text(encoding="utf-8") == text, "run python -m paper.make --pages"


def test_results_of_an_earlier_version_do_not_count(tmp_path: Path) -> None:
    stale = result((0.2, 0.1, 0.3)) | {"digest": "0", "scale": None, "estimates": []}
    made = pages.across({"skin_tone": stale})
    assert json.loads(made["predictions.json"])["counts"]["not run yet"] == 40
    assert not any(row["run_again"] for row in json.loads(made["before_after.json"])["answers"])
