"""Random attributes: levels come from the replicate's key by the stated law, and reach images and recorded labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.population import sampling
from biasprop.population.attributes import Population
from biasprop.population.random_attributes import (
    LAWS,
    LevelParameters,
    RandomAttribute,
    level_parameters,
    with_levels,
    with_levers,
)
from biasprop.population.rosters import rosters
from biasprop.population.shifts import Shift
from biasprop.study.conditions import Evaluation, Finetuning, Pretraining, PretrainingCondition
from biasprop.training import pretraining_task, rendering
from tests.members import batch, member

LAW = RandomAttribute(levels=3, **LAWS["institutions"])
TONE_BY_SITE = Population(attributes={"tone": ("light", "dark")}, random={"site": LAW}).structure()
NAMES = [f"{tone}_site_{i}" for tone in ("light", "dark") for i in (1, 2, 3)]


def drawn(replicate: int = 0, attributes=TONE_BY_SITE) -> LevelParameters:
    """Parameters of one replicate, by subgroup."""
    return LevelParameters(*map(np.asarray, level_parameters(attributes, keys.replicate(5, replicate))))


def test_a_level_is_the_same_in_all_subgroups_that_have_it_and_differs_between_replicates() -> None:
    one, other = drawn(0), drawn(1)
    for values, different in zip(one, other, strict=True):
        assert np.array_equal(values[:3], values[3:]) and len(set(values[:3])) == 3
        assert not set(values) & set(different)


def test_levels_within_another_attribute_are_drawn_separately() -> None:
    law = LAW.model_copy(update={"within": "tone"})
    nested = Population(attributes={"tone": ("light", "dark")}, random={"site": law}).structure()
    assert len(set(drawn(0, nested).acquisition)) == 6


def test_adding_a_level_leaves_the_others() -> None:
    more = RandomAttribute(**{**LAW.model_dump(), "levels": 4})
    larger = Population(attributes={"tone": ("light", "dark")}, random={"site": more}).structure()
    assert np.array_equal(drawn(0, larger).exposure[:3], drawn(0).exposure[:3])


def test_parameters_follow_the_stated_law() -> None:
    replicates = jax.vmap(lambda i: level_parameters(TONE_BY_SITE, keys.replicate(5, i)))(jnp.arange(2_000))
    acquisition, exposure, missed = (np.asarray(values)[:, :3].ravel() for values in replicates)
    logit = np.log(missed / (1 - missed))
    for values, mean, sd in (
        (acquisition, LAW.acquisition_mean, LAW.acquisition_sd),
        (exposure, LAW.exposure_mean, LAW.exposure_sd),
        (logit, np.log(LAW.missed_median / (1 - LAW.missed_median)), LAW.missed_sd),
    ):
        assert values.mean() == pytest.approx(mean, abs=4 * sd / len(values) ** 0.5)
        assert values.std() == pytest.approx(sd, rel=0.04)


def test_shifts_of_the_levels_add_to_those_of_the_stage() -> None:
    stated = (Shift(acquisition=0.5, missed=0.1),) * 6
    found = with_levels(stated, TONE_BY_SITE, keys.replicate(5, 0))
    own = drawn()
    for g, shift in enumerate(found):
        assert float(shift.acquisition) == pytest.approx(0.5 + own.acquisition[g], abs=1e-6)
        assert float(jnp.asarray(shift.exposure)) == pytest.approx(own.exposure[g], abs=1e-6)
        assert float(shift.missed) == pytest.approx(1 - 0.9 * (1 - own.missed[g]), abs=1e-6)
    plain = Population(attributes={"tone": ("light", "dark")}).structure()
    assert with_levels(stated[:2], plain, keys.replicate(5, 0)) == stated[:2]


def test_cohort_images_and_recorded_labels_of_a_replicate_have_its_levels() -> None:
    shares = dict.fromkeys(NAMES, 1 / 6)
    generator = member("generators", "dermoscopy")
    tones = list(generator.subgroups.values())
    generator = generator.model_copy(update={"subgroups": {name: tones[name.startswith("dark")] for name in NAMES}})
    condition = PretrainingCondition(
        generator=generator,
        encoder=member("encoders", "linear"),
        pretraining=Pretraining(shares=shares),
        attributes=TONE_BY_SITE,
    )
    cells = batch((condition, 0), (condition, 1))
    own = [LevelParameters(*map(np.asarray, level_parameters(TONE_BY_SITE, key))) for key in cells.key]
    for cell, parameters in zip(cells.key, own, strict=True):
        who = pretraining_task.cohort_members(condition, cell, jnp.arange(60))
        assert who.noise is not None and who.exposure is not None
        assert np.allclose(np.log(who.noise), parameters.acquisition[np.asarray(who.subgroup)], atol=1e-5)
        assert np.allclose(np.log(who.exposure), parameters.exposure[np.asarray(who.subgroup)], atol=1e-5)
    missed = rendering.missed_labels(cells)
    assert missed is not None and np.allclose(missed, [parameters.missed for parameters in own])
    evaluation = Evaluation(test=20, selection=600, calibration=20)
    found = rosters(Finetuning(shares=shares), evaluation, NAMES, 1_200, missed=missed)["train"]
    assert found.recorded_in(2).shape == (2, 1_200)
    for c in range(2):
        for g in range(6):
            ill = (found.subgroup == g) & (found.label == 1)
            rate = (found.recorded_in(2)[c][ill] == 0).mean()
            assert rate == pytest.approx(missed[c, g], abs=4 / ill.sum())
        assert not (found.recorded_in(2)[c][found.label == 0]).any()


def test_without_an_exposure_shift_there_is_no_exposure() -> None:
    key = keys.replicate(1, 1)
    without = sampling.apply_shifts(key, jnp.int32(1), jnp.int32(0), (Shift(), Shift(acquisition=0.2)))
    given = sampling.apply_shifts(key, jnp.int32(1), jnp.int32(0), (Shift(), Shift(exposure=-0.5)))
    assert without.exposure is None and float(given.exposure) == pytest.approx(np.exp(-0.5))
    assert "exposure" not in Shift(acquisition=0.2).model_dump()


SCANNERS = Population(
    attributes={"type": ("academic", "community")},
    random={"site": RandomAttribute(levels=3, within="type", lever_sd={"kernel": 0.3, "slice_thickness": 0.5})},
)
ATOMS = [f"{kind}_site_{i}" for kind in ("a", "b") for i in (1, 2, 3)]
SITES = [f"{kind}_site_{i}" for kind in SCANNERS.attributes["type"] for i in (1, 2, 3)]


def scanners(**levers: float) -> Any:
    """Chest CT with these levers in community hospitals."""
    plain = member("generators", "chest_ct")
    (patients, *_) = plain.subgroups.values()
    own = {name: patients.model_copy(update=levers if name.startswith("community") else {}) for name in SITES}
    return plain.model_copy(update={"subgroups": own})


def test_levers_of_levels_follow_their_law_around_those_of_the_subgroup_and_stay_in_range() -> None:
    generator = scanners(kernel=0.9, slice_thickness=5.0)
    names = ("kernel", "slice_thickness", "dose")

    def of_replicate(replicate: Any) -> list[list[Any]]:
        found = with_levers(generator, SCANNERS.structure(), keys.replicate(5, replicate))
        return [[jnp.asarray(getattr(levers, name)) for name in names] for levers in found.subgroups.values()]

    kernel, thickness, dose = np.asarray(jax.vmap(of_replicate)(jnp.arange(2_000))).transpose(1, 0, 2)
    assert thickness[:3].mean() == pytest.approx(2.5, abs=0.03) and thickness[3:].mean() == pytest.approx(5, abs=0.03)
    assert thickness.std(axis=1) == pytest.approx(np.full(6, 0.5), rel=0.06)
    assert kernel.min() == 0 and kernel.max() == 1, "a kernel is between soft and sharp"
    assert np.median(kernel[:3]) == pytest.approx(0.3, abs=0.03) and np.median(kernel[3:]) == pytest.approx(
        0.9, abs=0.03
    )
    assert np.abs(np.corrcoef(np.concatenate([kernel, thickness])) - np.eye(12)).max() < 0.1, "all are independent"
    assert (dose == dose[0, 0]).all(), "a lever without a law is that of the subgroup"


def test_twins_and_cohort_have_the_levers_of_their_replicate() -> None:
    """The images of a replicate are those of a generator whose subgroups have its levers."""
    law = RandomAttribute(levels=3, lever_sd={"amplitude": 0.2, "stretch": 0.5})
    population, shares = Population(attributes={"kind": ("a", "b")}, random={"site": law}), dict.fromkeys(ATOMS, 1 / 6)
    generator = member("generators", "gaussian")
    (levers, *_) = generator.subgroups.values()
    condition = PretrainingCondition(
        generator=generator.model_copy(update={"subgroups": dict.fromkeys(ATOMS, levers)}),
        encoder=member("encoders", "linear"),
        pretraining=Pretraining(shares=shares),
        attributes=population.structure(),
    )
    fixed = Population(attributes=population.all_attributes()).structure()
    cells = batch((condition, 0), (condition, 1))
    roster = rosters(Finetuning(shares=shares), Evaluation(test=20), ATOMS, 20)["test"]
    found = np.asarray(rendering.rendered(cells, cells.key, roster)[0]["image"])[:, :20]
    drawn = jax.tree.map(float, with_levers(condition.generator, population.structure(), cells.key[0]))
    stated = condition.model_copy(update={"attributes": fixed, "generator": drawn})
    single = batch((stated, 0))
    expected = np.asarray(rendering.rendered(single, single.key, roster)[0]["image"])[0, :20]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    cohort, same = (
        pretraining_task.pool_of(one, cells.key[0]).inputs(jnp.arange(12), None).examples["image"]
        for one in (condition, stated)
    )
    np.testing.assert_allclose(cohort, same, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_without_random_levers_nothing_changes() -> None:
    generator = scanners()
    assert with_levers(generator, TONE_BY_SITE, keys.replicate(5, 0)) is generator
    assert with_levers(generator, None, keys.replicate(5, 0)) is generator
    assert "lever_sd" not in LAW.model_dump()
