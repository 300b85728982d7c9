"""Sampled settings: a Latin hypercube over levers, of which setting k is the base condition of replicate k alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import biasprop
from biasprop.component import InputError
from biasprop.observers import ledger
from biasprop.store.store import Store
from biasprop.study import design, plan
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.store import small

PLAIN = (Path(__file__).parents[1] / "torture" / "small.toml").read_text()
SAMPLE = """
[sample]
size = 12
seed = 3

[sample.levers]
amplitude = { key = "generator.subgroups.a.amplitude", low = 0.05, high = 0.2, scale = "log" }
prevalence = { key = "finetuning.prevalence", low = 0.2, high = 0.8 }
steps = { key = "pretraining.schedule.steps", low = 101, high = 106 }
width = { key = "encoder.width", levels = [3, 4, 6] }
"""
ENCODER = """
[sample.levers.encoder]
key = "encoder"
levels = [
  { name = "narrow", set = { encoder = { kind = "linear", width = 2 } } },
  { name = "wide", set = { encoder = { kind = "linear", width = 5 } } },
]
"""
SAMPLED = PLAIN.replace("replicates = 2", "replicates = 12") + SAMPLE
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text as a study, after replacements."""

    def loaded(*changes: tuple[str, str], text: str = SAMPLED, **options: object) -> Study:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "sampled.toml"
        path.write_text(text)
        return load_study(path, **options)  # pyright: ignore[reportArgumentType]

    return loaded


def test_every_stratum_of_every_lever_has_one_setting(load: Load) -> None:
    values = [setting.values for setting in load().settings()]
    amplitude, prevalence = (np.array([value[name] for value in values], float) for name in ("amplitude", "prevalence"))
    strata = np.log(amplitude / 0.05) / math.log(4), (prevalence - 0.2) / 0.6
    for places in strata:
        assert sorted(np.floor(12 * places).astype(int)) == list(range(12))
    assert Counter(value["steps"] for value in values) == dict.fromkeys(range(101, 107), 2)
    assert Counter(value["width"] for value in values) == {3: 4, 4: 4, 6: 4}
    assert all(float(f"{value:.4g}") == value for value in (*amplitude, *prevalence)), "what a table shows is run"


def test_a_setting_is_run_in_its_replicate_alone(load: Load) -> None:
    study = load()
    cells = design.cells(study)
    assert len(cells) == 24 and all(len(cell.arms) == 4 for cell in cells)
    for cell in cells:
        wanted = study.settings()[cell.replicate].values
        condition = cell.condition
        assert condition.generator.subgroups["a"].amplitude == wanted["amplitude"]  # pyright: ignore[reportAttributeAccessIssue]
        assert (condition.pretraining.schedule.steps, condition.encoder.width) == (wanted["steps"], wanted["width"])  # pyright: ignore[reportAttributeAccessIssue]
        assert {arm.condition.finetuning.prevalence for arm in cell.arms} == {wanted["prevalence"]}
    assert design.layout(study).shape == (2, 2, 2, 12), "settings are no dim"


def test_fewer_replicates_run_the_first_settings_of_the_same_store(load: Load) -> None:
    whole, first = load(), load(replicates=5)
    assert first.digest == whole.digest
    assert design.cells(first) == [cell for cell in design.cells(whole) if cell.replicate < 5]


def test_the_digest_depends_on_the_settings_and_not_on_how_they_are_written(load: Load) -> None:
    digest = load().digest
    for change in (("size = 12", "size = 13"), ("seed = 3\n", "seed = 4\n"), ("high = 0.2,", "high = 0.21,")):
        assert load(change).digest != digest
    assert load(("levels = [3, 4, 6]", "levels = [ 3, 4, 6,]")).digest == digest
    assert load(text=PLAIN).digest != digest and not load(text=PLAIN).settings()


def test_a_lever_may_be_inside_a_component_that_another_one_chooses(load: Load) -> None:
    study = load(text=SAMPLED + ENCODER)
    widths = {(s.values["width"], s.level.settings["encoder", "width"]) for s in study.settings()}
    assert widths == {(3, 3), (4, 4), (6, 6)}
    assert {cell.condition.encoder.width for cell in design.cells(study)} == {3, 4, 6}  # pyright: ignore[reportAttributeAccessIssue]


