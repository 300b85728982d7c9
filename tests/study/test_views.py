"""All views of a store agree, whatever has happened to it: terminal, JSON, CSV, data frame, drawing, figures, cube."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import biasprop
from biasprop import draw, run
from biasprop.report import figures, plotting, results
from biasprop.statistics.contrasts import gap
from biasprop.statistics.measures import per_replicate
from biasprop.status import Status
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.filled import fill

CAPTION = "What is drawn here in place of a figure."
"""Of this module, as every figure's has one."""

SMALL = (Path(__file__).parents[1] / "torture" / "small.toml").read_text()
ALL_B = '  { name = "all b",'
HALF = '  { name = "half", set = { "pretraining.shares" = { a = 0.5, b = 0.5 } } },\n'
LONGER = SMALL.replace(ALL_B, HALF + ALL_B)
RENAMED = LONGER.replace('"half"', '"even"')
CHANGED = LONGER.replace("{ a = 0.5, b = 0.5 } } },\n  { name", "{ a = 0.6, b = 0.4 } } },\n  { name")
REVERSED = SMALL.replace('subgroups = ["a", "b"]', 'subgroups = ["b", "a"]').replace(
    'skewed = ["all a", "all b"]', 'skewed = ["all b", "all a"]'
)

Step = tuple[str, int, Sequence[int]]
"""One run: the study file, its replicates, and the status of the first arms that the run computes."""

FAILED = (Status.FAILED, Status.DIVERGED, Status.OK, Status.DIVERGED)
HISTORIES: dict[str, tuple[list[Step], dict[str, list[Any]]]] = {
    "finished": ([(SMALL, 2, ())], {}),
    "other subgroup first": ([(REVERSED, 2, ())], {}),
    "more replicates": ([(SMALL, 2, ()), (SMALL, 3, ())], {}),
    "fewer replicates": ([(SMALL, 4, ()), (SMALL, 2, ())], {"replicate": [2, 3]}),
    "more levels": ([(SMALL, 2, ()), (LONGER, 2, ())], {}),
    "fewer levels": ([(LONGER, 2, ()), (SMALL, 2, ())], {"pretraining": ["half"]}),
    "fewer levels and more again": ([(LONGER, 2, ()), (SMALL, 2, ()), (LONGER, 2, ())], {}),
    "a level renamed": ([(LONGER, 2, ()), (RENAMED, 2, ())], {"pretraining": ["half"]}),
    "interrupted": ([(SMALL, 3, (Status.OPEN,) * 5)], {}),
    "interrupted while it grew": ([(SMALL, 2, ()), (LONGER, 3, (Status.OPEN,) * 3)], {}),
    "failed and diverged": ([(SMALL, 3, FAILED)], {}),
    "failed, then fewer": ([(LONGER, 3, FAILED), (SMALL, 2, FAILED)], {"pretraining": ["half"], "replicate": [2]}),
}
"""What happened to a store, and what of it the last study does not have."""
IN_PARTS = ("more replicates", "fewer replicates", "more levels", "fewer levels", "interrupted", "failed and diverged")
"""Histories that other ones contain; only the slow suite runs them."""


