"""The command measures a small study, and refuses what it cannot."""

from __future__ import annotations

import json

import pytest

from biasprop.bench import __main__ as bench
from tests.source_tree import ROOT

STUDY = str(ROOT / "studies" / "skin_tone.toml")


@pytest.mark.slow
def test_a_small_study(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--smoke", "--quick", "--repeats", "1", "--only", "stages", "--only", "ceilings", "--json", "-q"]
    assert bench.main([STUDY, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    stages = {row["stage"]: row for row in found["stages"]}
    assert list(stages) == ["render", "view", "pretraining step", "fine-tuning step", "probe", "evaluation"]
    for row in stages.values():
        assert 0 < row["best_s"] <= row["median_s"] and row["flops"] > 0
        assert row["achieved"] == pytest.approx(row["products_s"] / row["best_s"], rel=1e-6)
    assert set(found["roles"]) == {"stage", "forward", "input gradient", "weight gradient"}
    assert sum(row["times"] * row["flops"] for row in found["ceilings"]) == pytest.approx(
        stages["pretraining step"]["flops"]
    )
    assert found["memory"]["process"] > 1e8 and found["machine"]["before"]["cores"] >= 1

    from biasprop.bench.tables import text

    assert "fine-tuning step" in text(found) and "weight gradient" in text(found)


@pytest.mark.slow
def test_a_study_of_several_subgroups_and_a_named_disease(capsys: pytest.CaptureFixture[str]) -> None:
    study = str(ROOT / "tests" / "generators" / "chest_film.toml")
    words = ["--quick", "--repeats", "1", "--only", "stages", "--json", "-q", "--set", "generator.size=16"]
    assert bench.main([study, *words]) == 0  # its factor names the diseases
    stages = {row["stage"]: row for row in json.loads(capsys.readouterr().out)["stages"]}
    assert stages["evaluation"]["flops"] > 0 and stages["render"]["best_s"] > 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["nowhere.toml"], "there is no such file"),
        ([STUDY, "--only", "stage"], "did you mean"),
        ([STUDY, "--repeats", "0"], "has to be 1 to 1000"),
        ([STUDY, "--width", "-1"], "--width -1"),
    ],
)
def test_bad_input(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(words) == 2
    assert said in capsys.readouterr().err