def test_smoke_keeps_the_levers_and_makes_their_numbers_small(load: Load) -> None:
    study = load(smoke=True)
    assert study.replicates == 2 and len(design.cells(study)) == 4
    values = [setting.values for setting in study.settings()]
    assert {value["steps"] for value in values} <= set(range(25, 51)) and {v["width"] for v in values} == {8, 16, 24}


def test_the_plan_prints_the_settings_that_are_run(load: Load, tmp_path: Path) -> None:
    study = load(replicates=3)
    lines = plan.plan(study, design.cells(study), tmp_path, 0, resolution=False).lines()
    assert lines[-5] == "settings     3, setting k in replicate k alone"
    assert lines[-4].split() == ["setting", "amplitude", "prevalence", "steps", "width"]
    assert [line.split()[0] for line in lines[-3:]] == ["0", "1", "2"]
    assert lines[-1].split()[1:] == [str(value) for value in study.settings()[2].values.values()]
    plain = load(text=PLAIN)
    assert not any("setting" in line for line in plan.plan(plain, design.cells(plain), tmp_path, 0).lines())


def test_the_cube_has_the_levers_along_the_replicates_and_grows(load: Load, tmp_path: Path) -> None:
    few, whole = load(replicates=3), load()
    names = [f"setting_{name}" for name in ("amplitude", "prevalence", "steps", "width")]
    for study in (few, whole, few):
        Store.create_or_grow(tmp_path / "store", design.layout(study), small.ATTRS)
        cube = biasprop.open_cube(tmp_path / "store")
        assert {name: cube[name].dims for name in names} == dict.fromkeys(names, ("replicate",))
        for name in names:
            expected = [setting.values[name.removeprefix("setting_")] for setting in study.settings()]
            assert cube[name].values.tolist() == expected[: study.replicates]


def test_a_study_of_many_generators_has_no_difficulty_ledger(load: Load) -> None:
    study = load()
    assert ledger.load_or_compute(study) == [] and ledger.places(study, []) == []


