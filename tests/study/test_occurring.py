"""That components fit each other is asked of the conditions that occur, not of a base condition that no arm uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from biasprop.component import InputError
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.study import Study

SMALL = (Path(__file__).parents[1] / "torture" / "small.toml").read_text()
PROBE = '  { name = "probe", set = { "finetuning.protocol" = { kind = "linear_probe", draws = 1 } } },\n'
FULL_ONLY = SMALL.replace(PROBE, "")
COHORTS = SMALL.replace(
    "[factors.labels]", '[factors.size]\nkey = "pretraining.cohort"\nlevels = [400, 800]\n[factors.labels]'
).replace('at = { labels = 32, protocol = "full" }', 'at = { labels = 32, protocol = "full", size = 800 }')
ENCODERS = SMALL.replace(
    "[factors.labels]",
    '[factors.encoder]\nkey = "encoder"\nlevels = [{ kind = "vit", patch = 4, width = 8, depth = 1 }, '
    '{ kind = "mixer", patch = 4, width = 8, depth = 1 }]\n[factors.labels]',
).replace('at = { labels = 32, protocol = "full" }', 'at = { labels = 32, protocol = "full", encoder = "vit" }')

Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A function that loads a study's text with ``--set``."""

    def loaded(text: str, *assignments: str, **more: bool) -> Study:
        file = tmp_path / "small.toml"
        file.write_text(text)
        return load_study(file, set=assignments, **more)

    return loaded


@pytest.mark.parametrize(
    ("text", "assignment", "smoke"),
    [
        (FULL_ONLY, "finetuning.mitigation=group_dro", False),  # the base protocol is a linear probe
        (FULL_ONLY, "finetuning.mitigation=group_dro", True),
        (COHORTS, "pretraining.schedule.batch=300", False),  # the base cohort has 200 subjects
        (ENCODERS, "pretraining.objective=denoising", False),  # the base encoder is linear, without tokens
        (ENCODERS, "pretraining.objective=denoising", True),
    ],
)
def test_what_no_condition_that_occurs_has_is_no_problem(text: str, assignment: str, smoke: bool, load: Load) -> None:
    study = load(text, assignment, smoke=smoke)
    assert design.layout(study).shape == design.layout(load(text, smoke=smoke)).shape
    assert len(design.arms(study)) == len(design.arms(load(text, smoke=smoke)))


def test_a_base_condition_of_the_file_need_not_fit_itself(load: Load) -> None:
    """In pretraining: batches larger than the cohort, an encoder that cannot read the images."""
    small = COHORTS.replace("cohort = 200", "cohort = 16").replace("batch = 16\n\n[fine", "batch = 32\n\n[fine")
    assert {int(cell.condition.pretraining.cohort) for cell in design.cells(load(small))} == {400, 800}
    identity = ENCODERS.replace('kind = "linear"\nwidth = 4', 'kind = "identity"').replace(
        "reconstruction", "denoising"
    )
    assert design.layout(load(identity)).shape == (2, 2, 2, 2, 2)


@pytest.mark.parametrize(
    ("text", "assignment", "said"),
    [
        (
            SMALL,
            "finetuning.mitigation=group_dro",
            "--set finetuning.mitigation=group_dro: finetuning.mitigation: group_",
        ),
        (COHORTS, "pretraining.schedule.batch=500", r"factors\.size\.levels\[0\]: .*batch: is 500; .* cohort, 400"),
        (ENCODERS, "pretraining.objective=masked", "mixer"),
    ],
)
def test_what_some_condition_has_is_a_problem(text: str, assignment: str, said: str, load: Load) -> None:
    with pytest.raises(InputError, match=said) as raised:
        load(text, assignment)
    assert len(raised.value.problems) == 1


def test_a_key_inside_a_table_that_every_level_sets_has_no_effect(load: Load) -> None:
    with pytest.raises(InputError, match=r"draws=3: has no effect, .* the factor protocol sets finetuning\.protocol;"):
        load(SMALL, "finetuning.protocol.draws=3")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("finetuning.task.disease=x", r"finetuning\.task\.disease: gaussian has no disease 'x'; allowed: blob"),
        ("finetuning.task.diseas=x", r"finetuning\.task\.diseas: there is no such key here; .*did you mean disease\?"),
        ("generator.difficulty.x=1", r"generator\.difficulty\.x: there is no such key here; allowed: kind"),
        ("pretraining.loop.x=1", r"pretraining\.loop\.x: there is no such key here"),
        ("encoder={ width = 8 }", "encoder: its kind is missing"),
    ],
)
def test_a_key_below_a_default_component_is_one_of_its_kind(assignment: str, said: str, load: Load) -> None:
    with pytest.raises(InputError, match=said):
        load(SMALL, assignment)


def test_a_default_component_takes_keys_from_the_file_options_and_levels(load: Load) -> None:
    plain, disease = load(FULL_ONLY), load(FULL_ONLY, "finetuning.task.disease=blob")
    assert disease.finetuning.task.disease == "blob" and disease.finetuning.task.kind == plain.finetuning.task.kind
    labels = '[factors.disease]\nkey = "finetuning.task.disease"\nlevels = ["blob"]\n[factors.labels]'
    level = FULL_ONLY.replace("[factors.labels]", labels)
    assert {arm.condition.finetuning.task.disease for _, arm in design.arms(load(level))} == {"blob"}
    table = FULL_ONLY.replace("[evaluation]", "[finetuning.task]\ndisease = 'blob'\n\n[evaluation]")
    assert load(table).finetuning == disease.finetuning
    probe = load(
        SMALL.replace(SMALL[SMALL.index("[factors.protocol]") : SMALL.index("[[estimands]]")], "").replace(
            ', protocol = "full"', ""
        ),
        "finetuning.protocol.draws=3",
    )
    assert (probe.finetuning.protocol.kind, probe.finetuning.protocol.draws) == ("linear_probe", 3)
