"""Results as JSON, their pages, and the gallery of studies: deterministic, complete, and current as committed."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.statistics.measures import measure
from biasprop.statistics.summary import Summary, summary_of
from biasprop.study.load import load_study
from biasprop.study.study import Study
from paper import make, markdown, pages, stores, study_result
from tests.source_tree import ROOT
from tests.synthetic import synthetic_cube

STUDY = Path(__file__).with_name("study.toml")
PROVENANCE = stores.Provenance("2000-01-31", {"pretrain": 12.34, "adapt": 3.21}, {"jax 1, cpu, 1 thread": 96})


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(STUDY)


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    """Two arms have not run and one diverged, so that some values are not defined."""
    cube = synthetic_cube(replicates=4, subjects=120, diverged=1, open_arms=2)
    cube.attrs |= {"versions": {"biasprop": "0.1", "jax": "1"}, "overrides": {"set": [], "scale": None, "smoke": False}}
    return cube


@pytest.fixture(scope="module")
def summary(cube: xr.Dataset, study: Study) -> Summary:
    return summary_of(measure(cube, study.evaluation.target_specificity), study.estimands)


@pytest.fixture(scope="module")
def text(cube: xr.Dataset, summary: Summary, study: Study) -> str:
    return study_result.dumps(study_result.result("demo", cube, summary, study, PROVENANCE, "persistence"))


@pytest.fixture(scope="module")
def value(text: str) -> dict[str, Any]:
    return json.loads(text)


def test_the_json_has_every_estimate_and_every_level(value: dict[str, Any], summary: Summary) -> None:
    assert value["question"] and value["replicates"] == 4 and value["minutes"] == 15.6 and value["date"] == "2000-01-31"
    assert len(value["estimates"]) == len(summary.estimates) and len(value["levels"]) == len(summary.levels)
    for written, estimate in zip(value["estimates"], summary.estimates, strict=True):
        assert list(written) == list(vars(estimate))
        for name, number in vars(estimate).items():
            if isinstance(number, float):
                assert (
                    written[name] is None if math.isnan(number) else float(written[name]) == pytest.approx(number, 1e-5)
                )
    for written, row in zip(value["levels"], summary.levels, strict=True):
        assert written["arm"] == row.arm and written["missing"] == row.missing
        assert list(written["subgroups"]) == ["light", "dark"]
        auc = row.subgroups["light"]["auc"]
        assert written["subgroups"]["light"]["auc"]["replicates"] == auc.replicates


def test_the_json_is_deterministic_rounded_and_names_no_folder(
    text: str, cube: xr.Dataset, summary: Summary, study: Study, tmp_path: Path
) -> None:
    again = study_result.dumps(study_result.result("demo", cube, summary, study, PROVENANCE, "persistence"))
    assert again == text == study_result.dumps(json.loads(text))
    assert "NaN" not in text and "Infinity" not in text and not re.search(r'"[^"]*(^|[\s"=])/\w', text)
    for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text):
        assert float(number) == float(f"{float(number):.{study_result.DIGITS}g}") or float(number) == 15.6


def test_what_is_missing_is_null_a_dash_and_counted(value: dict[str, Any]) -> None:
    missing = [row for row in value["levels"] if any(row["missing"].values())]
    assert {why for row in missing for why, count in row["missing"].items() if count} == {"not run", "diverged"}
    assert any(estimate["value"] is None for estimate in value["estimates"]) or any(
        estimate["low"] is None for estimate in value["estimates"]
    )
    page = pages.page(value)
    assert "nan" not in page.lower().replace("dominan", "") and "None" not in page
    assert "1 diverged" in page and "2 not run" in page
    assert "replicates left out: 1 diverged" in page  # a note of the estimates


def test_an_interval_without_end_and_an_empty_study(summary: Summary, cube: xr.Dataset, study: Study) -> None:
    from dataclasses import replace

    odd = replace(summary.estimates[0], value=math.nan, low=0.5, high=math.inf)
    empty = Summary([odd], [], summary.target_specificity)
    nowhere = stores.Provenance(None, {}, {})
    value = json.loads(study_result.dumps(study_result.result("demo", cube, empty, study, nowhere)))
    assert value["estimates"][0]["high"] == "inf" and value["minutes"] is None and value["compared"] == []
    page = pages.page(value)
    assert "> +0.500" in page and "inf" not in page and "## Levels" not in page and "![" not in page


def test_the_page_has_the_answer_and_every_number(value: dict[str, Any], summary: Summary) -> None:
    page = pages.page(value)
    heads = ["# Synthetic", "## Answer", "## Estimates", "## Scales", "## Levels"]
    assert [page.index(head) for head in heads] == sorted(page.index(head) for head in heads)
    assert " ".join(value["answer"].split()) in " ".join(page.split())
    for estimate in summary.estimates:
        assert estimate.name in page and estimate.verdict in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == len(summary.estimates) + len(summary.scales) + len(summary.levels) + 3 * 2
    assert len({line.count("|") for line in rows[: len(summary.estimates) + 2]}) == 1
    assert "15.6" not in page and "16 minutes of computing" in page and "jax 1, cpu, 1 thread (96 arms)" in page
    assert all(len(line) <= markdown.WIDTH or line.startswith(("|", "!", "1", "2", "3")) for line in page.splitlines())


def test_only_finished_stores_have_a_result(cube: xr.Dataset, summary: Summary, study: Study, tmp_path: Path) -> None:
    store = tmp_path / "demo-0123"
    assert make.write_result(store, cube, summary, study, [], tmp_path / "out").startswith("no result: 2 arms")
    smoke = cube.assign_attrs(overrides={"smoke": True})
    assert make.write_result(store, smoke, summary, study, [], tmp_path / "out").startswith("no result: a smoke run")
    assert not (tmp_path / "out").exists()


def test_a_finished_store_leaves_result_page_and_figure(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "provenance", lambda store, cube: PROVENANCE)
    cube = synthetic_cube(replicates=3, subjects=60)
    summary = summary_of(measure(cube, study.evaluation.target_specificity), study.estimands)
    drawn = [tmp_path / "forest.png", tmp_path / "forest.svg"]
    for file in drawn:
        file.write_bytes(b"a picture")
    make.write_result(tmp_path / "demo-0123", cube, summary, study, drawn, tmp_path / "results")
    make.write_pages(tmp_path)
    made = {file.name for file in (tmp_path / "results").iterdir()}
    across = {f"{name}.{end}" for name in pages.OTHERS[1:] for end in ("json", "md")}
    assert made == {"demo.json", "demo.md", "demo.png"} | across
    value = json.loads((tmp_path / "results" / "demo.json").read_text(encoding="utf-8"))
    assert value["figure"] == "forest" and "demo.png" in (tmp_path / "results" / "demo.md").read_text(encoding="utf-8")
    make.write_result(tmp_path / "demo-0123", cube, summary, study, [], tmp_path / "results")
    assert not (tmp_path / "results" / "demo.png").exists()


def test_the_gallery_says_what_has_not_been_run(value: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(STUDY.read_text(encoding="utf-8"), encoding="utf-8")
    digest = load_study(tmp_path / "demo.toml").digest
    none = pages.gallery(tmp_path, {})
    assert (
        "## Figures" in none and "Does every figure draw?" in none and "has not been run" in none and "seed 7" in none
    )
    assert "24 cells" in none and "144 arms" in none
    stale = pages.gallery(tmp_path, {"demo": value})
    assert "has not been run with this version yet" in stale and "results/demo.md" in stale
    current = pages.gallery(tmp_path, {"demo": value | {"digest": digest}})
    assert "has not been run" not in current and "results/demo.png" in current and "16 minutes" in current
    assert value["answer"].split()[0] in current


def test_a_damaged_result_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    for damage in ("{", "[]", '{"format": 0}'):
        (tmp_path / "results" / "demo.json").write_text(damage)
        with pytest.raises(InputError, match=r"demo\.json"):
            pages.read(tmp_path / "results")
    assert make.main(["--pages", "--out", str(tmp_path)]) == 2 and "demo.json" in capsys.readouterr().err


def test_committed_pages_are_current() -> None:
    found = pages.read()
    for name, value in found.items():
        written = (pages.RESULTS / f"{name}.md").read_text(encoding="utf-8")
        assert written == pages.page(value), "run python -m paper.make --pages"
        assert study_result.dumps(value) == (pages.RESULTS / f"{name}.json").read_text(encoding="utf-8")
        assert bool(value["figure"]) == (pages.RESULTS / f"{name}.png").is_file()
    assert {file.stem for file in pages.RESULTS.glob("*.md")} - {*pages.OTHERS} == set(found)


@pytest.mark.slow
def test_the_committed_gallery_is_current() -> None:
    written = pages.GALLERY.read_text(encoding="utf-8")
    assert written == pages.gallery(pages.STUDIES, pages.read()), "run python -m paper.make --pages"
    for link in re.findall(r"\]\(([^)#]+)\)", written):
        assert (pages.GALLERY.parent / link).exists(), link


def test_results_are_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert "/results/" in ignored and not {"results/", "results", "paper/results/", "paper/"} & set(ignored)
