"""`python -m paper.tuning`: known numbers, the rule, blindness, what is undefined, and rounds that are none."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.status import Status
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.study import Study
from paper import pages, study_result
from paper.tuning import __main__ as tuning
from paper.tuning import readings, result, rounds
from paper.tuning.page import page
from tests.filled import fill
from tests.source_tree import ROOT
from tests.synthetic import synthetic_cube

HERE = Path(__file__).parent
TEXT = (HERE / "round.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study() -> Study:
    (study,) = rounds.load(HERE)
    return study


def reading(study: Study, z: Any) -> readings.Reading:
    """A reading whose z [setting, replicate] is the same in every arm."""
    levels = {name: [level.label for level in study.levels(name)] for name in study.factors}
    values = xr.DataArray(np.asarray(z, float), dims=("setting", "replicate"))
    arms = xr.DataArray(np.zeros([len(labels) for labels in levels.values()]), levels, list(levels))
    z = (arms + values).transpose(*levels, "replicate")
    counts = xr.DataArray([0, 0, 1], dims="setting")
    return readings.Reading(z, xr.full_like(z, 2.0), 10 * values, {"diverged": counts, "failed": 0 * counts})


def text_of(study: Study, reading: readings.Reading) -> str:
    return study_result.dumps(result.result([result.round_result(study, reading)]))


def test_known_numbers(study: Study) -> None:
    value = json.loads(text_of(study, reading(study, [[1, 2, 3], [1.5, 2.6, 3.7], [0, np.nan, 1]])))
    (one,) = value["rounds"]
    arms = [{"protocol": protocol, "labels": labels} for protocol in ("linear_probe", "full") for labels in (50, 200)]
    assert [column["arm"] for column in one["columns"]] == [*arms, {}]
    assert all((column["best"], column["chosen"]) == (1, 1) for column in one["columns"])
    first, second, third = one["settings"]
    assert [entry["mean"] for entry in first["columns"]] == [2.0] * 5
    for entry in second["columns"]:
        assert entry == {"z": [1.5, 2.6, 3.7], "mean": 2.6, "n": 3, "difference": 0.6, "se": 0.057735, "pairs": 3}
    for entry in third["columns"]:
        assert entry == {"z": [0, None, 1], "mean": 0.5, "n": 2, "difference": -1.5, "se": 0.5, "pairs": 2}
    assert third["seconds"] == {"pretraining": 5.0, "finetuning": [2.0] * 4} and third["diverged"] == 1
    text = page(value)
    assert "## Normalisation of images" in text and "Rule, stated before the round ran: the highest mean" in text
    assert "contrastive 3 of at most 60 (vit 3, mixer 0)" in " ".join(text.split()) and "busy machine" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| 2.600 best | +0.600 +- 0.058 (n 3) |" in rows[3]
    assert "| 0.500 (2 of 3) | -1.500 +- 0.500 (n 2) |" in rows[4] and rows[4].endswith("| 1 | 0 |")
    assert rows[5].startswith("| chosen | cohort |") and len({row.count("|") for row in rows}) == 1


@pytest.mark.parametrize(
    ("z", "best", "chosen"),
    [
        ([[1, 2, 3], [1.2, 2.3, 3.4]], 1, 1),  # ahead by .3 +- .058
        ([[1, 2, 3], [1.5, 1.5, 3.3]], 1, 0),  # ahead by .1 +- .31: the reference
        ([[1, 2, 3], [0, 1, 2]], 0, 0),
        ([[1, np.nan, 3], [0, 1, 2]], 1, 1),  # the reference lacks a replicate
        ([[1, 2, 3], [9, np.nan, 9]], 0, 0),
        ([[1], [2]], 1, None),  # no standard error
        ([[2], [1]], 0, 0),
        ([[np.nan, 1], [1, np.nan]], None, None),
    ],
)
def test_the_rule(z: list[list[float]], best: int | None, chosen: int | None) -> None:
    assert result.best(np.array(z, float)) == best and result.chosen(np.array(z, float)) == chosen


def test_what_is_undefined_is_null_and_a_dash(study: Study) -> None:
    text = text_of(study, reading(study, np.full((3, 1), np.nan)))
    (one,) = json.loads(text)["rounds"]
    assert one["settings"][1]["columns"][0] == dict.fromkeys(("mean", "difference", "se")) | {
        "z": [None], "n": 0, "pairs": 0
    }  # fmt: skip
    row = next(line for line in page(json.loads(text)).splitlines() if line.startswith("| cohort"))
    assert row.startswith("| cohort | - (0 of 1) | - (n 0) |") and "nan" not in text.lower()


def cube_of(study: Study, **changed: Any) -> xr.Dataset:
    factors = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return synthetic_cube(factors, study.replicates, subjects=40, calibration=40, **changed)


@pytest.mark.parametrize("subgroups", [("light", "dark"), ("a", "b", "c")])
def test_swapping_the_subgroups_changes_no_byte(study: Study, subgroups: tuple[str, ...]) -> None:
    cube = cube_of(study, subgroups=subgroups, diverged=2)
    order = [*range(1, len(subgroups)), 0]
    swapped = cube.isel(subgroup=order).assign_coords(subgroup=cube["subgroup"])
    assert not np.array_equal(swapped["score"], cube["score"], equal_nan=True)
    texts = [text_of(study, readings.reading_of(study, one, [])) for one in (cube, swapped)]
    assert texts[0] == texts[1] and not re.search(r"light|dark|subgroup", texts[0])
    assert page(json.loads(texts[0])) == page(json.loads(texts[1]))


def test_z_is_that_of_the_mean_over_subgroups(study: Study) -> None:
    from biasprop.metrics import auc, z_of_auc

    cube = cube_of(study, diverged=1)
    found = readings.reading_of(study, cube, [])
    arm = {"setting": "cohort", "labels": 200, "protocol": "linear_probe", "replicate": 1}
    here = cube.sel(arm).transpose(..., "draw", "subgroup", "subject")
    z, _ = z_of_auc(auc(here["score"].values, here["label"].values), 40, 20)
    assert np.isclose(found.z.sel(arm), z.mean()) and found.z.dims == (*study.factors, "replicate")
    lost = {"setting": "fixed", "labels": 50, "protocol": "linear_probe"}
    assert np.isnan(found.z.sel(lost)[-1]) and np.isfinite(found.z.sel(lost)[:-1]).all()
    assert found.lacks["diverged"].values.tolist() == [1, 0, 0] and not found.lacks["failed"].any()
    assert np.isnan(found.pretraining).all() and (found.finetuning == 1.5).all()


def test_only_one_module_reads_cubes_of_a_search() -> None:
    reads = re.compile(r"open_cube|open_study_cube|stored_study_cube|import measure|subgroup=")
    files = {file.name for file in (ROOT / "paper" / "tuning").glob("*.py") if reads.search(file.read_text("utf-8"))}
    assert files == {"readings.py", "confirmation.py"}  # the second refuses a search, see test_confirmation


def test_a_store_becomes_a_table(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, cells = study.store(tmp_path / "stores"), design.cells(study)
    given = ["--rounds", str(HERE), "--results", str(tmp_path / "stores"), "--out", str(tmp_path)]
    assert tuning.main(given) == 2 and "no round is finished" in capsys.readouterr().err
    fill(study, store, cells[:-1], [Status.DIVERGED, Status.FAILED])
    assert tuning.main(given) == 2 and "4 of 36 arms have not run" in capsys.readouterr().err
    assert not list(tmp_path.glob("tuning.*"))
    fill(study, store, cells[-1:])
    opened = Store.open(store)
    for seconds in (90.0, 30.0):
        opened.log({"event": "cells", "cells": [cells[0].name], "seconds": {"pretrain": seconds}})
    assert tuning.main(given) == 0
    text = (tmp_path / "tuning.json").read_text(encoding="utf-8")
    (one,) = json.loads(text)["rounds"]
    assert one["digest"] == study.digest and one["use"] == "search" and one["replicates"] == 3
    first = one["settings"][0]
    assert (first["diverged"], first["failed"]) == (1, 1) and first["columns"][0]["n"] == 2
    assert first["seconds"]["pretraining"] == 120.0 and one["settings"][1]["seconds"]["pretraining"] is None
    assert (tmp_path / "tuning.md").read_text(encoding="utf-8") == page(json.loads(text))
    capsys.readouterr()
    store.rename(tmp_path / "elsewhere")
    assert tuning.main(given) == 0 and "its earlier entry is kept" in capsys.readouterr().err
    assert (tmp_path / "tuning.json").read_text(encoding="utf-8") == text
    (tmp_path / "tuning.json").write_text("[]")
    assert tuning.main(given) == 2 and "tuning.json: not of format" in capsys.readouterr().err


def test_run_computes_and_prints_no_answer(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from biasprop.execution import sweep

    def run(given: Study, store: Path, **options: Any) -> list[str]:
        assert given.stem == "round" and store.parent == tmp_path and options["workers"] == 0
        return ["given up: a cell"]

    monkeypatch.setattr(sweep, "run", run)
    (tmp_path / "tuning.json").write_text(text_of(study, reading(study, np.ones((3, 2)))), encoding="utf-8")
    given = ["--rounds", str(HERE), "--results", str(tmp_path), "--out", str(tmp_path), "--workers", "0"]
    assert tuning.main([*given, "--run", "nothing"]) == 2
    assert "there is no round 'nothing'; allowed: round" in capsys.readouterr().err
    assert tuning.main([*given, "--run", "round"]) == 3
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(tmp_path / "tuning.json"), str(tmp_path / "tuning.md")]
    assert printed.err.splitlines() == [
        f"round: {study.title}",
        "round: has not been run with this file and this version of the package; its earlier entry is kept",
        "given up: a cell",
        "the same command continues",
    ]


def without(factor: str) -> Callable[[str], str]:
    return lambda text: text.replace(f"[factors.{factor}]", "[factors.recipe]").replace(f"{factor} = ", "recipe = ")


@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        (
            without("setting"),
            [r"bad\.toml:\d+: factors.recipe: is no factor of a round", r"bad\.toml:\d+: factors.setting: is missing"],
        ),
        (lambda text: text.replace("990003", "20261"), [r"bad\.toml:\d+: seed: is no seed of the search; allowed: 99"]),
        (
            lambda text: text.replace('{ "encoder.normalisation" = "cohort" }', '{ "generator.size" = 32 }'),
            [r"bad\.toml:\d+: factors.setting.levels\[1\]: generator.size is no setting"],
        ),
        (
            lambda text: text.replace(
                '{ "encoder.normalisation" = "cohort" }', '{ "pretraining.shares" = { light = 0.9, dark = 0.1 } }'
            ),
            [r"bad\.toml:\d+: factors.setting.levels\[1\]: pretraining.shares is no setting"],
        ),
        (lambda text: text.replace("width = 32", "width = true"), [r"bad\.toml:\d+: encoder.width"]),
    ],
)  # fmt: skip
def test_what_is_no_round_is_bad_input(
    change: Callable[[str], str], complaints: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text(change(TEXT), encoding="utf-8")
    assert tuning.main(["--rounds", str(tmp_path), "--results", str(tmp_path), "--out", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(complaints), lines
    for line, complaint in zip(lines, complaints, strict=True):
        assert re.search(complaint, line)


def test_settings_are_counted_once(study: Study, tmp_path: Path) -> None:
    text = TEXT.replace('"image, slower"', '"again"').replace("[50, 200]", "[100]")
    (tmp_path / "other.toml").write_text(text.replace("labels = 200", "labels = 100"), encoding="utf-8")
    (other,) = rounds.load(tmp_path)
    assert [one.content for one in rounds.settings(other)] == [one.content for one in rounds.settings(study)]
    both = [result.round_result(one, reading(one, np.ones((3, 2)))) for one in (study, other)]
    assert "contrastive 3 of at most 60 (vit 3, mixer 0)." in " ".join(page({"rounds": both}).split())
    for entry, content in zip(both[1]["settings"], "abc", strict=True):
        entry |= {"content": content, "objective": "masked", "encoder": "vit"}
    both[1]["settings"] += [both[1]["settings"][0] | {"content": str(number)} for number in range(18)]
    words = " ".join(page({"rounds": both}).split())
    assert "3 of at most 60 (vit 3, mixer 0); masked 21 of at most 20 (vit 21; **beyond the limit**)." in words


@pytest.mark.parametrize(
    ("files", "seed", "kind", "images"),
    [
        ("chest_*", 990011, "chest_film", "chest films"),
        ("ct_*", 990012, "chest_ct", "chest CT"),
        ("mri_*", 990013, "brain_mri", "brain MRI"),
    ],
)
def test_the_search_for_each_kind_of_images_has_a_limit_of_its_own(
    study: Study, files: str, seed: int, kind: str, images: str
) -> None:
    both = [result.round_result(study, reading(study, np.ones((3, 2)))) for _ in range(2)]
    both[1] |= {"use": rounds.SEEDS[seed]}
    words = " ".join(page({"rounds": both}).split())
    assert f"contrastive 3 of at most 60 (vit 3, mixer 0); {images} 3 of at most 20 (vit 3)." in words
    tried = rounds.load(names=[file.stem for file in sorted(rounds.HERE.glob(f"{files}.toml"))])
    assert {one.seed for one in tried} == {seed} and {one.generator.kind for one in tried} == {kind}
    assert len({setting.content for one in tried for setting in rounds.settings(one)}) <= 20


def test_a_folder_without_rounds_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no round"):
        rounds.load(tmp_path)


def test_no_study_has_a_seed_of_the_search() -> None:
    def seeds(folder: Path) -> set[int]:
        return {tomllib.loads(file.read_text(encoding="utf-8"))["seed"] for file in folder.glob("*.toml")}

    assert seeds(rounds.HERE) <= set(rounds.SEEDS)
    assert not seeds(ROOT / "studies") & set(rounds.SEEDS)


def test_the_committed_table_is_current() -> None:
    for file in pages.RESULTS.glob("tuning.json"):
        value = tuning.earlier(file)
        assert file.with_suffix(".md").read_text(encoding="utf-8") == page(value), "run python -m paper.tuning"
