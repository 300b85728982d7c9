"""`python -m paper.make` on a store, its numbers and macros; `python -m biasprop.show` and its bad arguments."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from biasprop import show
from biasprop.component import InputError
from biasprop.report import figures, plotting
from biasprop.statistics.estimate import estimates
from biasprop.statistics.measures import measure
from biasprop.study.load import load_study
from paper import make, numbers, stores
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).with_name("study.toml")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper folder made from one store, without drawing (the figures have tests of their own)."""
    store = tmp_path / "results" / "demo-0123456789ab"
    (store / "cube.zarr").mkdir(parents=True)
    (store / "cube.zarr" / "zarr.json").write_text("{}")
    cube = synthetic_cube(replicates=4, subjects=80, selection=8, calibration=80)
    cube.attrs |= {"study": STUDY.read_text(encoding="utf-8"), "digest": load_study(STUDY).digest}
    monkeypatch.setattr("biasprop.store.view.open_cube", lambda path: cube, raising=False)
    monkeypatch.setattr(figures, "draw_all", lambda *given: [])
    monkeypatch.setattr(stores, "provenance", lambda store, cube: stores.Provenance(None, {}, {}))
    make.make(tmp_path / "results", None, tmp_path / "paper")
    return tmp_path / "paper"


def test_every_number_says_where_it_comes_from(made: Path) -> None:
    entries = json.loads((made / "numbers.json").read_text())
    assert len({entry["macro"] for entry in entries}) == len(entries) > 100
    for entry in entries:
        assert entry["store"] == "demo-0123456789ab" and entry["study"] == "demo"
        assert entry["function"].startswith("biasprop.statistics.")
        assert set(entry["selector"]) <= {"pretraining", "labels", "protocol", "subgroup"}
    cube = synthetic_cube(replicates=4, subjects=80, selection=8, calibration=80)
    study = load_study(STUDY)
    measures = measure(cube, study.evaluation.target_specificity)
    primary = next(e for e in estimates(measures, study.estimands) if e.primary)
    entry = next(e for e in entries if e["quantity"] == primary.name and e["field"] == "value")
    assert np.isclose(entry["value"], primary.value) and entry["text"] == f"{primary.value:.2f}"


def test_macros_are_valid_and_complete(made: Path) -> None:
    tex = (made / "numbers.tex").read_text()
    entries = json.loads((made / "numbers.json").read_text())
    found = re.findall(r"^\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}", tex, flags=re.MULTILINE)
    assert [name for name, _ in found[: len(entries)]] == [entry["macro"] for entry in entries]
    assert {name for name, _ in found[len(entries) :]} == {
        "captionContactSheet",
        "captionShareCurves",
        "captionInjectedSkew",
        "captionPersistence",
        "captionLearningCurves",
        "captionPhaseDiagram",
        "captionSkewAgainstAuc",
        "captionTestMix",
        "captionContrastByLevel",
        "captionStability",
        "captionWorth",
        "captionForest",
        "captionEigenvalueCrossing",
        "captionKnownAnswer",
    }
    assert not re.search(r"(?<!\\)[%&#_$]", "".join(text for _, text in found))


def test_macro_names_tell_signs_and_points_apart() -> None:
    names = {numbers.letters(word) for word in ("x 0.5", "x 05", "x 5", "x -5", "x 50/50", "x")}
    assert len(names) == 5 + 1 and all(name.isalpha() for name in names)
    assert numbers.letters("skin_tone 50/50") == "skinToneFiveZeroFiveZero"


def test_undefined_is_null_and_said() -> None:
    number = numbers.Number("s", "s-0", "f", {}, "retention", "value", float("nan"))
    assert number.entry("m")["value"] is None and number.text() == "undefined"
    with pytest.raises(InputError, match="would both be"):
        numbers.macros([number, number], {})


def test_a_store_of_other_numerics_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cube = synthetic_cube(replicates=2, subjects=20)
    cube.attrs["study"] = STUDY.read_text(encoding="utf-8")
    monkeypatch.setattr(stores, "newest", lambda results, name: {tmp_path / "demo-0123456789ab": cube})
    make.make(tmp_path, None, tmp_path / "paper")
    assert "demo-0123456789ab: left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "paper" / "numbers.json").read_text()) == []


def test_nothing_to_make_it_from_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make.main(["--results", str(tmp_path / "nowhere")]) == 2
    assert "there is no store of any study" in capsys.readouterr().err


def test_show_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biasprop.report.figures import contact_sheet

    asked = {}

    def blank(cube: object, estimates: object, study: object, **given: object) -> object:
        asked.update(given, study=study)
        return plotting.page(1, 1)

    monkeypatch.setattr(contact_sheet, "draw", blank)
    out = tmp_path / "sheet.v2.svg"
    assert show.main([str(STUDY), "--out", str(out), "--subjects", "3", "--set", "generator.size=8"]) == 0
    assert out.is_file() and [file.name for file in tmp_path.iterdir()] == ["sheet.v2.svg"]
    assert asked["subjects"] == 3 and asked["levers"] and asked["study"].generator.size == 8


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--out", "sheet.gif"], r"--out: sheet.gif: no such format; allowed: .svg, .pdf, .png"),
        (["--out", "nowhere/sheet.png"], r"--out: nowhere/sheet.png: there is no folder nowhere"),
        (["--subjects", "-1"], r"--subjects -1: has to be"),
        (["--set", "generator.sizes=8"], r"generator.sizes"),
    ],
)
def test_bad_arguments_of_show(
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show.main([str(STUDY.absolute()), *arguments]) == 2
    assert re.search(complaint, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
