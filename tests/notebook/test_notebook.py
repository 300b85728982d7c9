"""Notebooks: the example runs in a kernel, progress is one output, tables are escaped, plots use the axes they get."""

from __future__ import annotations

import json
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import biasprop
from biasprop.component import InputError
from biasprop.execution import progress
from biasprop.report import results
from biasprop.report.estimates import MAX_SHOWN, Estimates
from biasprop.report.figures import contrast_by_level, curves, skew_against_auc
from biasprop.report.plotting import NotApplicable
from biasprop.statistics.estimate import Estimate, estimates
from biasprop.statistics.measures import measure
from biasprop.study import design
from biasprop.study.load import load_study
from tests.filled import fill
from tests.html.structure import Document, fragment_problems
from tests.source_tree import ROOT
from tests.synthetic import synthetic_cube

EXAMPLE = ROOT / "studies" / "notebook.py"
SMALL = ROOT / "tests" / "torture" / "small.toml"
HOSTILE = "<script>alert(1)</script>"


def cells(script: str) -> list[tuple[str, str]]:
    """The cells of a script in the percent format: kind and source."""
    found = []
    for part in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        kind = "markdown" if "[markdown]" in head else "code"
        text = re.sub(r"^# ?", "", body, flags=re.MULTILINE) if kind == "markdown" else body
        found.append((kind, text.strip()))
    return found


def test_the_example_is_cells_of_text_and_sound_python() -> None:
    found = cells(EXAMPLE.read_text(encoding="utf-8"))
    assert {kind for kind, _ in found} == {"markdown", "code"} and all(text for _, text in found)
    for kind, text in found:
        if kind == "code":
            compile(text, EXAMPLE.name, "exec")
    named = {name for name in biasprop.__all__ if f"biasprop.{name}(" in EXAMPLE.read_text(encoding="utf-8")}
    assert named == {"load_study", "run_study", "estimates", "plot", "audit_scores"}


@pytest.mark.slow
def test_the_example_runs_in_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel", reason="no kernel for notebooks: pip install '.[test]'")
    nbclient = pytest.importorskip("nbclient", reason="nothing that executes notebooks: pip install '.[test]'")
    nbformat = pytest.importorskip("nbformat", reason="nothing that writes notebooks: pip install '.[test]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    shutil.copy(ROOT / "studies" / "gaussian_control.toml", tmp_path)
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[k](text) for k, text in cells(EXAMPLE.read_text(encoding="utf-8"))])
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.validate(notebook)
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    kinds = [{kind for output in each for kind in output.get("data", {})} for each in outputs]
    assert ["text/html" in kind for kind in kinds] == [True, True, True, False, True]
    assert "image/png" in kinds[3]
    (shown,) = (output for output in outputs[1] if output.output_type == "display_data")
    done, total = shown.data["text/plain"].partition("cells ")[2].split()[0].split("/")
    assert int(done) == int(total) > 0, "the last state of the progress"
    assert "\\u001b" not in json.dumps(notebook) and "\\r" not in json.dumps(notebook), "no cursor is moved"
    for each in outputs:
        for output in each:
            assert not list(fragment_problems(output.get("data", {}).get("text/html", ""))) or "xr-" in str(output)


