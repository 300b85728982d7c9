"""The page of an audit: the numbers of the tables, verdicts in words, and text of a table that is never markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biasprop.audit.__main__ import main
from tests.html.structure import Document, page_problems

COLUMNS = ["--label", "y", "--score", "p", "--by", "sex"]
HOSTILE = "<script>alert(1)</script>"


def people(n: int = 300, names: tuple[str, str] = ("F", "M")) -> pd.DataFrame:
    random = np.random.default_rng(0)
    y = (random.uniform(size=n) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-(random.standard_normal(n) + 1.5 * y - 1)))
    return pd.DataFrame({"sex": random.choice(names, n), "y": y, "p": p.round(4)})


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out for seconds; one test draws them."""
    monkeypatch.setattr("biasprop.report.plotting.svg", lambda figure: b"<svg/>")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The page of a table, after the command; checked for its structure."""
    monkeypatch.chdir(tmp_path)

    def audited(table: pd.DataFrame, *words: str, columns: list[str] = COLUMNS, file: str = "t.csv") -> str:
        table.to_csv(file, index=False)
        assert main([file, *columns, *words, "--html", "page.html"]) == 0, capsys.readouterr().err
        text = Path("page.html").read_text(encoding="utf-8")
        assert not list(page_problems(text))
        return text

    return audited


def shown(text: str) -> str:
    return " ".join("".join(Document(text).text).split())


def test_gaps_tables_figure_and_notes(written, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(people(), "--margin", "auc=0.9", "--gap", "F,M")
    found, printed = shown(text), capsys.readouterr().out
    assert "negligible: wholly inside the margin" in found and "sex: F - M" in found
    assert "stated in advance" in found and "none was stated" not in found
    (label, *_) = (one["aria-label"] for one in Document(text).named("svg"))
    assert label.endswith("negligible: wholly inside the margin")
    assert len(Document(text).named("img")) == 1
    rows = [
        line.split() for line in printed.splitlines() if line.startswith((" overall", " sex: F", "overall", "sex: F"))
    ]
    assert rows
    for row in rows:
        for number in row[3:6]:
            assert number in found, f"{number} is printed and not on the page"
    assert "Threshold: " in found and "chosen on the data it judges" in found


@pytest.mark.usefixtures("undrawn")
def test_without_a_margin_there_is_no_verdict(written) -> None:
    found = shown(written(people()))
    assert "No margin was stated" in found and "none was stated in advance" in found
    assert "wholly inside" not in found


@pytest.mark.usefixtures("undrawn")
def test_text_of_a_table_is_never_markup(written) -> None:
    table = people(names=(HOSTILE, "M\x1b[31m")).rename(columns={"sex": "<b>sex"})
    text = written(table, columns=["--label", "y", "--score", "p", "--by", "<b>sex"], file="<i>.csv")
    assert {tag for tag, _ in Document(text).elements} == {tag for tag, _ in Document(written(people())).elements}
    assert f"<b>sex: {HOSTILE}" in shown(text) and "<i>.csv" in shown(text) and "\\x1b[31m" in shown(text)


@pytest.mark.usefixtures("undrawn")
def test_results_of_others(written) -> None:
    results = pd.DataFrame({"group": ["<b>a", "b"], "metric": ["auc", "auc"], "mean": [0.9, 0.8], "sd": [0.01, None]})
    found = shown(written(results, columns=[]))
    assert "<b>a 0.900 (0.010)" in found and "b 0.800" in found and "no interval" in found


def test_a_page_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    people().to_csv("t.html", index=False)
    for file, why in (
        ("page.txt", "allowed: .html"),
        ("no/page.html", "no folder"),
        ("t.html", "would be overwritten"),
    ):
        assert main(["t.html", *COLUMNS, "--html", file]) == 2
        told = capsys.readouterr().err
        assert told.startswith("--html") and why in told and told.count("\n") == 1