class Views:
    """The views of a store as commands give them; arms are filled in instead of trained."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.first: Sequence[int] = ()
        self.drawn: list[tuple[xr.Dataset, list[Any]]] = []
        """Cube and estimates of every figure that was drawn."""
        self.curves: dict[str, Any] = {}
        """What ``biasprop.draw`` drew last."""
        monkeypatch.setitem(sys.modules, "biasprop.execution.sweep", types.SimpleNamespace(run=self.sweep))
        monkeypatch.setattr("biasprop.execution.sweep", sys.modules["biasprop.execution.sweep"], raising=False)
        for name in list(figures.FIGURES):
            monkeypatch.delitem(figures.FIGURES, name)
        monkeypatch.setitem(figures.FIGURES, "blank", self.figure)
        monkeypatch.setattr("biasprop.report.figures.curves.draw", self.curve)

    def sweep(self, study: Study, store: Path, **how: Any) -> list[str]:
        cells = design.cells(study, how["only"])
        fill(study, store, cells, self.first)
        return ["given up"] if Status.OPEN in self.first else []

    def figure(self, cube: xr.Dataset, estimates: list[Any], study: Study) -> Any:
        self.drawn.append((cube, estimates))
        return plotting.page(1, 1)

    def curve(self, measures: xr.Dataset, measure: str, *given: Any, subgroups: Any, **more: Any) -> Any:
        self.curves = {"measures": measures, "subgroups": subgroups}
        return plotting.page(1, 1)

    def file(self, text: str) -> Path:
        file = self.folder / "small.toml"
        file.write_text(text)
        return file

    def run(self, step: Step, *words: str) -> str:
        """What the command prints."""
        text, replicates, self.first = step
        line = [str(self.file(text)), "--out", str(self.folder), "--replicates", str(replicates), *words]
        assert run.main(line) in ((0, 3) if self.first else (0,))
        return self.capsys.readouterr().out


@pytest.fixture
def views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Views:
    return Views(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    "history", [pytest.param(name, marks=[pytest.mark.slow] * (name in IN_PARTS)) for name in HISTORIES]
)
def test_all_views_of_a_store_agree(history: str, views: Views, tmp_path: Path) -> None:
    steps, beyond = HISTORIES[history]
    for step in steps:
        shown = views.run(step, "-q")
    csv = tmp_path / "all.csv"
    told = json.loads(views.run(steps[-1], "-q", "--json", "--csv", str(csv)))
    store, study = Path(told["store"]), load_study(tmp_path / "small.toml", replicates=steps[-1][1])
    assert told["left_out"] == beyond
    assert ("Left out, because" in shown) == bool(beyond)

    cube = biasprop.open_cube(store)
    xr.testing.assert_identical(cube, results.open_study_cube(study, store))
    assert json.loads(cube.attrs.get("left_out", "{}")) == beyond
    assert cube.sizes["replicate"] == study.replicates
    levels = {name: [level.label for level in study.levels(name)] for name in study.factors}
    assert {name: cube[name].values.tolist() for name in levels} == levels

    table = biasprop.dataframe(store)
    assert table.attrs["left_out"] == beyond
    assert csv.read_text() == table.to_csv(index=False)
    estimates = table.query("table == 'estimand'").to_dict(orient="records")
    for row, stated, of_figures in zip(estimates, told["estimates"], views.drawn[-1][1], strict=True):
        for name in ("value", "low", "high", "zone_low", "replicates", "verdict", "reason"):
            value = np.nan if stated[name] is None else stated[name]
            np.testing.assert_equal([row[name], getattr(of_figures, name)], [value, value])
        assert (f"{row['value']:+.3f}" if np.isfinite(row["value"]) else row["reason"]) in shown
    xr.testing.assert_equal(views.drawn[-1][0][list(cube)], cube.load())

    assert draw.main([str(store), "z_gap", "--x", "labels", "--out", str(tmp_path / "gap.svg")]) == 0
    assert ("Left out, because" in views.capsys.readouterr().err) == bool(beyond)
    measures, pair = views.curves["measures"], views.curves["subgroups"]
    gaps = gap(per_replicate(measures, "z"), pair)
    rows = table.query("table == 'level' and name == 'z_gap'")
    assert len(rows) == gaps.sizes["pretraining"] * gaps.sizes["labels"] * gaps.sizes["protocol"]
    for row in rows.to_dict(orient="records"):
        values = gaps.sel({name: row[name] for name in levels})
        assert (row["subgroup"], row["against"]) == pair and row["replicates"] == values.notnull().sum()
        np.testing.assert_allclose(row["value"], values.mean())


def test_a_report_is_laid_out_again_for_a_terminal_of_another_width(
    views: Views, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wide = views.run((SMALL, 2, ()), "-q")
    monkeypatch.setattr(results, "table_width", lambda: 110)
    assert "the stored sd" in views.run((SMALL, 2, ()), "--plan")
    narrow = views.run((SMALL, 2, ()), "-q")
    # A table keeps its numbers whole, so that one of many columns stays wider than the terminal.
    widths = [np.mean([len(line) for line in text.splitlines()]) for text in (narrow, wide)]
    assert narrow != wide and widths[0] < widths[1]
    monkeypatch.undo()
    assert len(list(tmp_path.glob("small-*/cache/*.json"))) == 1


def test_a_cached_report_has_the_paths_of_now(views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another working directory, and after the store has moved."""
    first = views.run((SMALL, 2, ()), "-q")
    (store,) = tmp_path.glob("small-*")
    monkeypatch.chdir(tmp_path)
    for out, folder in ((".", store.name), ("elsewhere", f"elsewhere/{store.name}")):
        if out != ".":
            Path(out).mkdir()
            store.rename(Path(out) / store.name)
        assert run.main(["small.toml", "--out", out]) == 0
        shown = views.capsys.readouterr()
        assert shown.out == first and f"figures: {folder}/figures\n" in shown.err
    assert len(views.drawn) == 1


READING: dict[str, list[str]] = {
    "plan": ["--plan"],
    "list": ["--list"],
    "precision": ["--precision", "0.1"],
    "difficulty": ["--difficulty"],
    "verify": ["--verify", "1"],
}
"""Commands that read a store as it is."""


@pytest.mark.parametrize("words", READING.values(), ids=READING)
def test_a_level_of_another_content_is_refused_by_every_command(words: list[str], views: Views) -> None:
    assert CHANGED != LONGER
    views.run((LONGER, 2, ()), "-q")
    file = views.file(CHANGED)
    for line in ([], words):
        assert run.main([str(file), "--out", str(views.folder), *line]) == 2
        assert "level 'half' has changed" in views.capsys.readouterr().err


@pytest.mark.parametrize("text", [LONGER, SMALL.replace('"all a"', '"a only"').replace('"all b"', '"b only"')])
def test_precision_says_what_the_store_has_not(text: str, views: Views) -> None:
    """A study that has grown, and one of which the store has no level."""
    views.run((SMALL, 2, ()), "-q")
    shown = " ".join(views.run((text, 3, ()), "--precision", "0.1").split())
    assert ("not enough replicates in the store" in shown) == (text != LONGER)


def test_a_failed_arm_leaves_its_cell_to_do_in_every_count(views: Views) -> None:
    told = json.loads(views.run((SMALL, 2, (Status.FAILED, Status.DIVERGED)), "-q", "--json"))
    assert told["cells"] == {"done": 3, "total": 4}
    assert "1 of 4 to do" in views.run((SMALL, 2, ()), "--plan")
