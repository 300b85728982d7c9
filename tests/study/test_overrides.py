"""`--set`, `--scale` and `--smoke`: what they do to a study's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from biasprop.encoders import ENCODERS
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.overrides import merge, override
from biasprop.study.smoke import MAX_VALUES, REPLICATES, STRUCTURE
from biasprop.study.source import parse

EXAMPLE = Path(__file__).parents[1] / "inputs" / "example.toml"


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("a.b=3", ("a", "b"), 3),
        ("a.b = 3e-4", ("a", "b"), 3e-4),
        ("a.b=true", ("a", "b"), True),
        ('a."b c".d="x = y"', ("a", "b c", "d"), "x = y"),
        ("a.b=some words", ("a", "b"), "some words"),
        ("a.b=[1, 2]", ("a", "b"), [1, 2]),
        ("a.b={ light = 1.0 }", ("a", "b"), {"light": 1.0}),
        ("list.1.x=5", ("list", 1, "x"), 5),
    ],
)
def test_override_reads_toml_or_text(assignment: str, path: tuple, value: Any) -> None:
    table: dict[str, Any] = {"list": [{}, {"x": 1}]}
    assert override(table, assignment) == (path, value)
    for part in path:
        table = table[part]
    assert table == value


@pytest.mark.parametrize("kind", [kind for kind, cls in ENCODERS.items() if "width" in cls.model_fields])
def test_a_smoke_run_of_another_kind_has_its_small_numbers(kind: str) -> None:
    study = load_study(EXAMPLE, set=[f"encoder.kind={kind}", "encoder.width=24"], smoke=True)
    given = study.encoder.model_dump()
    assert given.pop("kind") == kind and given.pop("width") == 24
    given.pop("normalisation", None)
    assert given == {name: STRUCTURE[name] for name in given}


def test_a_key_of_a_component_given_by_name_is_set_inside_it() -> None:
    study = load_study(EXAMPLE, set=["pretraining.objective.temperature=0.5"])
    assert study.pretraining.objective.kind == "contrastive"
    assert study.pretraining.objective.temperature == 0.5


def test_a_scale_is_merged_table_by_table() -> None:
    study = load_study(EXAMPLE, scale="paper")
    assert (study.replicates, study.pretraining.cohort) == (20, 100_000)
    assert study.pretraining.shares == {"light": 0.5, "dark": 0.5}


def test_set_is_applied_after_the_scale() -> None:
    assert load_study(EXAMPLE, set=["pretraining.cohort=7777"], scale="paper").pretraining.cohort == 7777


def test_merge_keeps_a_component_of_the_same_kind_and_replaces_another() -> None:
    base = {"a": {"kind": "x", "p": 1, "q": 2}, "b": "x", "c": 1}
    assert merge(base, {"a": {"p": 5}}) == base | {"a": {"kind": "x", "p": 5, "q": 2}}
    assert merge(base, {"a": {"kind": "y", "r": 5}}) == base | {"a": {"kind": "y", "r": 5}}
    assert merge(base, {"b": {"p": 5}}) == base | {"b": {"kind": "x", "p": 5}}


def test_lines_are_found_inside_arrays_tables_and_inline_tables() -> None:
    source = parse('a = 1\n[b."c d"]\ne = [\n  1,\n  { f = """\n""", g = 2 },\n]\n[[h]]\n[[h]]\n[h.i]\nj = 1\n', "x")
    expected = {
        ("a",): 1,
        ("b", "c d", "e"): 3,
        ("b", "c d", "e", 0): 4,
        ("b", "c d", "e", 1, "f"): 5,
        ("b", "c d", "e", 1, "g"): 6,
        ("h", 0): 8,
        ("h", 1): 9,
        ("h", 1, "i", "j"): 11,
    }
    assert {location: source.line(location) for location in expected} == expected
    assert source.line(("h", 1, "i", "nowhere", 3)) == 10


def test_smoke_makes_every_size_small_and_keeps_factors_levels_and_estimands() -> None:
    study, small = load_study(EXAMPLE), load_study(EXAMPLE, smoke=True)
    assert small.replicates == REPLICATES
    assert small.generator.spec["image"].shape == (STRUCTURE["size"], STRUCTURE["size"], 3)
    assert small.encoder.width == STRUCTURE["width"]
    assert small.evaluation.test == MAX_VALUES["test"]
    assert small.pretraining.cohort == MAX_VALUES["cohort"]
    assert small.finetuning.protocol.draws == MAX_VALUES["draws"]
    assert small.generator.subgroups == study.generator.subgroups
    assert list(small.factors) == list(study.factors)
    assert [e.name for e in small.estimands] == [e.name for e in study.estimands]
    labels = [level.label for level in small.levels("labels")]
    assert labels == sorted(set(labels)) and len(labels) == 4 and max(labels) <= 64
    assert small.estimands[0].at == {"labels": labels[1], "protocol": "full"}
    assert small.estimands[2].denominator == {"protocol": "linear_probe", "labels": labels[3]}
    for one, other in zip(study.levels("pretraining"), small.levels("pretraining"), strict=True):
        assert one.label == other.label


def test_smoke_reaches_components_that_only_a_level_names() -> None:
    small = load_study(EXAMPLE, smoke=True)
    for cell in design.cells(small):
        for arm in cell.arms:
            protocol = arm.condition.finetuning.protocol
            if protocol.adapts_encoder:
                assert (
                    protocol.recipe(cell.condition.pretraining.objective.trains).schedule.steps <= MAX_VALUES["steps"]
                )


def test_smoke_draws_no_more_label_sets_than_the_study() -> None:
    draws = [
        {arm.levels["protocol"]: arm.draws for _, arm in design.arms(load_study(EXAMPLE, smoke=smoke))}
        for smoke in (False, True)
    ]
    assert draws == [{"linear_probe": 4, "full": 1}, {"linear_probe": 2, "full": 1}]


def test_smoke_gives_every_study_one_structure() -> None:
    other = load_study(EXAMPLE, smoke=True, set=["title=Other"])
    larger = load_study(EXAMPLE, scale="paper", smoke=True)
    assert larger.pretraining == other.pretraining == load_study(EXAMPLE, smoke=True).pretraining


def test_what_is_set_stands_even_in_smoke() -> None:
    small = load_study(EXAMPLE, smoke=True, set=["pretraining.cohort=6000", "finetuning.prevalence=0.3"])
    assert (small.pretraining.cohort, small.finetuning.prevalence) == (6000, 0.3)
