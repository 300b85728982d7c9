"""Chest films against published anatomy and the physics of projection, from masks and finished pixels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import load_study
from biasprop.generators import canvas, chest_anatomy, laws
from biasprop.generators.chest_film import DISEASES, ChestFilm
from biasprop.interfaces import Subjects
from tests.members import auc, images, latents, masks, measured, same, subjects, twins

SIZE = 48
AXIS = 2 * (np.arange(SIZE) + 0.5) / SIZE - 1
"""Coordinates of pixel centres, units."""
ADULT = {"age_mean": 50.0, "age_sd": 8.0, "female": 0.0, "anteroposterior": 0.0}
CHILD = {"age_mean": 4.0, "age_sd": 0.3, "female": 0.0, "anteroposterior": 0.0}
PLAIN = {"photons": 1e9, "auto_exposure": 0.0, "exposure_sd": 0.0, "comorbidity": 0.0}


def film(one: dict[str, float], other: dict[str, float], **values: Any) -> ChestFilm:
    """A generator with two subgroups."""
    return ChestFilm.model_validate({"size": SIZE, "subgroups": {"a": one, "b": other}} | values)


def people(disease: str = "pneumonia", label: int | None = None, n: int = 256, subgroup: int = 0) -> Subjects:
    """Subjects of whom one disease is stated, all with the same label or alternately healthy and diseased."""
    who = subjects(n, subgroup)
    labels = who.label if label is None else jnp.full_like(who.label, label)
    return who._replace(label=labels, disease=jnp.full(n, DISEASES.index(disease)))


def column(generator: ChestFilm, who: Subjects, name: str) -> np.ndarray:
    """One stored latent."""
    return np.asarray(latents(generator, who))[:, generator.latent_names.index(name)]


def log_intensity(generator: ChestFilm, who: Subjects) -> np.ndarray:
    """Log of incident over detected intensity up to a constant, from the pixels of films of a site."""
    code = np.asarray(images(generator, who), np.float64)[..., 0]
    return np.log(code / (1 - code)) / next(iter(generator.subgroups.values())).contrast


@jax.jit
def _bodies(generator: ChestFilm, who: Subjects) -> chest_anatomy.Body:
    return jax.vmap(lambda one: generator._body(one, generator._draws(one)))(who)


@functools.cache
def hearts() -> tuple[np.ndarray, np.ndarray]:
    """Cover of the heart of healthy adults on posteroanterior films, and on anteroposterior ones from 100 cm."""
    generator = film(ADULT, ADULT | {"anteroposterior": 1.0})
    return tuple(np.asarray(masks(generator, people("cardiomegaly", 0, subgroup=g))) for g in (0, 1))  # type: ignore


def extent(cover: np.ndarray) -> np.ndarray:
    """Width of a structure, units."""
    return cover.max(axis=1).sum(axis=1) * 2 / SIZE


# --- anatomy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [5.0, 20.0, 50.0, 80.0])
@pytest.mark.parametrize("sex", [0.0, 1.0])
def test_the_cardiothoracic_ratio_of_the_mask_is_that_of_its_curve(age: float, sex: float) -> None:
    own = {"age_mean": age, "age_sd": 0.0, "female": sex, "anteroposterior": 0.0}
    generator, who = film(own, own), people("cardiomegaly", 0)
    read = extent(np.asarray(masks(generator, who))) / chest_anatomy.THORAX
    assert np.abs(read - column(generator, who, "cardiothoracic_ratio")).max() < 0.01
    curve = float(chest_anatomy.cardiothoracic_ratio(jnp.float32(age), jnp.float32(sex)))
    assert read.mean() == pytest.approx(curve, abs=0.01)


def test_the_curve_of_the_ratio_has_the_published_values() -> None:
    def ratio(age: float, sex: float = 0.5) -> float:
        return float(chest_anatomy.cardiothoracic_ratio(jnp.float32(age), jnp.float32(sex)))

    assert ratio(20) == pytest.approx(0.460, abs=0.01)
    assert ratio(45, 1.0) == pytest.approx(0.467, abs=0.01) and ratio(45, 0.0) == pytest.approx(0.452, abs=0.01)
    supine = float(chest_anatomy.magnification(100.0))
    assert 0.6 < ratio(0.02) * supine < 0.66 and ratio(1) * supine < 0.6


def test_a_heart_is_an_eighth_wider_on_anteroposterior_films() -> None:
    upright, supine = hearts()
    assert np.mean(extent(supine) / extent(upright)) == pytest.approx(1.12, abs=0.01)


def test_the_thorax_is_as_wide_as_at_that_age() -> None:
    width = np.asarray(chest_anatomy.thoracic_width(jnp.arange(91.0)))
    assert (np.diff(width) > 0).all()
    assert 13.9 < width[1] < width[5] < 18.2
    assert np.abs(width[16:25] - 26.5).max() < 2 * chest_anatomy.WIDTH_SD


def test_age_follows_its_law_within_the_range_of_life() -> None:
    quantile = (jnp.arange(1000.0) + 0.5) / 1000
    middle, newborn = (
        np.asarray(jax.vmap(lambda q, m=m: laws.truncated_normal(m, 8.0, 0.0, 90.0, q))(quantile)) for m in (45.0, 0.0)
    )
    assert middle.mean() == pytest.approx(45, abs=0.05) and middle.std() == pytest.approx(8, rel=0.02)
    assert newborn.min() >= 0 and newborn.mean() == pytest.approx(8 * np.sqrt(2 / np.pi), rel=0.01)
    assert (np.diff(middle) > 0).all() and (np.diff(newborn) > 0).all()


def test_enlarged_hearts_are_found_as_often_as_on_real_films() -> None:
    """A ratio above .5 finds 40 % of the hearts that are large on echocardiography, at a specificity of 91 % (McKee and
    Ferrier 2017), and above .55 few that are not (Simkus 2021); healthy ratios keep their sd."""
    fixed = ADULT | {"age_sd": 0.0}
    generator = film(fixed, fixed | {"female": 1.0})
    for subgroup in (0, 1):
        who = people("cardiomegaly", n=4096, subgroup=subgroup)
        ratio, diseased = column(generator, who, "cardiothoracic_ratio"), np.asarray(who.label) == 1
        assert 0.33 < (ratio[diseased] > 0.5).mean() < 0.57 and 0.83 < (ratio[~diseased] <= 0.5).mean() < 0.95
        assert (ratio[~diseased] <= 0.55).mean() > 0.98 and (ratio[diseased] > 0.55).mean() > 0.08
        assert ratio[~diseased].std() == pytest.approx(0.028, abs=0.003)
        curve = chest_anatomy.cardiothoracic_ratio(jnp.float32(50), jnp.float32(subgroup))
        assert ratio[~diseased].mean() == pytest.approx(float(curve), abs=0.002)


def test_left_is_left() -> None:
    """The apex of the heart points to the patient's left, and down; the right diaphragm is higher; no view may flip."""
    upright, _ = hearts()
    half = SIZE // 2
    right, left = upright[:, :, :half].sum(axis=(1, 2)), upright[:, :, half:].sum(axis=(1, 2))
    assert (left > right).all() and np.median(left / right) > 1.5
    leftmost = np.argmax((upright > 0.5)[:, :, ::-1].any(axis=1), axis=1)
    rows = [np.flatnonzero(heart[:, SIZE - 1 - i] > 0.5).mean() for heart, i in zip(upright, leftmost, strict=True)]
    centres = (upright * AXIS[:, None]).sum(axis=(1, 2)) / upright.sum(axis=(1, 2))
    assert (AXIS[np.rint(rows).astype(int)] > centres).mean() > 0.95
    generator = film(ADULT, ADULT)
    bodies = _bodies(generator, people())
    field = jnp.zeros(canvas.field_draws_shape(chest_anatomy.TEXTURE_MODES))
    lungs = jax.jit(lambda body: chest_anatomy.draw(body, field, SIZE, 0.0).lungs)(jax.tree.map(lambda x: x[0], bodies))
    bases = [np.argmin(np.abs(np.asarray(lungs.above_diaphragm)[:, x])) for x in (SIZE // 4, 3 * SIZE // 4)]
    assert bases[0] < bases[1]
    assert ChestFilm.symmetries == ()


def test_ribs_are_steeper_and_the_thymus_gone_in_adults() -> None:
    generator = film(ADULT | {"age_sd": 0.0}, {**ADULT, "age_mean": 0.5, "age_sd": 0.0}, comorbidity=0.0)
    adult, infant = (measured(generator, people(label=0, subgroup=g))["rib_slope"] for g in (0, 1))
    assert adult.mean() > infant.mean() + 4
    bodies = [_bodies(generator, people(subgroup=g)) for g in (0, 1)]
    assert np.mean(np.asarray(bodies[1].thymus) > 0.5) == pytest.approx(0.6, abs=0.1)
    assert np.asarray(bodies[0].thymus).max() < 1e-6


def test_the_levers_are_read_back_from_pixels() -> None:
    """Rib slope near its curve at every age, and in order; the ratio where no breasts lie over the heart's border."""
    newborn = {"age_mean": 0.0, "age_sd": 0.05, "female": 0.0}
    men, women = film(ADULT, CHILD, comorbidity=0.0), film(ADULT | {"female": 1.0}, newborn, comorbidity=0.0)
    cases = {"man": (men, 0), "child": (men, 1), "woman": (women, 0), "newborn": (women, 1)}
    healthy = {name: measured(one, people(label=0, subgroup=g)) for name, (one, g) in cases.items()}
    read = {name: {key: np.median(values) for key, values in found.items()} for name, found in healthy.items()}
    for name, slope in (("newborn", 8.0), ("child", 8 + 17 * (1 - np.exp(-1))), ("man", 25.0), ("woman", 25.0)):
        assert read[name]["rib_slope"] == pytest.approx(slope, abs=5), name
    assert read["newborn"]["rib_slope"] < read["child"]["rib_slope"] - 4 < read["man"]["rib_slope"] - 8
    assert read["woman"]["breast"] > read["man"]["breast"] + 0.4
    assert read["newborn"]["ratio"] > read["man"]["ratio"] + 0.05
    assert read["newborn"]["lung_area"] < read["man"]["lung_area"]
    for name in ("man", "child"):
        generator, subgroup = cases[name]
        who = people("cardiomegaly", subgroup=subgroup)
        ratio = column(generator, who, "cardiothoracic_ratio")
        assert np.corrcoef(measured(generator, who)["ratio"], ratio)[0, 1] > 0.8
        diseased = measured(generator, people(label=1, subgroup=subgroup))
        assert np.median(diseased["consolidation"]) > np.median(healthy[name]["consolidation"]) + 0.05


# --- projection ------------------------------------------------------------------------------------------------------


def test_four_centimetres_of_breast_attenuate_by_0_82() -> None:
    """At the centre of the patient's left breast, against the same patient without; scatter, noise and blur are off."""
    sharp = {"scatter": 0.0, "age_sd": 0.0}
    generator = film(ADULT | sharp, ADULT | sharp | {"female": 1.0}, blur=0.0, **PLAIN)
    without, with_breast = (log_intensity(generator, people(label=0, subgroup=g)) for g in (0, 1))
    body = _bodies(generator, people(label=0, subgroup=1))
    x, y = np.argmin(np.abs(AXIS - 0.60)), np.argmin(np.abs(AXIS - 0.30))
    added = (with_breast - without)[:, y, x]
    at = [AXIS[x] - np.asarray(body.shift)[:, 0], AXIS[y] - np.asarray(body.shift)[:, 1]]
    (right, down), radii = chest_anatomy.BREAST_CENTRE, chest_anatomy.BREAST_RADII
    relative = np.sqrt(1 - ((at[0] - right) / radii[0]) ** 2 - ((at[1] - down) / radii[1]) ** 2)
    per_four = added / relative / np.asarray(body.breast) * 4
    assert np.median(per_four) == pytest.approx(0.82, abs=0.02)
    assert np.median(np.asarray(body.breast)) == pytest.approx(4, rel=0.1)


def test_tube_voltage_is_that_of_the_guidelines() -> None:
    """60 to 65 kV in newborns and at most 80 kV in young children (EUR 16261); a site's setting moves all ages."""
    patients = chest_patients.Patients()
    energy = np.asarray([patients.energy(jnp.float32(age)) for age in (0.0, 4.0, 15.0, 50.0)])
    voltage = chest_patients.REFERENCE_VOLTAGE * (energy / 60) ** (1 / chest_patients.ENERGY_EXPONENT)
    assert 60 < voltage[0] < 65 < voltage[1] < 80 < voltage[2] < voltage[3] == pytest.approx(110, abs=1)
    soft = patients.model_copy(update={"tube_voltage": 80.0})
    assert all(float(soft.energy(jnp.float32(age))) < patients.energy(jnp.float32(age)) for age in (0.0, 50.0))


@pytest.mark.parametrize(
    ("sixty", "forty", "exponent"),
    [
        (0.2048, 0.2688, chest_anatomy.SOFT_EXPONENT),
        (0.3148, 0.6655, chest_anatomy.BONE_EXPONENT),
        (0.2006, 0.2530, chest_anatomy.BREAST_EXPONENT),
        (0.1974, 0.2396, chest_anatomy.FAT_EXPONENT),
    ],
)
def test_attenuation_at_40_kev_is_that_of_the_tables(sixty: float, forty: float, exponent: float) -> None:
    """Mass attenuation of muscle, cortical bone, breast and adipose tissue (NIST), cm^2 / g."""
    assert sixty * float(chest_anatomy.softer(jnp.float32(40.0), exponent)) == pytest.approx(forty, rel=0.01)


def test_a_lower_voltage_raises_the_contrast_of_bone_more_than_that_of_lesions() -> None:
    """At 80 kV against 110: pneumonia on the film by (110 / 80)^(.65 x .67), the spine by (110 / 80)^(.65 x 1.85)."""
    sharp = ADULT | {"scatter": 0.0, "age_sd": 0.0}
    generator = film(sharp, sharp | {"tube_voltage": 80.0}, blur=0.0, **PLAIN)
    added = []
    for subgroup in (0, 1):
        healthy, diseased = (log_intensity(generator, people(label=v, subgroup=subgroup)) for v in (0, 1))
        added.append((diseased - healthy).sum(axis=(1, 2)))
    assert np.median(added[1] / added[0]) == pytest.approx((110 / 80) ** (0.65 * 0.67), rel=0.01)
    bodies = [jax.tree.map(lambda leaf: leaf[0], _bodies(generator, people(subgroup=g))) for g in (0, 1)]
    field = jnp.zeros(canvas.field_draws_shape(chest_anatomy.TEXTURE_MODES))

    def without_bone(body: chest_anatomy.Body) -> np.ndarray:
        """Attenuation that bone adds, from the drawn anatomy of a patient and of the same one of no mineral."""
        old = body._replace(age=jnp.float32(290.0))  # mineral falls by .4 % a year from 40 on, here to nothing
        drawn = [chest_anatomy.draw(each, field, SIZE, 0.0).attenuation for each in (body, old)]
        return np.asarray(drawn[0] - drawn[1])[:, SIZE // 2 - 2 : SIZE // 2 + 2].mean()

    rise = without_bone(bodies[1]) / without_bone(bodies[0])
    assert rise == pytest.approx((110 / 80) ** (0.65 * 1.85), rel=0.02)


def test_contrast_falls_with_scatter_as_one_minus_its_fraction() -> None:
    generator = film(ADULT | {"scatter": 0.0}, ADULT | {"scatter": 0.6}, **PLAIN)
    lost = []
    for subgroup in (0, 1):
        healthy, diseased = (np.exp(-log_intensity(generator, people(label=v, subgroup=subgroup))) for v in (0, 1))
        lost.append(np.abs(healthy - diseased).sum(axis=(1, 2)))
    assert np.median(lost[1] / lost[0]) == pytest.approx(0.4, abs=0.01)


# --- diseases --------------------------------------------------------------------------------------------------------


@jax.jit
def _cues(generator: ChestFilm, who: Subjects) -> jax.Array:
    return jax.vmap(generator.cues)(who)


@pytest.mark.parametrize("disease", DISEASES)
def test_no_cue_decides_alone_and_all_together_do_not_reach_the_ceiling(disease: str) -> None:
    generator, who = film(ADULT, ADULT | {"deprivation": 1.0}), people(disease, n=8000)
    cues = np.asarray(_cues(generator, who))[:, DISEASES.index(disease)]
    assert all(0.55 < auc(who.label, cue) < 0.80 for cue in cues.T)
    known, later = (generator.informed_auc(Subjects(who.key[0], jnp.int32(g), jnp.int32(0))) for g in (0, 1))
    assert 0.90 <= known <= 0.97 and later > known
    assert auc(who.label, cues.sum(axis=1)) == pytest.approx(known, abs=0.012)
    late = np.asarray(_cues(generator, twins(who, 1)))[:, DISEASES.index(disease)]
    assert auc(who.label, late.sum(axis=1)) == pytest.approx(later, abs=0.012)
    assert same(cues[np.asarray(who.label) == 0], late[np.asarray(who.label) == 0])


@pytest.mark.parametrize("disease", ["pneumonia", "nodule", "effusion"])
def test_twins_of_other_age_keep_side_lobe_and_severity(disease: str) -> None:
    generator, who = film(ADULT, CHILD), people(disease, 1)
    for name in ("left", "lobe", "severity"):
        assert same(column(generator, who, name), column(generator, twins(who, 1), name))
    for subgroup in (0, 1):
        cover = np.asarray(masks(generator, twins(who, subgroup)))
        centre = (cover * AXIS).sum(axis=(1, 2)) / np.maximum(cover.sum(axis=(1, 2)), 1e-6)
        seen = cover.sum(axis=(1, 2)) > 1e-2
        assert seen.mean() > 0.95
        assert ((centre > 0) == column(generator, who, "left"))[seen].mean() > 0.98


@pytest.mark.parametrize(("disease", "least"), [("pneumonia", 0.8), ("nodule", 0.9), ("effusion", 0.95)])
def test_twins_of_other_age_keep_the_rank_of_size(disease: str, least: float) -> None:
    """Size is relative to the lung, so the largest lesion of adults is the largest of their twins."""
    from scipy.stats import spearmanr

    generator, who = film(ADULT, CHILD), people(disease, 1)
    adult, child = (np.asarray(masks(generator, twins(who, g))).sum(axis=(1, 2)) for g in (0, 1))
    assert spearmanr(adult, child).statistic > least


def test_pneumonia_of_children_is_nearer_to_the_hila() -> None:
    generator, who = film(ADULT, CHILD), people(label=1)
    adult, child = (np.asarray(masks(generator, twins(who, g))) for g in (0, 1))
    lateral = [(cover * np.abs(AXIS)).sum() / cover.sum() for cover in (adult, child)]
    assert lateral[1] < lateral[0] - 0.03


def test_a_nodule_of_an_adult_measures_8_to_20_mm() -> None:
    generator, who = film(ADULT, ADULT, size=96), people("nodule", 1)
    pixel = np.asarray(_bodies(generator, who).width) / chest_anatomy.THORAX * 2 / 96
    area = (np.asarray(masks(generator, who))).sum(axis=(1, 2)) * pixel**2
    diameter = 10 * np.sqrt(4 / np.pi * area)
    assert 8 < np.median(diameter) < 20 and np.mean((diameter > 5) & (diameter < 24)) > 0.9


@pytest.mark.parametrize("disease", DISEASES)
def test_a_disease_whitens_its_mask_and_nothing_else(disease: str) -> None:
    generator = film(ADULT, ADULT, **PLAIN)
    healthy, diseased = (people(disease, label) for label in (0, 1))
    change = np.asarray(images(generator, diseased) - images(generator, healthy))[..., 0]
    cover = np.maximum(np.asarray(masks(generator, diseased)), np.asarray(masks(generator, healthy)))
    inside = (change * cover).sum(axis=(1, 2)) / np.maximum(cover.sum(axis=(1, 2)), 1e-6)
    assert np.median(inside) > 0.005
    if disease != "cardiomegaly":  # which is anatomy, so it also changes scatter and exposure
        assert np.abs(change[cover < 1e-3]).max() < 2e-3


def test_a_study_of_sex_age_and_deprivation_loads() -> None:
    study = load_study(Path(__file__).with_name("chest_film.toml"))
    levels = study.generator.subgroups
    assert len(levels) == 8
    assert levels["female_child_deprived"].female == 1 and levels["female_child_deprived"].deprivation == 1
