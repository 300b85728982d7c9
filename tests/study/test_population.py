"""Studies whose subgroups have attributes: groups stand for their subgroups, and mistakes are named where they are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from biasprop.component import InputError
from biasprop.execution.provenance import attributes
from biasprop.population.shifts import shifted_prevalence
from biasprop.study import design
from biasprop.study.load import load_study
from biasprop.study.study import Study
from tests.source_tree import ROOT

STUDY = """
title = "Sex and age"
question = "Which?"
seed = 1
replicates = 2
[population.attributes]
sex = ["female", "male"]
age = ["child", "adult"]
[population.groups]
not_boy = ["female", "male_adult"]
[generator]
kind = "dermoscopy"
[generator.subgroups]
female = "light"
male = { ita_mean = 10.0 }
[encoder]
kind = "linear"
[pretraining]
shares = { sex = { female = 0.8, male = 0.2 } }
prevalence = 0.3
[finetuning]
shares = { not_boy = 0.9, male_child = 0.1 }
[finetuning.shifts]
child = { missed = 0.1 }
male = { acquisition = 0.2 }
[factors.noise]
key = "pretraining.shifts.child.acquisition"
levels = [0.1, 0.3]
[factors.labels]
key = "finetuning.labels"
levels = [40, 80]
[[estimands]]
name = "sex"
kind = "gap"
primary = true
subgroups = ["female", "male"]
at = { noise = 0.3, labels = 80 }
[[estimands]]
name = "sex by age"
kind = "interaction"
subgroups = ["female_child", "male_child"]
versus = ["female_adult", "male_adult"]
"""
SUBGROUPS = ("female_child", "female_adult", "male_child", "male_adult")


def loaded(folder: Path, *changes: tuple[str, str], smoke: bool = False) -> Study:
    """The study with some text replaced."""
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "study.toml"
    path.write_text(text)
    return load_study(path, smoke=smoke)


def test_shares_of_attributes_are_a_product_and_those_of_a_group_are_divided_equally(tmp_path: Path) -> None:
    study = loaded(tmp_path)
    assert study.subgroups == SUBGROUPS
    assert list(study.pretraining.shares.values()) == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert study.finetuning.shares == pytest.approx(
        {"female_child": 0.3, "female_adult": 0.3, "male_child": 0.1, "male_adult": 0.3}
    )


def test_levers_and_shifts_of_a_group_are_those_of_its_subgroups(tmp_path: Path) -> None:
    study = loaded(tmp_path)
    assert [tone.ita_mean for tone in study.generator.subgroups.values()] == [50, 50, 10, 10]
    shifts = study.finetuning.shifts
    assert list(shifts) == ["female_child", "male_child", "male_adult"]
    assert (shifts["male_child"].missed, shifts["male_child"].acquisition) == (0.1, 0.2)
    assert (shifts["male_adult"].missed, shifts["male_adult"].acquisition) == (0, 0.2)


def test_a_prevalence_of_each_group_is_a_prevalence_shift(tmp_path: Path) -> None:
    study = loaded(tmp_path, ("prevalence = 0.3", "prevalence = { child = 0.1, adult = 0.4 }"))
    for name, wanted in zip(SUBGROUPS, (0.1, 0.4, 0.1, 0.4), strict=True):
        shift = study.pretraining.shifts.get(name)
        odds = math.exp(shift.prevalence) if shift else 1.0
        assert shifted_prevalence(study.pretraining.prevalence, odds) == pytest.approx(wanted)


def test_shifts_of_the_population_are_those_of_every_stage_but_leave_test_labels_true(tmp_path: Path) -> None:
    population = ("[population.groups]", '[population.shifts]\nadult = "community"\n[population.groups]')
    study = loaded(tmp_path, population, ("male = { acq", "male_adult = { exposure = 0.0 }\nmale = { acq"))
    for stage, missed in (("pretraining", 0.1), ("finetuning", 0.1), ("evaluation", 0.0)):
        shift = getattr(study, stage).shifts["female_adult"]
        assert (shift.acquisition, shift.exposure, shift.missed) == (0.336, -0.223, missed)
        assert "female_child" not in study.evaluation.shifts
    own = study.finetuning.shifts["male_adult"]
    assert (own.acquisition, own.exposure, own.missed) == (0.2, 0.0, 0.1), "those of the stage take precedence"


def test_weights_in_groups_are_stated_like_shares_and_are_in_no_digest(tmp_path: Path) -> None:
    weighted = "[population.weights]\n{}\n[population.groups]"
    plain = loaded(tmp_path)
    for text, wanted in (
        ("sex = { female = 0.8, male = 0.2 }", [0.4, 0.4, 0.1, 0.1]),
        ("child = 2.0\nmale_adult = 3.0\nfemale_adult = 0.0", [1.0, 0.0, 1.0, 3.0]),
    ):
        study = loaded(tmp_path, ("[population.groups]", weighted.format(text)))
        assert study.population is not None and study.digest == plain.digest
        assert list(study.population.weights.values()) == pytest.approx(wanted)
        assert attributes(study)["population"]["weights"] == study.population.weights
        assert design.layout(study) == design.layout(plain)
    for text, said in (
        ("child = 2.0\nmale_adult = 3.0", "population.weights: has no weight for female_adult"),
        ("child = 0.0\nadult = 3.0", "population.weights: leaves child without a test subject of positive weight"),
        ("child = -1.0\nadult = 3.0", "population.weights.child: is -1.0; has to be a number of at least 0"),
        ("child = true\nadult = 3.0", "population.weights.child: is True; has to be a number of at least 0"),
        ("chil = 1.0\nadult = 3.0", "population.weights.chil: there is no such subgroup or group"),
    ):
        with pytest.raises(InputError, match=said):
            loaded(tmp_path, ("[population.groups]", weighted.format(text)))


@pytest.mark.parametrize("smoke", [False, True])
def test_levels_set_keys_of_groups(tmp_path: Path, smoke: bool) -> None:
    study = loaded(tmp_path, smoke=smoke)
    conditions = [study.with_levels({"noise": level}) for level in study.levels("noise")]
    assert [c.pretraining.shifts["male_child"].acquisition for c in conditions] == [0.1, 0.3]
    assert all(list(c.pretraining.shifts) == ["female_child", "male_child"] for c in conditions)
    contents = [content for _, content in design.layout(study).factors[0].levels]
    assert "0.1" in contents[0] and "0.3" in contents[1]


def test_subgroups_can_be_named_and_some_combinations_left_out(tmp_path: Path) -> None:
    named = """[population.subgroups]
