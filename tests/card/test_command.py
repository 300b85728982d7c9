"""The command: what is left out is not stated, text of others is inert, and the three outputs say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from biasprop.audit.__main__ import main as audit
from biasprop.card import answers, studies
from biasprop.card.__main__ import main
from biasprop.card.markdown import escaped
from biasprop.study import design
from biasprop.study.load import load_study
from tests.filled import fill
from tests.html.structure import page_problems
from tests.source_tree import ROOT

COLUMNS = ["t.csv", "--label", "y", "--score", "p", "--by", "sex,site"]
HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x.example")',
    "+1|2|3",
    "- [a](javascript:alert(1))",
    "![x](http://x.example/y.png) **b** _i_ `c` $x$ ~~d~~",
    "@someone www.example.org https://x.example # h",
    "{{ 7 * 7 }} {% raw %} <!-- --> ]]> </td></table>",
    "1. one\n# two\n\n| a | b |\n|---|---|\x1b[31m\u202e",
    "[ref]: http://x.example",
    "> quoted\n---",
)


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    n = 600
    y = (random.uniform(size=n) < 0.4).astype(int)
    sex = random.choice(["F", "M"], n)
    scores = random.standard_normal(n) + np.where(sex == "F", 0.2, 2.0) * y
    found = pd.DataFrame({"y": y, "p": scores.round(4), "sex": sex, "site": random.choice(["A", "B"], n)})
    found.to_csv("t.csv", index=False)
    return found


@pytest.fixture
def run(capsys):
    def card(*words: str, code: int = 0) -> str:
        assert main(list(words)) == code
        out, told = capsys.readouterr()
        assert "Traceback" not in told
        return told if code else out

    return card


def test_what_is_left_out_is_not_stated(run) -> None:
    text, found = run(*COLUMNS), json.loads(run(*COLUMNS, "--json"))
    assert "| Scope: what is it meant for? | not stated |" in text
    assert "pretraining: not stated<br>fine-tuning: not stated" in text
    assert "no labels" not in text and "Labels: how many does it need? | not stated" in text
    stated = [found["model"], found["scope"], found["validation"]["stated"], found["labels"]["stated"]]
    stated += [found["data"][stage] for stage in answers.STAGES]
    assert all(value is None for fields in stated for value in fields.values())
    assert set(found["scope"]) >= {"IntendedUseAndWorkflow", "CautionedOutOfScopeSettings"}


def test_a_modality_that_is_left_out_is_not_stated_in_the_scope(run) -> None:
    Path("f.toml").write_text('stated_by = "Vendor"\n[scope]\nprimary_intended_users = "doctors"\n')
    text = run("--facts", "f.toml")
    assert "1 of 6 fields stated (Vendor)<br>modality: not stated" in text and "the modality is not stated" in text
    Path("f.toml").write_text('stated_by = "Vendor"\n[model]\nmodality = "dermoscopy"\n')
    text = run("--facts", "f.toml")
    assert "| not stated<br>modality: dermoscopy (Vendor) |" in text and "the modality is not stated" not in text


def test_stated_groups_that_the_table_lacks_are_said_with_the_name_that_was_meant(run) -> None:
    rows = "[pretraining]\nshares.sx = { F = 0.5 }\nshares.site = { a = 0.5, B = 0.5, other = 0.0 }\n"
    Path("f.toml").write_text(f'stated_by = "Vendor"\n{rows}')
    found = json.loads(run(*COLUMNS, "--facts", "f.toml", "--json"))
    site = "neither the table nor --population has this group of site"
    said = [note for note in found["notes"] if note.startswith("f.toml:")]
    attribute = "--by names no such attribute, so its groups are not tested"
    assert said == [
        f"f.toml:3: pretraining.shares.sx: {attribute}; did you mean sex?",
        f"f.toml:4: pretraining.shares.site.a: {site}; did you mean A?",
        f"f.toml:4: pretraining.shares.site.other: {site}",
    ]
    untested = {(one["attribute"], one["group"]): one["why"] for one in found["validation"]["untested"]}
    assert untested["site", "a"] == f"is stated; {site}; did you mean A?" and ("site", "other") not in untested
    text = run(*COLUMNS, "--facts", "f.toml")
    assert text.count("A name in the facts may be misspelt: f.toml:") == 2
    population = ("--population", "site=A:0.5,B:0.3,a:0.2")
    stated = json.loads(run(*COLUMNS, "--facts", "f.toml", "--json", *population))
    assert not any("site.a" in note for note in stated["notes"])


def test_a_planted_gap_is_flagged_and_the_default_margin_is_said(run) -> None:
    found = json.loads(run(*COLUMNS, "--json"))["validation"]["measured"]
    assert found["decision"] == "flag"
    assert {flag["attribute"] for flag in found["flags"] if flag["decision"] == "flag"} == {"sex", "sex x site"}
    assert found["margins"] == ["z: 0.1 (default of this card; no margin is stated for the AUC)"]
    text = run(*COLUMNS)
    assert "default of this card; no margin is stated" in text
    assert "chosen on the data it judges" in text
    assert "No margin is given (--margin) for sensitivity, specificity" in text
    stated = json.loads(run(*COLUMNS, "--json", "--margin", "auc=0.02"))["validation"]["measured"]
    assert stated["margins"] == ["auc: 0.02 (stated with --margin)"]
    assert {flag["metric"] for flag in stated["flags"]} == {"auc"}


def test_numbers_are_those_of_the_audit(run, capsys) -> None:
    words = ["--person", "site", "--margin", "z=0.2", "--gap", "F,M"]
    ours = json.loads(run(*COLUMNS, *words, "--json"))["validation"]["measured"]["audit"]
    assert audit([*COLUMNS, *words, "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert ours == {name: theirs[name] for name in ours} and len(ours["estimates"]) > 50


def test_stated_shares_stand_beside_the_case_mix(run) -> None:
    Path("f.toml").write_text(
        'stated_by = "Vendor"\n[pretraining]\nshares.sex = { F = 0.1, X = 0.2 }\nshares.age = { old = 1.0 }\n'
        '[finetuning]\nlabels = 300\n[validation]\nresults = "none"\n'
    )
    text = run(*COLUMNS, "--facts", "f.toml", "--population", "site=A:0.5,B:0.5")
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            rows.setdefault(cells[0], cells[1:])
    assert rows["sex: F"][:2] == ["0.100", "not stated"] and rows["sex: M"][:2] == ["not stated", "not stated"]
    assert rows["sex: X"] == ["0.200", "not stated", "-", "not in the table", "not stated", "-"]
    assert rows["age: old"] == ["1.000", "not stated", "-", "not measured", "not stated", "-"]
    assert rows["site: A"][4] == "0.500"
    assert rows["Results"] == ["none", "Vendor"] and rows["Labels"] == ["300", "Vendor"]
    found = json.loads(run(*COLUMNS, "--facts", "f.toml", "--json"))
    assert [(one["attribute"], one["group"]) for one in found["validation"]["untested"]][-1] == ("sex", "X")
    assert found["data"]["pretraining"]["shares"]["stated_by"] == "Vendor"


def hostile(table: pd.DataFrame) -> None:
    names = np.array(HOSTILE[:4])
    table["sex"] = np.where(table["sex"] == "F", names[1], names[0])
    table["site"] = np.where(table["site"] == "A", names[2], names[3])
    table.rename(columns={"site": HOSTILE[6]}).to_csv("t.csv", index=False)
    text = json.dumps
    rows = [f"stated_by = {text(HOSTILE[0])}", "[model]", f"model_name = {text(HOSTILE[4])}", "[scope]"]
    fields = [name for name in answers.NOTHING.scope.model_dump()]
    rows += [f"{name} = {text(word)}" for name, word in zip(fields, HOSTILE[4:], strict=False)]
    rows += ["[pretraining]", f"shares.{text(HOSTILE[5])} = {{ {text(HOSTILE[0])} = 0.5 }}"]
    Path("f.toml").write_text("\n".join(rows), encoding="utf-8")


def test_text_of_others_is_inert_in_all_three_outputs(table, run) -> None:
    hostile(table)
    words = ["t.csv", "--label", "y", "--score", "p", "--by", "sex", "--by", HOSTILE[6], "--facts", "f.toml"]
    run(*words, "--out", "c.html", "--out", "c.md", "--out", "c.json")
    page = Path("c.html").read_text(encoding="utf-8")
    assert list(page_problems(page)) == []
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and "{{ 7 * 7 }}" in page
    text = Path("c.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inline)}
    assert not kinds & {"link_open", "image", "html_block", "code_inline", "fence", "code_block"}
    assert {child.content for child in inline if child.type == "html_inline"} <= {"<br>"}
    assert not re.search(r"(?<!\\)\$|\x1b|\u202e|://|www\.|@", text)
    assert len({line.count(" | ") for line in text.splitlines() if line.startswith("| field |")}) == 2
    found = json.loads(Path("c.json").read_text(encoding="utf-8"))
    assert found["model"]["ModelName"]["text"] == HOSTILE[4]
    assert found["scope"]["IntendedUseAndWorkflow"]["text"] == HOSTILE[4]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_markdown_is_read_as_its_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(escaped(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    shown = "".join(child.content for child in children)
    assert shown == " ".join(text.split()).replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


def test_json_is_strict_and_has_a_version(run) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    run(*COLUMNS, "--out", "c.json")
    text = Path("c.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=refuse)
    assert found["schema"] == "biasprop.card/1" and json.dumps(found) + "\n" == text
    assert json.loads(run(*COLUMNS, "--json")) == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give TABLE, --facts or --study"),
        (["--label", "y"], "--label: needs TABLE"),
        (["--embeddings", "e.npz"], "--embeddings: needs TABLE"),
        (["t.csv"], "TABLE t.csv: needs --label, --score, --by"),
        (["t.csv", "--label", "y", "--by", "sex"], "--score: has to be given with --label, --by"),
        (
            ["t.csv", "--label", "y", "--by", "sex", "--embeddings", "e.npz", "--threshold", "1"],
            "--threshold: needs --score",
        ),
        ([*COLUMNS, "--on", "id"], "--metadata and --on: have to be given together"),
        ([*COLUMNS, "--out", "c.pdf"], "--out c.pdf: ends in .pdf; allowed: .md, .html, .json"),
        ([*COLUMNS, "--out", "no/c.md"], "--out no/c.md: there is no folder no"),
        ([*COLUMNS, "--out", "c.md", "--out", "./c.md"], "is written twice"),
        ([*COLUMNS, "--facts", "none.toml"], "none.toml: there is no such file; give the path of a facts file"),
        ([*COLUMNS, "--margin", "z=-1"], "--margin z=-1: has to be a number above 0"),
        ([*COLUMNS, "--facts", "t.csv"], "t.csv:1: this is not TOML"),
        (["--study", "none"], "none"),
    ],
)
def test_bad_input_is_named(words: list[str], says: str, run) -> None:
    assert says in run(*words, code=2)
    assert not Path("c.md").exists()


def test_facts_alone_and_embeddings_alone_make_a_card(run, table, monkeypatch) -> None:
    from biasprop.card import label_curve

    Path("f.toml").write_text('stated_by = "V"\n[labels]\nlabels_needed = "500"\n[model]\nmodality = "skin lesions"')
    text = run("--facts", "f.toml")
    assert "stated (V): 500" in text and "No predictions were given" in text
    scores = lambda found, test, orders, sizes: np.broadcast_to(  # noqa: E731
        found.features[test, 0], (len(orders), len(sizes), len(test))
    )
    monkeypatch.setattr(label_curve, "_scores", scores)
    np.save("e.npy", table[["p", "y"]].to_numpy())
    words = ["t.csv", "--label", "y", "--by", "sex", "--facts", "f.toml", "--embeddings", "e.npy"]
    found = json.loads(run(*words, "--json"))
    assert found["validation"]["measured"] is None and len(found["data"]["case_mix"]) == 2
    assert [curve["group"] for curve in found["labels"]["curves"]] == ["overall", "F", "M"]
    assert found["labels"]["curves"][0]["points"][-1]["labels"] == 200
    assert "not tested here: there are no predictions" in run(*words)
    assert found["labels"]["enough_within"] == {"scale": "z", "value": 0.1, "origin": "default of this card"}
    assert "Margin of enough labels: 0.05 in AUC (stated with --margin)." in run(*words, "--margin", "auc=0.05")
    both = json.loads(run(*words, "--margin", "z=0.2", "--margin", "auc=0.05", "--json"))["labels"]["enough_within"]
    assert (both["scale"], both["value"]) == ("auc", 0.05)
    assert "--margin auc=much: has to be a number above 0" in run(*words, "--margin", "auc=much", code=2)
    np.save("e.npy", table[["p", "y"]].to_numpy()[:-1])
    assert "e.npy: has 599 rows" in run(*words, code=2)


def test_a_store_is_cited_with_what_carries_over(run, tmp_path) -> None:
    small = ROOT / "tests" / "torture" / "small.toml"
    study = load_study(small)
    fill(study, study.store(tmp_path), design.cells(study))
    Path("f.toml").write_text('stated_by = "V"\n[model]\nmodality = "dermoscopy"')
    store = str(study.store(tmp_path))
    found = json.loads(run(*COLUMNS, "--facts", "f.toml", "--study", store, "--json"))["labels"]
    assert found["study"]["digest"] == study.digest and found["study"]["points"]
    assert found["carries_over"] == studies.CARRIES_OVER
    text = run("--study", store)
    assert "no modality is stated" in text and "Its sizes do not carry over" in text


def test_the_studies_that_are_cited_exist_and_resemble_what_is_said() -> None:
    for one in studies.STUDIES:
        text = (ROOT / "studies" / f"{one.name}.toml").read_text(encoding="utf-8")
        assert re.search(rf'^kind = "{one.generator}"', text, re.MULTILINE)
        assert {*one.attributes} <= set(studies.ATTRIBUTES) and one.generator in studies.MODALITIES
    assert {one.name for one in studies.resembling("Dermoscopic images of skin lesions", ["Fitzpatrick_type"])} >= {
        "skin_tone",
        "label_budget",
    }
    assert [one.name for one in studies.resembling("Chest X-ray (PA)", ["patient_sex"])] == [
        "sex_imbalance",
        "intersections",
    ]
    assert studies.resembling("chest x-ray", ["tone"]) == [] == studies.resembling("", ["sex"])
    assert studies.resembling("electrocardiogram", ["sex"]) == [], "ct and mr are whole words"
