"""What every shipped study file says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from biasprop.study import design
from biasprop.study.load import load_study

STUDIES = Path(__file__).parents[2] / "studies"
SHIPPED = sorted(STUDIES.glob("*.toml"))
FULL = "_full"
MAX_CELLS = {32: 36, 40: 36, 48: 18, 64: 16}
"""Largest size of images -> pretrained cells of a study as it is shipped."""


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_its_head_says_how_it_is_run_and_whether_it_tests_anything(file: Path) -> None:
    schema, command, empty, stands, *_ = file.read_text(encoding="utf-8").splitlines()
    assert schema.startswith("#:schema ")
    assert command.startswith(f"# python -m biasprop.run studies/{file.name}    ")
    assert any(unit in command for unit in ("minute", "hour")), "it says how long it takes"
    assert empty == "#" and stands.startswith("# Exploratory" if load_study(file).exploratory else "# Confirmatory")


@pytest.mark.parametrize("file", [file for file in SHIPPED if FULL not in file.stem], ids=lambda file: file.stem)
def test_as_shipped_it_has_few_pretrained_cells(file: Path) -> None:
    study = load_study(file)
    if study.generator.kind == "gaussian":
        return  # cells of a second
    cells = [cell for cell in design.cells(study) if cell.condition.pretraining.objective.trains]
    assert len(cells) <= next(most for size, most in MAX_CELLS.items() if study.generator.size <= size)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_its_levels_differ_with_small_numbers_too(file: Path) -> None:
    small, study = load_study(file, smoke=True), load_study(file)
    assert [len(small.levels(name)) for name in small.factors] == [len(study.levels(name)) for name in study.factors]


@pytest.mark.parametrize("name", ["skin_tone", "paediatric_pneumonia"])
def test_it_can_be_tried_with_small_numbers_whatever_symmetries_its_images_have(name: str) -> None:
    small = load_study(STUDIES / f"{name}.toml", smoke=True)
    (full,) = [level for level in small.levels("protocol") if level.label == "full"]
    views = [small.with_levels({"protocol": full}).finetuning_condition().finetuning.protocol.pretrained.augmentation]
    views.append(small.pretraining_condition().pretraining.objective.augmentation)
    assert {(view.flip, view.transpose) for view in views} == {(0.5, 0.5) if name == "skin_tone" else (0.0, 0.0)}


@pytest.mark.parametrize("file", [file for file in SHIPPED if FULL in file.stem], ids=lambda file: file.stem)
def test_a_full_study_goes_beyond_a_shipped_one(file: Path) -> None:
    small, full = load_study(file.with_stem(file.stem.removesuffix(FULL))), load_study(file)
    assert (full.seed == small.seed) == full.exploratory == small.exploratory, "what is tested has not been seen"
    assert set(small.factors) <= set(full.factors)
    assert len(design.cells(full)) > len(design.cells(small)) or len(design.arms(full)) > len(design.arms(small))