girl = { sex = "female", age = "child" }
boy = { sex = "male", age = "child" }
woman = { sex = "female", age = "adult" }
[generator]"""
    study = loaded(
        tmp_path,
        ("[generator]", named),
        ('not_boy = ["female", "male_adult"]', 'not_boy = ["girl", "woman"]'),
        ("shares = { sex = { female = 0.8, male = 0.2 } }", "shares = { female = 0.8, boy = 0.2 }"),
        ("male_child = 0.1 }", "boy = 0.1 }"),
        ('["female_child", "male_child"]', '["girl", "boy"]'),
        ('["female_adult", "male_adult"]', '["woman", "male"]'),
    )
    assert study.subgroups == ("girl", "boy", "woman")
    assert study.pretraining.shares == pytest.approx({"girl": 0.4, "boy": 0.2, "woman": 0.4})
    assert study.population is not None and study.population.members()["child"] == ("girl", "boy")


def test_a_study_is_the_same_if_it_is_made_from_its_own_tables(tmp_path: Path) -> None:
    study = loaded(tmp_path)
    again = study.with_levels({})
    assert again.pretraining == study.pretraining and again.finetuning == study.finetuning
    assert again.tables() == study.tables()


BAD = {
    "unknown group in shares": (
        "not_boy = 0.9",
        "not_girl = 0.9",
        "not_girl = 0.9",
        ("not_girl: there is no such subgroup or group", "did you mean not_boy?"),
    ),
    "unknown attribute in shares": (
        "shares = { sex =",
        "shares = { sexe =",
        "sexe",
        ("pretraining.shares.sexe: there is no such attribute", "did you mean sex?"),
    ),
    "unknown value in shares": (
        "{ female = 0.8, male",
        "{ femal = 0.8, male",
        "femal =",
        ("shares.sex.femal: sex has no such value", "did you mean female?"),
    ),
    "margin of 1.1": (
        "female = 0.8",
        "female = 0.9",
        "female = 0.9",
        ("pretraining.shares.sex: shares must sum to 1; these sum to 1.1",),
    ),
    "groups of 1.1": (
        "not_boy = 0.9",
        "not_boy = 1.0",
        "not_boy = 1.0",
        ("finetuning.shares: shares must sum to 1; these sum to 1.1",),
    ),
    "subgroup without share": (
        ", male_child = 0.1 }",
        " }",
        "not_boy = 0.9",
        ("finetuning.shares: has no share for male_child",),
    ),
    "two shares of one subgroup": (
        "male_child = 0.1",
        "female_child = 0.1",
        "female_child = 0.1",
        ("finetuning.shares.female_child: female_child has a share from not_boy already",),
    ),
    "attributes and subgroups mixed": (
        "shares = { sex = {",
        "shares = { male_adult = 0.1, sex = {",
        "male_adult = 0.1, sex",
        ("mixes shares of attributes and of subgroups",),
    ),
    "one shift from two groups": (
        "male = { acq",
        "male = { missed = 0.3, acq",
        "male = { missed",
        ("finetuning.shifts.male.missed: is set by child as well, for male_child",),
    ),
    "shift of an unknown group": (
        "child = { missed",
        "chlid = { missed",
        "chlid",
        ("finetuning.shifts.chlid: there is no such subgroup or group", "did you mean child?"),
    ),
    "bad shift of a group": (
        "missed = 0.1",
        "missed = 1.1",
        "missed = 1.1",
        ("finetuning.shifts.child.missed: is 1.1; has to be at most 1",),
    ),
    "subgroup without levers": (
        "male = { ita_mean = 10.0 }\n",
        "",
        "[generator.subgroups]",
        ("generator.subgroups: has no levers for male_child, male_adult",),
    ),
    "bad lever of a group": (
        "ita_mean = 10.0",
        "ita_mean = 100.0",
        "100.0",
        ("generator.subgroups.male.ita_mean: is 100.0; has to be at most 75",),
    ),
    "levers from two groups": (
        'female = "light"',
        'female = "light"\nadult = "dark"',
        'adult = "dark"',
        ("cannot be combined with female",),
    ),
    "value of two attributes": (
        'age = ["child", "adult"]',
        'age = ["child", "male"]',
        "age = ",
        ("'male' is a value of sex as well; rename one",),
    ),
    "attribute of one value": (
        'age = ["child", "adult"]',
        'age = ["child"]',
        "age = ",
        ("population.attributes.age: is an array; has to be of length at least 2",),
    ),
    "group of an unknown part": (
        '["female", "male_adult"]',
        '["female", "male_adlt"]',
        "male_adlt",
        ("there is no subgroup or group 'male_adlt'", "did you mean male_adult?"),
    ),
    "estimand of an unknown group": (
        'subgroups = ["female", "male"]',
        'subgroups = ["female", "mail"]',
        "mail",
        ("there is no subgroup or group 'mail'", "did you mean male?"),
    ),
    "interaction with an unknown subgroup": (
        'versus = ["female_adult", "male_adult"]',
        'versus = ["female_adult", "male_adlt"]',
        "male_adlt",
        ("estimands[1].versus[1]: there is no subgroup or group 'male_adlt'",),
    ),
    "interaction with itself": (
        'versus = ["female_adult", "male_adult"]',
        'versus = ["male_child", "female_child"]',
        '[[estimands]]\nname = "sex by age"',
        ("versus must not be the subgroups themselves",),
    ),
    "level that sets the population": (
        'key = "finetuning.labels"',
        'key = "population.groups.x"',
        'key = "population',
        ("population.groups.x is the same for all arms",),
    ),
    "prevalence of 1": (
        "prevalence = 0.3",
        "prevalence = { child = 1.0, adult = 0.4 }",
        "child = 1.0",
        ("pretraining.prevalence.child: is 1.0; has to be a number above 0 and below 1",),
    ),
    "prevalence of some": (
        "prevalence = 0.3",
        "prevalence = { child = 0.1 }",
        "child = 0.1",
        ("pretraining.prevalence: has none for female_adult, male_adult",),
    ),
    "random attribute within nothing": (
        "[population.groups]",
        '[population.random]\nsite = { within = "sexx" }\n[population.groups]',
        "sexx",
        ("population.random.site.within: there is no other attribute 'sexx'", "did you mean sex?"),
    ),
    "unknown preset of a random attribute": (
        "[population.groups]",
        '[population.random]\nsite = "hospital"\n[population.groups]',
        "hospital",
        ("there is no preset 'hospital'; allowed: institutions",),
    ),
}
"""Mistake -> text of the study, its replacement, a fragment of the line of the problem, parts of the message."""


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, where, said = BAD[case]
    with pytest.raises(InputError) as raised:
        loaded(tmp_path, (old, new))
    text = STUDY.replace(old, new, 1)
    line = text[: text.index(where)].count("\n") + 1
    hits = [problem for problem in raised.value.problems if all(part in problem for part in said)]
    assert hits, raised.value.problems
    assert f"study.toml:{line}: " in hits[0], (line, hits[0])


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        (
            "kernel = 0.15",
            "kernell = 0.15",
            "kernell",
            "bmi_sd, pack_years; did you mean kernel?",
        ),
        (
            "kernel = 0.15",
            "window = 0.15",
            "window =",
            "lever_sd.window: subgroups of chest_ct have no such lever; allowed",
        ),
        ("kernel = 0.15", "kernel = 0.0", "kernel = 0.0", "lever_sd.kernel: is 0.0; has to be above 0"),
        ('kind = "chest_ct"', 'kind = "chest_ct"\ndifficulty = "calibrated"', "lever_sd", "calibrated is solved for"),
    ],
)
def test_random_levers_that_cannot_be_drawn_are_named(
    old: str, new: str, where: str, said: str, tmp_path: Path
) -> None:
    text = (ROOT / "studies" / "institutions.toml").read_text(encoding="utf-8").replace(old, new, 1)
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_study(path)
    line = text[: text.index(where)].count("\n") + 1
    assert [p for p in raised.value.problems if f"study.toml:{line}: " in p and said in p], raised.value.problems