class Display:
    """What a kernel shows: states of the one output, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.states: list[dict[str, str]] = []
        shell = types.SimpleNamespace(kernel=object())
        shown = types.SimpleNamespace(display=self.display)
        fake = types.SimpleNamespace(get_ipython=lambda: shell, display=shown)
        monkeypatch.setitem(sys.modules, "IPython", fake)

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Display:
        assert raw and display_id and not self.states, "one output"
        return self.update(data, raw=raw)

    def update(self, data: dict[str, str], *, raw: bool) -> Display:
        self.states.append(data)
        return self


def test_progress_is_one_output_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display(monkeypatch)
    shown = progress.for_notebook()
    assert isinstance(shown, progress.Notebook)
    shown.start(2, 0)
    for step in range(1_000):
        shown.cell(HOSTILE, "pretrain", step, 1_000)
    assert len(display.states) < 100, "not one message per step"
    shown.arm("bad\x1b[2K arm", 2, 0.1)
    shown.cell(HOSTILE, progress.DONE, 1, 1)
    shown.finish()
    last = display.states[-1]
    assert last["text/plain"].splitlines() == ["cells 1/2", "diverged: bad\\x1b[2K arm"]
    for state in display.states:
        assert not list(fragment_problems(state["text/html"]))
        assert not {"\x1b", "\r", "\b"} & set("".join(state.values()))
    assert [(one["value"], one["max"]) for one in Document(last["text/html"]).named("progress")] == [("1", "2")]


def test_progress_is_not_shown_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not progress.in_notebook()
    shown = progress.for_notebook()
    shown.start(1, 0)
    shown.cell("a", progress.DONE, 1, 1)
    shown.finish()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not progress.in_notebook(), "IPython in a terminal, or imported by something else"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    file = folder / "small.toml"
    file.write_text(SMALL.read_text(encoding="utf-8").replace('"swap contrast"', f'"{HOSTILE}"'), encoding="utf-8")
    study = load_study(file)
    fill(study, study.store(folder), design.cells(study))
    return study.store(folder)


def test_estimates_of_a_store_are_a_table_with_bars(store: Path) -> None:
    found = biasprop.estimates(store)
    assert isinstance(found, Estimates) and all(isinstance(one, Estimate) for one in found)
    assert list(found) == results.stored_summary(store)[0].estimates
    text = found._repr_html_()
    assert not list(fragment_problems(text))
    assert len(Document(text).named("svg")) == len(found) == 1 and HOSTILE in "".join(Document(text).text)
    single = found[0]._repr_html_()
    assert not list(fragment_problems(single))
    assert HOSTILE in "".join(Document(single).text) and found[0].verdict in single
    many = Estimates([*found] * (MAX_SHOWN + 2))._repr_html_()
    assert len(Document(many).named("svg")) == MAX_SHOWN and "2 more estimates." in many
    assert not Estimates()._repr_html_().count("<table")


def test_a_study_is_its_question_design_and_estimands(store: Path) -> None:
    study = load_study(store.parent / "small.toml")
    text = study._repr_html_()
    assert not list(fragment_problems(text))
    said = "".join(Document(text).text)
    assert all(
        part in said for part in (study.title, study.question, "all a", "linear_probe"[:0], HOSTILE, study.digest[:12])
    )


def test_an_audit_is_its_groups_and_verdicts() -> None:
    random = np.random.default_rng(0)
    groups, labels = random.choice([HOSTILE, "b"], 200), random.integers(0, 2, 200)
    scores = random.standard_normal(200) + labels
    given: Any = {"score_is": "log-odds", "threshold": 0.0}
    audit = biasprop.audit_scores(scores, labels, groups, **given, margin={"auc": 0.9})
    text = audit._repr_html_()
    assert not list(fragment_problems(text))
    said = "".join(Document(text).text)
    assert HOSTILE in said and f"{audit.by_group['auc'].iloc[0]:.3f}" in said and "negligible" in said
    assert "Threshold: 0" in said
    plain = biasprop.audit_scores(scores, labels, groups, **given)._repr_html_()
    assert plain.count("<table") == 1


def test_a_measure_is_drawn_on_the_axes_that_are_given(store: Path) -> None:
    axes = Figure().subplots()
    drawn = biasprop.plot(store, "z_gap", "labels", "pretraining", at={"protocol": "full"}, ax=axes)
    assert drawn is axes and axes.get_xlabel() == "labels" and "gap in" in axes.get_ylabel()
    legend = axes.get_legend()
    assert legend and [text.get_text() for text in legend.get_texts()] == ["all a", "all b"]
    with pytest.raises(NotApplicable, match="2 x 1 panels, and axes are one: fix protocol"):
        biasprop.plot(store, "z_gap", "labels", "pretraining", ax=axes)
    with pytest.raises(NotApplicable, match="fix the subgroups"):
        biasprop.plot(store, "auc", "labels", at={"protocol": "full", "pretraining": "all a"}, ax=axes)
    with pytest.raises(InputError, match="labels"):
        biasprop.plot(store, "z_gap", "lables", ax=axes)


def test_axes_show_what_the_figure_shows() -> None:
    """The same curves on axes of any origin."""
    cube = synthetic_cube(replicates=3, subjects=60)
    measures = measure(cube, 0.8)
    given: Any = {"at": {"protocol": "full"}}
    (panel,) = curves.draw(measures, "z_gap", "labels", "pretraining", **given).axes
    axes = Figure().subplots()
    curves.draw_on(axes, measures, "z_gap", "labels", "pretraining", **given)
    for one, other in zip(panel.lines, axes.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())


@pytest.mark.parametrize("module", [skew_against_auc, contrast_by_level])
def test_figures_with_one_panel_draw_on_axes(module: Any) -> None:
    cube = synthetic_cube(replicates=3, subjects=60)
    study = load_study(ROOT / "tests" / "figures" / "study.toml")
    if module is contrast_by_level:
        cube = cube.rename(labels="distance").assign_coords(distance=["10 mm", "35 mm", "60 mm"])
        factors = {"distance" if name == "labels" else name: factor for name, factor in study.factors.items()}
        factors["distance"] = factors["distance"].model_copy(update={"key": None})
        everywhere = study.estimands[1].model_copy(update={"primary": True})
        study = study.model_copy(update={"estimands": (everywhere,), "factors": factors})
        found: list[Estimate] = []
    else:
        found = estimates(measure(cube, 0.8), study.estimands)
    axes = Figure().subplots()
    assert module.draw_on(axes, cube, found, study) is axes
    assert axes.lines and axes.get_xlabel()
