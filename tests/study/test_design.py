"""Factors and levels to cells, arms and the cube's layout."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from biasprop.component import InputError
from biasprop.hardware.memory import IMAGE_CACHE_BYTES
from biasprop.store.variables import VARIABLES
from biasprop.study import design
from biasprop.study.checks.factors import RESERVED
from biasprop.study.conditions import Evaluation, Pretraining
from biasprop.study.load import load_study
from biasprop.study.study import Study

EXAMPLE = Path(__file__).parents[1] / "inputs" / "example.toml"


@pytest.fixture(scope="module")
def study() -> Study:
    """The example: 4 pretraining conditions, 4 budgets, 2 protocols, 6 replicates."""
    return load_study(EXAMPLE)


def test_cells_run_replicate_by_replicate_with_all_their_arms(study: Study) -> None:
    cells = design.cells(study)
    assert [cell.name for cell in cells[:5]] == [
        "all light, replicate 0",
        "50/50, replicate 0",
        "all dark, replicate 0",
        "scratch, replicate 0",
        "all light, replicate 1",
    ]
    assert len(cells) == 24 and all(len(cell.arms) == 8 for cell in cells)
    assert cells == design.cells(study)
    assert len(design.arms(study)) == 192


def test_an_arm_has_the_conditions_its_levels_say(study: Study) -> None:
    for cell, arm in design.arms(study):
        assert arm.condition.finetuning.labels == arm.levels["labels"]
        assert arm.condition.finetuning.protocol.kind == arm.levels["protocol"]
        assert arm.draws == arm.condition.finetuning.protocol.draws
        if arm.levels["pretraining"] == "scratch":
            assert cell.condition.pretraining.objective.kind == "scratch"
        if arm.levels["pretraining"] == "all dark":
            assert cell.condition.pretraining.shares == {"light": 0.0, "dark": 1.0}


def test_arms_whose_pretraining_is_the_same_share_a_cell(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().split("[factors.pretraining]")[0]
    text += '[factors.setting]\nlevels = [\n  { name = "even", set = { "finetuning.prevalence" = 0.5 } },\n'
    text += '  { name = "rare", set = { "finetuning.prevalence" = 0.2 } },\n]\n'
    text += '[[estimands]]\nname = "g"\nkind = "gap"\nprimary = true\nsubgroups = ["light", "dark"]\n'
    text += 'at = { setting = "rare" }\n'
    path = tmp_path / "setting.toml"
    path.write_text(text)
    cells = design.cells(load_study(path))
    assert [cell.name for cell in cells[:2]] == ["base, replicate 0", "base, replicate 1"]
    assert [arm.levels["setting"] for arm in cells[0].arms] == ["even", "rare"]


COMPOSITION = """
[factors.composition]
levels = [
  { name = "dark 0", set = { "finetuning.shares" = { light = 1.0, dark = 0.0 } } },
  { name = "dark 1", set = { "finetuning.shares" = { light = 0.0, dark = 1.0 } } },
  { name = "as pretrained", set = { "finetuning.skew_matched" = true } },
]

[factors.mitigation]
levels = [
  { name = "none", set = { "finetuning.mitigation" = "none" } },
  { name = "weights", set = { "finetuning.mitigation" = { kind = "reweighting", balanced = "subgroup" } } },
]