def test_every_replicate_without_a_sample_has_the_same_conditions(load: Load) -> None:
    cells = design.cells(load(text=PLAIN))
    assert len({id(cell.condition) for cell in cells}) == 2 and len(cells) == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("replicates = 12", "replicates = 13", "replicates", ("at most sample.size, 12", "replicate k alone")),
        ("size = 12", "size = 2000", "size = 2000", ("sample.size: is 2000; has to be at most 1000",)),
        ("size = 12", "size = 11\nsizes = 3", "sizes", ("sample.sizes: there is no such key", "did you mean size?")),
        (
            '"generator.subgroups.a.amplitude"',
            '"generator.subgroups.a.amplitud"',
            "amplitude = {",
            ("sample.levers.amplitude.key: ", "no 'amplitud'", "did you mean amplitude?"),
        ),
        (
            '"generator.subgroups.a.amplitude"',
            '"evaluation.test"',
            "amplitude = {",
            ("sample.levers.amplitude.key: evaluation.test is the same for all arms",),
        ),
        (
            '"generator.subgroups.a.amplitude"',
            '"finetuning.labels"',
            "amplitude = {",
            ("sample.levers.amplitude.key: finetuning.labels is already set by the factor labels",),
        ),
        (
            '"generator.subgroups.a.amplitude"',
            '"encoder.width"',
            "width = {",
            ("sample.levers.width.key: encoder.width is already set by the lever amplitude",),
        ),
        (
            "low = 0.05",
            "low = 0.2",
            "amplitude = {",
            ("sample.levers.amplitude.high: is 0.2; has to be above low, 0.2",),
        ),
        (
            "low = 0.05",
            "low = 0.0",
            "amplitude = {",
            ("sample.levers.amplitude.low: is 0; has to be above 0 on a log",),
        ),
        ("low = 0.05, ", "", "amplitude = {", ("sample.levers.amplitude: needs low and high, or levels",)),
        ("high = 0.8", "high = 1.5", "prevalence =", ("sample.levers.prevalence.high: is 1.5; has to be below 1",)),
        ("low = 101", "low = 101.5", "steps = {", ("sample.levers.steps.low: is 101.5; has to be a whole number",)),
        ("low = 101, high = 106", 'low = "few", high = 106', "steps = {", ("sample.levers.steps.low: is 'few'",)),
        (
            "levels = [3, 4, 6]",
            "levels = [3, 0]",
            "width = {",
            ("sample.levers.width.levels[1]: is 0; has to be at least",),
        ),
        ("levels = [3, 4, 6]", "levels = [3]", "width = {", ("sample.levers.width.levels: has one level",)),
        ("levels = [3, 4, 6]", "levels = [3, 3]", "width = {", ("sample.levers.width.levels[1]: has the label 3",)),
        (
            "levels = [3, 4, 6]",
            "levels = [3, 4, 6], low = 2",
            "width = {",
            ("sample.levers.width.low: belongs to a range; a lever has a range or levels, not both",),
        ),
        ("amplitude = {", '"a b" = {', '"a b" =', ("cannot be the name of a lever", "use lower-case letters")),
        ("[factors.labels]", "[factors.setting]", "[factors.setting]", ("factors.setting: cannot be the name",)),
        ("[factors.labels]", "[factors.setting_width]", "[factors.setting_width]", ("cannot be the name of a factor",)),
        ("size = 12", 'size = "many"', 'size = "many"', ("sample.size: is 'many'; has to be a whole number",)),
    ],
)
def test_a_wrong_sample_is_refused_with_its_line_and_what_would_be_right(
    old: str, new: str, line: str, said: tuple[str, ...], load: Load, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        load((old, new))
    text = (tmp_path / "sampled.toml").read_text().splitlines()
    number = next(i for i, content in enumerate(text, 1) if content.startswith(line))
    told = [problem for problem in error.value.problems if f"sampled.toml:{number}: " in problem]
    assert any(all(part in problem for part in said) for problem in told), error.value.problems


def test_settings_that_do_not_fit_the_levels_are_refused_at_the_lever(load: Load) -> None:
    cohort = 'width = { key = "pretraining.schedule.batch", low = 16, high = 300 }'
    with pytest.raises(
        InputError, match=r"sample\.levers\.width: with .*, setting = \d+: pretraining\.schedule\.batch: "
    ):
        load(('width = { key = "encoder.width", levels = [3, 4, 6] }', cohort))


def test_a_grid_of_settings_that_is_too_large_is_refused(load: Load) -> None:
    levels = ", ".join(map(str, range(4, 1004)))
    with pytest.raises(InputError, match=r"sample\.size: is 12; with 4000 combinations"):
        load(("levels = [16, 32]", f"levels = [{levels}]"))


def test_set_of_a_sampled_key_has_no_effect_and_says_so(load: Load) -> None:
    with pytest.raises(InputError, match=r"every setting of the sample sets encoder\.width; change the lever"):
        load(set=["encoder.width=8"])
    assert load(set=["sample.levers.steps.high=300"]).digest != load().digest


def test_an_estimand_over_settings_needs_a_sample(load: Load) -> None:
    share = """
[[estimands]]
name = "share"
kind = "sign_share"
subgroups = ["a", "b"]
factor = "pretraining"
reference = "all b"
at = { pretraining = "all a", labels = 32, protocol = "full" }
replicate_sd = 0.1
replicate_sd_from = 6
"""
    assert load(text=SAMPLED + share).estimands[1].kind == "sign_share"
    with pytest.raises(InputError, match=r"estimands\[1\]\.kind: needs settings that differ; add a table \[sample\]"):
        load(text=PLAIN + share)


@pytest.mark.slow
def test_the_bits_of_a_replicate_do_not_depend_on_the_others(load: Load, tmp_path: Path) -> None:
    """Also not on whether its store has grown."""
    changes = (("size = 12", "size = 3"), ("replicates = 12", "replicates = 3"))
    for replicates, out in ((2, "grown"), (3, "grown"), (3, "whole")):
        biasprop.run_study(load(*changes, replicates=replicates), tmp_path / out, workers=0)
    stores = [biasprop.open_cube(load(*changes).store(tmp_path / out)).load() for out in ("grown", "whole")]
    assert (stores[0]["status"] != 0).all() and stores[0]["checksum"].equals(stores[1]["checksum"])
    assert stores[0].drop_vars("seconds", errors="ignore")["score"].identical(stores[1]["score"])
