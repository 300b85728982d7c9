"""The report page of a study: its parts, its escapes, when it is written, and the command that writes it elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from biasprop import draw, page
from biasprop.card import __main__ as card
from biasprop.component import InputError
from biasprop.observers import ledger
from biasprop.report import figures, results, study_page
from biasprop.report.figures import forest, learning_curves
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.filled import fill
from tests.html.structure import Document, page_problems
from tests.source_tree import ROOT

SMALL = ROOT / "tests" / "torture" / "small.toml"
DRAWN = {"learning_curves": learning_curves.draw, "forest": forest.draw}
"""Figures that compile nothing."""
HOSTILE = {
    '"Tortured"': '"<script>alert(1)</script>"',
    "whatever happens on the way?": "<img src=x onerror=alert(1)> & &lt;?",
    "all a": "<b>all a</b>",
    'name = "probe"': "name = '\"><svg onload=alert(1)>'",
    'name = "swap contrast"': 'name = "{{ 7 * 7 }} </td> <!--"',
}
PARTS = ["Answer", "Verdicts", "Figures", "Levels", "Difficulty ledger", "Plan", "Provenance", "How to cite"]


def written(folder: Path, changes: dict[str, str] | None = None) -> Path:
    """A study file."""
    text = SMALL.read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "small.toml"
    file.write_text(text, encoding="utf-8")
    return file


def report_of(study: Study, out: Path) -> results.Report:
    return results.Report(study, study.store(out), ledger.load_or_compute(study))


def stored(file: Path, out: Path, cells: int | None = None) -> Study:
    study = load_study(file)
    fill(study, study.store(out), design.cells(study)[:cells])
    return study


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> results.Report:
    folder = tmp_path_factory.mktemp("page")
    found = report_of(stored(written(folder), folder), folder)
    figures.draw_all(found.cube, found.summary.estimates, found.store / "figures", found.study, DRAWN)
    return found


@pytest.fixture(scope="module")
def text(report: results.Report) -> str:
    return report.page(report.store / "figures")


def shown(text: str) -> str:
    return " ".join("".join(Document(text).text).split())


def test_the_page_has_its_parts_in_order_and_a_sound_structure(text: str) -> None:
    assert not list(page_problems(text))
    assert re.findall(r"<h2 [^>]*>(.*?)</h2>", text) == PARTS


def test_the_answer_comes_first_in_at_most_five_lines(text: str, report: results.Report) -> None:
    answer = text[text.index('<section id="answer"') : text.index('<section id="verdicts"')]
    lines = re.findall(r"<p[ >]", answer.partition("<details>")[0])
    assert 1 <= len(lines) <= study_page.ANSWER_LINES
    assert "swap contrast" not in answer.partition("<p")[0]
    (primary,) = (one for one in report.summary.estimates if one.primary)
    assert f"{primary.value:+.3f}" in answer or f"{abs(primary.value):.3f}" in answer


def test_verdicts_are_said_in_words_beside_the_bar_and_in_its_label(text: str, report: results.Report) -> None:
    (primary,) = (one for one in report.summary.estimates if one.primary)
    found = shown(text)
    assert f"{primary.verdict}: " in found
    (label,) = (one["aria-label"] for one in Document(text).named("svg"))
    assert primary.verdict in label and f"{primary.value:+.3f}" in label and f"margin {primary.margin:g}" in label


def test_figures_are_in_the_page_with_their_captions(text: str) -> None:
    found = shown(text)
    assert len(Document(text).named("img")) == len(DRAWN)
    for name in DRAWN:
        assert " ".join(figures.caption(name).split()) in found
    assert all(figures.caption(name) for name in figures.FIGURES)


def test_levels_ledger_plan_provenance_and_citation_are_there(text: str, report: results.Report) -> None:
    found = shown(text)
    assert "Discrimination: AUC of each subgroup" in found and "Calibration: a calibrated model" in found
    assert "--difficulty" in found and "ideal" in found
    assert "4 of 4 done" in found and "16 of 16 done" in found and str(report.study.seed) in found
    assert "all a" in found and "swap_contrast" in found
    assert report.study.digest in found and study_page.CITATION in found
    assert str(report.store.parent) not in text, "no path of this machine"
    assert 'question = "Does it end' in "".join(Document(text).text), "the study file"


def test_the_citation_is_that_of_the_repository() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    title, version, licence = (
        re.findall(rf'^{name}: "?(.*?)"?$', citation, re.MULTILINE)[0] for name in ("title", "version", "license")
    )
    (author,) = re.findall(r'- name: "(.*)"', citation)
    assert f"{author[:1].upper()}{author[1:]}. {title} Version {version}, {licence}." == study_page.CITATION


def test_the_same_store_gives_the_same_bytes(text: str, report: results.Report) -> None:
    assert report.page(report.store / "figures") == text


def test_text_of_a_study_is_never_markup(tmp_path: Path, text: str) -> None:
    """Title, question, names of levels, estimands and the study file itself."""
    report = report_of(stored(written(tmp_path, HOSTILE), tmp_path), tmp_path)
    figures.draw_all(report.cube, report.summary.estimates, tmp_path / "figures", report.study, {"forest": forest.draw})
    hostile = report.page(tmp_path / "figures")
    assert not list(page_problems(hostile))
    assert {tag for tag, _ in Document(hostile).elements} <= {tag for tag, _ in Document(text).elements}
    assert "<script>alert(1)</script>" in Document(hostile).text
    assert "{{ 7 * 7 }} </td> <!--" in shown(hostile)


def test_a_study_that_is_partly_run_says_so(tmp_path: Path) -> None:
    report = report_of(stored(written(tmp_path), tmp_path, cells=1), tmp_path)
    partly = report.page(tmp_path / "no figures")
    assert not list(page_problems(partly))
    assert "12 of 16 arms have no result: 12 not run." in shown(partly)


def test_a_smoke_run_says_so(tmp_path: Path) -> None:
    study = load_study(written(tmp_path), smoke=True)
    fill(study, study.store(tmp_path), design.cells(study))
    assert "its numbers are too small to mean anything" in shown(report_of(study, tmp_path).page(tmp_path / "none"))


def test_the_page_is_written_again_only_when_it_is_out_of_date(
    report: results.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = report.write_page()
    assert file == report.store / "report.html" and not list(page_problems(file.read_text(encoding="utf-8")))

    def fails(*_: object) -> str:
        raise AssertionError("made again")

    monkeypatch.setattr(results.Report, "page", fails)
    assert report_of(report.study, report.store.parent).write_page() == file
    file.write_text("damaged")
    with pytest.raises(AssertionError, match="made again"):
        report.write_page()
    monkeypatch.undo()
    assert report.write_page().read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_writes_the_page_of_a_store(
    report: results.Report,
    tmp_path: Path,
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {file: file.stat().st_mtime_ns for file in report.store.rglob("*")}
    monkeypatch.setattr(figures, "belongs_to", lambda folder, key: True)
    out = tmp_path / "page.html"
    assert page.main([str(report.store), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text(encoding="utf-8") == text
    assert before == {file: file.stat().st_mtime_ns for file in report.store.rglob("*")}, "only the page is written"


def test_the_command_refuses_a_store_that_this_version_reads_otherwise(
    report: results.Report, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = design.layout(report.study)
    label, content = layout.factors[0].levels[0]
    changed = json.dumps(json.loads(content) | {"pretraining.new": {"default": 1}})
    factor = replace(layout.factors[0], levels=((label, changed), *layout.factors[0].levels[1:]))
    with monkeypatch.context() as patched:
        patched.setattr(design, "layout", lambda study: replace(layout, factors=(factor, *layout.factors[1:])))
        assert page.main([str(report.store), "--out", str(tmp_path / "page.html")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert draw.main([str(report.store), "auc", "--x", "labels", "--out", str(tmp_path / "auc.png")]) == 2
        assert card.main(["--study", str(report.store), "--out", str(tmp_path / "card.md")]) == 2
        assert capsys.readouterr().err.splitlines() == [line, line]
    assert not list(tmp_path.iterdir())
    assert line.startswith(f"{report.store}: biasprop ") and "otherwise than biasprop " in line
    assert "pretraining.new.default is absent in the store and 1 in the study; use that version, or run" in line
    assert "{" not in line
    monkeypatch.setattr("biasprop.study.load.remake", refuse)
    assert page.main([str(report.store)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "cannot use the study in this store, which biasprop" in first and second == "small.toml:3: x: is unknown"


def refuse(origin: object) -> Study:
    raise InputError("small.toml:3: x: is unknown")


def test_the_command_refuses_what_it_cannot_use(
    report: results.Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert page.main([str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    assert page.main([str(report.store), "--out", str(tmp_path / "no" / "page.html")]) == 2
    assert f"there is no folder {tmp_path / 'no'}" in capsys.readouterr().err
    assert page.main([str(report.store), "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