[factors.labels]"""


@pytest.mark.parametrize("smoke", [False, True])
def test_labels_may_come_from_whomever_the_encoder_saw(smoke: bool, study: Study, tmp_path: Path) -> None:
    path = tmp_path / "composed.toml"
    one = 'protocol = "full", composition = "as pretrained", mitigation = "none" }'
    path.write_text(
        EXAMPLE.read_text().replace("[factors.labels]", COMPOSITION).replace('200, protocol = "full" }', f"200, {one}")
    )
    composed = load_study(path, smoke=smoke)
    for cell, arm in design.arms(composed):
        drawn = arm.condition.finetuning
        stated = {"dark 0": {"light": 1.0, "dark": 0.0}, "dark 1": {"light": 0.0, "dark": 1.0}}
        expected = stated.get(str(arm.levels["composition"]), cell.condition.pretraining.shares)
        assert drawn.shares == expected and not drawn.skew_matched
        assert drawn.mitigation.kind == {"none": "none", "weights": "reweighting"}[str(arm.levels["mitigation"])]
    plain = load_study(EXAMPLE, smoke=smoke)
    assert "skew_matched" not in plain.finetuning.model_dump() and "mitigation" not in plain.finetuning.model_dump()


def test_only_keeps_levels_and_never_moves_the_rest(study: Study) -> None:
    only = design.parse_choices(study, ["pretraining=all dark", "labels=50", "labels = 5000.0"])
    assert only == {"pretraining": ["all dark"], "labels": [50, 5000]}
    kept = design.cells(study, only)
    whole = {(cell.name, arm.name): (cell.condition, arm.condition) for cell, arm in design.arms(study)}
    assert len(kept) == 6 and all(len(cell.arms) == 4 for cell in kept)
    for cell in kept:
        for arm in cell.arms:
            assert whole[cell.name, arm.name] == (cell.condition, arm.condition)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("labels", "has to be FACTOR=LEVEL"),
        ("label=50", "there is no factor 'label'; allowed: pretraining, labels, protocol; did you mean labels?"),
        ("labels=51", "labels has no level '51'"),
        ("protocol=ful", "did you mean full?"),
    ],
)
def test_only_refuses_what_the_study_lacks(study: Study, choice: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        design.parse_choices(study, [choice])
    assert said in str(raised.value)


def test_layout_has_the_studys_dims_and_sizes(study: Study) -> None:
    layout = design.layout(study)
    assert layout.dims == ("pretraining", "labels", "protocol", "replicate")
    assert layout.shape == (4, 4, 2, 6)
    assert layout.factor("labels").labels == [50, 200, 1000, 5000]
    assert layout.subgroups == ("light", "dark")
    assert layout.latents == ("ita", "severity")
    assert (layout.test, layout.selection, layout.calibration) == (2000, 1000, 1000)
    assert layout.draws == max(arm.draws for _, arm in design.arms(study))


def test_layout_says_share_and_objective_of_each_mix(study: Study) -> None:
    coords = design.layout(study).coords
    dims, shares = coords["share"]
    assert dims == ("pretraining", "subgroup")
    assert shares[:3] == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    assert all(math.isnan(share) for share in shares[3])
    assert coords["objective"] == (("pretraining",), ["contrastive"] * 3 + ["scratch"])
    assert coords["cohort_size"] == (("pretraining",), [study.pretraining.cohort] * 4)
    assert coords["label_share"] == (("subgroup",), [0.5, 0.5])


def test_layout_says_who_is_labelled(tmp_path: Path) -> None:
    path = tmp_path / "composed.toml"
    text = EXAMPLE.read_text().replace("[factors.labels]", COMPOSITION)
    one = 'protocol = "full", composition = "dark 0", mitigation = "none" }'
    path.write_text(text.replace('200, protocol = "full" }', f"200, {one}"))
    dims, shares = design.layout(load_study(path)).coords["label_share"]
    assert dims == ("composition", "subgroup")
    assert shares[:2] == [[1.0, 0.0], [0.0, 1.0]] and all(math.isnan(share) for share in shares[2])
    matched = '  { name = "as pretrained", set = { "finetuning.skew_matched" = true } },\n'
    again = '\n[factors.again]\nkey = "finetuning.skew_matched"\nlevels = [true, false]\n\n[factors.labels]'
    twice = text.replace(matched, "").replace("\n[factors.labels]", again)
    path.write_text(twice.replace('200, protocol = "full" }', f'200, again = "false", {one}'))
    dims, unknown = design.layout(load_study(path)).coords["label_share"]
    assert dims == ("subgroup",) and all(math.isnan(share) for share in unknown), "two factors move them"


def test_a_cohort_that_another_factor_moves_has_no_one_size_a_mix(tmp_path: Path) -> None:
    path = tmp_path / "sized.toml"
    sized = '[factors.size]\nkey = "pretraining.cohort"\nlevels = [10000, 20000]\n\n[factors.labels]'
    text = EXAMPLE.read_text().replace("[factors.labels]", sized)
    path.write_text(text.replace('200, protocol = "full" }', '200, size = 10000, protocol = "full" }'))
    sizes = design.layout(load_study(path)).coords["cohort_size"][1]
    assert all(math.isnan(size) for size in sizes)


def test_no_factor_can_have_the_name_of_a_coordinate_or_variable_of_the_cube(study: Study) -> None:
    assert {*design.layout(study).coords, *VARIABLES, "replicate", "draw", "subgroup", "subject"} <= RESERVED


def test_the_study_file_says_how_many_images_are_cached() -> None:
    assert f"{IMAGE_CACHE_BYTES // 10**6} MB" in str(Pretraining.model_fields["cohort"].description)


def test_content_of_a_level_is_what_it_means_not_how_it_is_written(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE.read_text().replace('["linear_probe", "full"]', '[{ kind = "linear_probe" }, "full"]'))
    assert design.layout(load_study(path)).factors == design.layout(study).factors


def test_more_levels_and_replicates_only_append(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE.read_text().replace("1000, 5000]", "1000, 5000, 9000]"))
    grown = load_study(path, replicates=8)
    before, after = design.layout(study), design.layout(grown)
    assert after.factor("labels").levels[:4] == before.factor("labels").levels
    assert after.shape == (4, 5, 2, 8)


@pytest.mark.parametrize(
    ("labels", "train", "validation"),
    [(4, 2, 2), (9, 7, 2), (10, 8, 2), (50, 40, 10), (200, 160, 40), (5_000, 4_000, 1_000), (20_000, 19_000, 1_000)],
)
def test_a_label_budget_includes_validation(labels: int, train: int, validation: int) -> None:
    assert Evaluation().split(labels) == (train, validation)


def test_the_validation_set_has_a_largest_size(study: Study) -> None:
    assert Evaluation(selection=16).split(200) == (184, 16)
    arm = design.cells(study)[0].arms[0]
    assert arm.condition.train_count == arm.condition.evaluation.split(arm.condition.finetuning.labels)[0]
