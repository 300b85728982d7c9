"""Published findings stand beside the estimate of a study that is nearest to each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biasprop.component import InputError
from biasprop.study.load import load_study
from paper import published
from paper.predictions import HIT, MISS, NOT_RUN, OPEN
from paper.study_result import dumps
from tests.source_tree import ROOT

FIELDS = {"source": "A 2020", "compared": "this | that", "found": "less", "study": "demo", "differs": "much"}


def finding(sign: str) -> published.Finding:
    ours = {"name": "gap", "arm": {"labels": 200}}
    return published.Finding.model_validate(FIELDS | {"sign": sign, "ours": ours, "margin": 0.1})


def result(low: float | None, high: float | None, labels: int = 200) -> dict[str, Any]:
    value = None if low is None or high is None else (low + high) / 2
    numbers = {"value": value, "low": low, "high": high}
    estimate = {"name": "gap", "kind": "gap", "scale": "z", "arm": {"labels": labels}, "verdict": ""}
    return {"demo": {"estimates": [estimate | numbers]}}


@pytest.mark.parametrize(
    ("sign", "results", "score"),
    [
        ("positive", result(0.1, 0.3), HIT),
        ("positive", result(-0.3, -0.1), MISS),
        ("positive", result(-0.05, 0.05), MISS),
        ("positive", result(-0.3, 0.3), OPEN),
        ("negative", result(-0.3, -0.1), HIT),
        ("negligible", result(-0.05, 0.05), HIT),
        ("positive", result(None, None), OPEN),
        ("positive", result(0.1, 0.3, labels=50), OPEN),
        ("positive", {}, NOT_RUN),
    ],
)
def test_signs_are_compared(sign: str, results: dict[str, Any], score: str) -> None:
    value = json.loads(dumps(published.compared([finding(sign)], results)))
    (row,) = value["findings"]
    assert row["score"] == score
    page = published.page(value, "<!-- -->")
    assert f"Of 1 findings: agrees {'1' if score == HIT else '0'}" in page and r"this \| that" in page
    assert f"| {published.WORDS[score]} | much |" in page


def test_findings_name_one_estimate_of_their_study() -> None:
    for one in published.read():
        study = load_study(ROOT / "studies" / f"{one.study}.toml")
        (stated,) = [estimand for estimand in study.estimands if estimand.name == one.ours.name]
        arms = {
            name: {level.label for level in study.levels(name)} for name in {*stated.at, *stated.free(study.factors)}
        }
        assert one.ours.arm.keys() == arms.keys() and len(stated.subgroup_sets(study.subgroups)) == 1
        assert all(level in arms[name] for name, level in one.ours.arm.items()), one.ours
        assert stated.at.items() <= one.ours.arm.items(), one.ours


def test_every_source_is_among_the_references() -> None:
    references = (ROOT / "paper" / "methods.md").read_text(encoding="utf-8").partition("## References")[2]
    for one in published.read():
        author, year = one.source.split()[0], one.source.split()[-1]
        assert any(author in entry and year in entry for entry in references.split("\n- ")), one.source


@pytest.mark.parametrize("change", [("sign = ", "signs = "), ('"positive"', '"up"'), ("[[finding]]", "[[findings]]")])
def test_a_wrong_entry_is_bad_input(change: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "published.toml"
    text = published.FILE.read_text(encoding="utf-8")
    file.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=r"published\.toml"):
        published.read(file)
