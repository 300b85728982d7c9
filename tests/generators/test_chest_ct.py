"""Chest CT against the physics of the scanner and published lungs and nodules, from HU, masks and latents."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import load_study
from biasprop.generators import canvas, ct_anatomy, ct_nodule, ct_patients, ct_scanner
from biasprop.generators.chest_ct import CUES, ChestCT
from biasprop.generators.ct_anatomy import Anatomy
from biasprop.generators.ct_patients import CTPatients
from biasprop.interfaces import Subjects
from tests.members import auc, in_batches, latents, masks, same, subjects, twins

SIZE, FIELD_MM = 64, 45.0
HEALTHY = {"age_mean": 60.0, "age_sd": 0.0, "bmi_mean": 25.0, "bmi_sd": 0.0, "pack_years": 0.0}
SOFT = {"kernel": 0.0, "exposure_control": 1.0}


def ct(one: dict[str, float], other: dict[str, float], **values: Any) -> ChestCT:
    """A generator with two subgroups."""
    return ChestCT.model_validate({"size": SIZE, "subgroups": {"a": one, "b": other}} | values)


def people(label: int | None = None, n: int = 256, subgroup: int = 0) -> Subjects:
    """Subjects whose nodules are all of one label, or alternately benign and malignant."""
    who = subjects(n, subgroup)
    return who if label is None else who._replace(label=jnp.full_like(who.label, label))


def column(generator: ChestCT, who: Subjects, name: str) -> np.ndarray:
    """One stored latent."""
    return np.asarray(latents(generator, who))[:, generator.latent_names.index(name)]


@jax.jit
def _hounsfield(generator: ChestCT, who: Subjects) -> jax.Array:
    return jax.vmap(generator.hounsfield)(who)


@jax.jit
def _anatomy(generator: ChestCT, who: Subjects) -> Anatomy:
    return jax.vmap(generator.anatomy)(who)


@jax.jit
def _cues(generator: ChestCT, who: Subjects) -> jax.Array:
    return jax.vmap(generator.cues)(who)


def scans(generator: ChestCT, who: Subjects, noise: float = 0.0, contrast: float = 1.0) -> np.ndarray:
    """Slices in HU with this factor on the noise and on the nodule."""
    n = len(who.label)
    return in_batches(
        _hounsfield, generator, who._replace(noise=jnp.full(n, noise), contrast=jnp.full((n, 1), contrast))
    ).astype(np.float64)


def noise_of(generator: ChestCT, subgroup: int) -> np.ndarray:
    """The noise of 256 slices, HU: what is left of them without the noiseless slices of the same subjects."""
    who = people(subgroup=subgroup)
    return scans(generator, who, noise=1.0) - scans(generator, who)


# --- scanner ---------------------------------------------------------------------------------------------------------


def test_noise_follows_dose_slice_and_size() -> None:
    fourth = ct(SOFT, SOFT | {"dose": 2.0})
    low, thin = noise_of(fourth, 1), noise_of(ct(SOFT, SOFT | {"slice_thickness": 1.25}), 1)
    routine = noise_of(fourth, 0)
    assert routine.std() == pytest.approx(ct_scanner.NOISE_HU, rel=0.03)
    assert low.std() / routine.std() == pytest.approx(2, rel=0.03)
    assert thin.std() / routine.std() == pytest.approx(np.sqrt(2), rel=0.03)
    assert routine.std(axis=(0, 1)).std() < 0.1 * routine.std(), "the noise is not stationary"
    fixed, controlled = (CTPatients(exposure_control=value) for value in (0.0, 1.0))
    sizes = jnp.asarray([28.0, 35.3])
    assert np.divide(*fixed.noise(sizes, 1.0)[::-1]) == pytest.approx(2, rel=0.01)
    assert np.divide(*controlled.noise(sizes, 1.0)) == pytest.approx(1)


@pytest.mark.parametrize(("kernel", "iterative"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_the_spectrum_of_the_noise_is_that_of_the_kernel(kernel: float, iterative: float) -> None:
    level = {"kernel": kernel, "iterative": iterative}
    noise = noise_of(ct(level, level), 0)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0) / noise[0].size
    assert power.sum() / noise[0].size == pytest.approx((noise**2).mean(), rel=1e-3)
    frequency = np.abs(np.fft.fftfreq(SIZE, FIELD_MM / SIZE))
    radial = np.hypot(frequency[:, None], frequency[None, :])
    cutoff = (0.57 if kernel else 0.25) * (1 - 0.3 * iterative)
    bins = np.rint(radial / 0.02).astype(int)
    counted = np.bincount(bins.ravel())
    profile = np.bincount(bins.ravel(), power.ravel()) / np.maximum(counted, 1)
    at = 0.02 * np.arange(len(profile))
    law = at * np.exp(-((at / cutoff) ** 2))
    seen = (law > 0.3 * law.max()) & (counted >= 12) & (at < 0.7)
    shape = profile[seen] / law[seen]
    assert np.abs(shape / shape.mean() - 1).max() < 0.12
    assert abs(at[np.argmax(np.where(seen, profile, 0))] - cutoff / np.sqrt(2)) < 0.05


@pytest.mark.parametrize(("sharp", "iterative"), [(0.0, 0.0), (0.5, 1.0), (1.0, 0.5)])
def test_a_scanner_has_the_stated_blur_and_noise(sharp: float, iterative: float) -> None:
    scanner = CTPatients(kernel=sharp, iterative=iterative, dose=2.0, slice_thickness=5.0, exposure_control=0.25)
    photons, size = 2.0 / 8 * 5 / 2.5, np.exp(0.75 * 0.19 * (33 - 28) / 2)
    expected = 12 / np.sqrt(photons) * size * (1 + 1.28 * sharp) ** 1.5 * (1 - 0.45 * iterative)
    assert scanner.noise(jnp.float32(33), 1.0) == pytest.approx(expected, rel=1e-4)
    assert scanner.noise(jnp.float32(33), 4.0) == pytest.approx(expected / 2, rel=1e-4)
    pixel, at = 0.1, np.arange(-40, 41)
    point = canvas.blurred(jnp.asarray(np.outer(at == 0, at == 0), jnp.float32), scanner.blur() / pixel)
    variance = (np.asarray(point).sum(axis=0) * (at * pixel) ** 2).sum() / np.asarray(point).sum()
    assert np.sqrt(8 * np.log(2) * variance) == pytest.approx(1.1 - 0.4 * sharp, rel=0.01)


def test_a_window_is_linear_between_its_ends() -> None:
    scanner = CTPatients(window_level=-600.0, window_width=1000.0)
    hu = jnp.asarray([[-2000.0, -1100.0, -600.0, -350.0, -100.0, 1000.0]])
    assert np.allclose(scanner.windowed(hu), [[0, 0, 0.5, 0.75, 1, 1]])


def test_what_a_slice_shows_of_a_small_nodule_is_its_volume_over_the_thickness() -> None:
    generator = ct(HEALTHY | {"slice_thickness": 5.0}, HEALTHY | {"slice_thickness": 10.0}, texture=0.0)
    who = people(0)
    small = column(generator, who, "nodule_diameter") < 4.5
    solid = column(generator, who, "density_class") == 0
    inside = np.asarray(_anatomy(generator, who).inside).min(axis=(1, 2)) == 1
    chosen = small & solid & inside
    assert chosen.sum() > 10
    added = [
        (scans(generator, twins(who, g)) - scans(generator, twins(who, g), contrast=0.5)).sum(axis=(1, 2))
        for g in (0, 1)
    ]
    assert np.median((added[0] / added[1])[chosen]) == pytest.approx(2, rel=0.03)


# --- lung ------------------------------------------------------------------------------------------------------------


def test_low_attenuation_is_exactly_that_percentage_of_lung() -> None:
    generator, who = ct(HEALTHY, HEALTHY | {"pack_years": 60.0}), people()
    for subgroup in (0, 1):
        own = twins(who, subgroup)
        anatomy = _anatomy(generator, own)
        lung = np.asarray(anatomy.lung)
        below = 100 * (lung * (np.asarray(anatomy.hu) < -950)).sum(axis=(1, 2)) / lung.sum(axis=(1, 2))
        assert np.abs(below - column(generator, own, "low_attenuation")).max() < 0.1


def test_low_attenuation_of_healthy_people_is_as_published_and_rises_with_smoking_alone_of_both_sexes() -> None:
    generator, who = ct(HEALTHY, HEALTHY | {"female": 1.0, "pack_years": 0.0}), people(n=4096)
    quartiles = np.quantile(column(generator, who, "low_attenuation"), [0.25, 0.5, 0.75])
    assert np.allclose(quartiles, [0.5, 1.1, 2.5], rtol=0.1)
    assert same(column(generator, who, "low_attenuation"), column(generator, twins(who, 1), "low_attenuation"))
    for lever, sign in (("pack_years", 1), ("age_mean", 1), ("bmi_mean", -1)):
        other = ct(HEALTHY, HEALTHY | {lever: HEALTHY[lever] + 15})
        change = column(other, twins(who, 1), "low_attenuation") - column(other, who, "low_attenuation")
        assert (sign * change >= 0).all() and sign * change.mean() > 0.1


def test_sex_shows_in_the_noise_alone_and_not_under_full_exposure_control() -> None:
    generator, who = ct(SOFT | {"female": 0.0}, SOFT | {"female": 1.0}), people()
    assert same(scans(generator, who, noise=1.0), scans(generator, twins(who, 1), noise=1.0))
    fixed = ct({"female": 0.0, "exposure_control": 0.0}, {"female": 1.0, "exposure_control": 0.0})
    assert same(scans(fixed, who), scans(fixed, twins(who, 1)))
    assert noise_of(fixed, 0).std() > 1.1 * noise_of(fixed, 1).std()


def test_tissues_have_their_hounsfield_units() -> None:
    generator, who = ct(HEALTHY | {"slice_thickness": 0.5}, HEALTHY), people(0, 512)
    parts = [_anatomy(generator, jax.tree.map(lambda leaf, i=i: leaf[i : i + 256], who)) for i in (0, 256)]
    hu, lung = (np.concatenate([np.asarray(getattr(part, name)) for part in parts]) for name in ("hu", "lung"))
    dense = (lung > 0) & (hu > -949)
    assert hu[dense].mean() == pytest.approx(-870, abs=5)
    assert hu[(lung > 0) & (hu < -950)].mean() == pytest.approx(-975, abs=5)
    full = (hu > 0) & (hu < 300)
    assert np.median(hu[full]) == pytest.approx(40, abs=5)
    drawn, cover = scans(generator, who), np.asarray(masks(generator, who))
    solid = (column(generator, who, "density_class") == 0) & (column(generator, who, "nodule_diameter") > 6)
    inner = (cover > 0.999) & (hu < 0)
    levels = [drawn[i][inner[i]].mean() for i in np.flatnonzero(solid & (inner.sum(axis=(1, 2)) > 8))]
    assert len(levels) > 100 and np.mean(levels) == pytest.approx(30, abs=5)


def test_patients_follow_the_stated_laws() -> None:
    draws, chances = jnp.zeros(8), jnp.full(3, 0.5)

    def body(breath: float = 0.0, **levers: float) -> ct_patients.Body:
        return ct_patients.body(CTPatients(**(HEALTHY | levers)), draws, chances, jnp.float32(breath))

    for female, diameter in ((0.0, 29.2), (1.0, 26.8)):
        assert body(female=female, bmi_mean=26.0).diameter == pytest.approx(diameter, rel=1e-4)
        assert body(female=female, bmi_mean=36.0).diameter == pytest.approx(diameter + 6, rel=1e-4)
    assert body().lung == pytest.approx(-870) and body(1.0).lung == pytest.approx(-895)
    assert body(age_mean=70.0).lung == pytest.approx(-880, abs=0.1)
    assert body(pack_years=20.0).pack_years == pytest.approx(20 * np.log(2), rel=1e-4)


def test_a_quarter_of_slices_show_the_chest_wall_at_the_stated_distance() -> None:
    generator, who = ct({}, {}), people()
    outside = np.asarray(_anatomy(generator, who).inside) < 0.5
    walls = outside.any(axis=(1, 2))
    assert walls.mean() == pytest.approx(ct_anatomy.WALL_SHARE, abs=0.07)
    place = 14 / np.sqrt(12) * np.asarray(jax.vmap(generator.attributes)(who))[:, 1:]
    x, y = (np.asarray(axis).ravel() for axis in canvas.grid(SIZE, FIELD_MM))
    apart = np.hypot(x - place[:, 0, None, None], y[:, None] - place[:, 1, None, None])
    nearest = np.where(outside, apart, np.inf).min(axis=(1, 2))[walls]
    assert nearest.min() > 2.3 and 8 < np.median(nearest) < 13


# --- nodule ----------------------------------------------------------------------------------------------------------


def test_no_cue_decides_alone_and_all_together_do_not_reach_the_ceiling() -> None:
    generator, who = ct({}, {"pack_years": 60.0}), people(n=8000)
    cues = np.asarray(_cues(generator, who))
    assert cues.shape[1] == len(CUES) and all(0.55 < auc(who.label, cue) < 0.80 for cue in cues.T)
    known = generator.informed_auc(Subjects(who.key[0], jnp.int32(0), jnp.int32(0)))
    assert 0.90 <= known <= 0.97
    assert auc(who.label, cues.sum(axis=1)) == pytest.approx(known, abs=0.012)
    assert same(cues, _cues(generator, twins(who, 1)))


def test_nodules_are_as_often_spiculated_large_and_part_solid_as_published() -> None:
    generator, who = ct({}, {}), people(n=8000)
    label, cues = np.asarray(who.label), np.asarray(_cues(generator, who))
    spiculated = cues[:, 3] > ct_nodule.SPICULATED
    assert spiculated[label == 0].mean() == pytest.approx(0.10, abs=0.02)
    assert spiculated[label == 1].mean() == pytest.approx(0.45, abs=0.02)
    size, density = (column(generator, who, name) for name in ("nodule_diameter", "density_class"))
    assert np.median(size[label == 0]) == pytest.approx(6, rel=0.05) and np.median(size[label == 1]) > 8
    assert size.min() >= 3 and size.max() <= 30
    malignant = [label[density == value].mean() for value in (0, 1, 2)]
    assert malignant[0] < malignant[1] < malignant[2]


def test_a_nodule_hides_nothing_denser_and_is_the_same_in_all_twins() -> None:
    generator, who = ct(HEALTHY, {"pack_years": 60.0, "kernel": 1.0}), people(1)
    with_nodule, without = scans(generator, who), scans(generator, who, contrast=0.0)
    assert (with_nodule - without).min() > -1e-2
    glass = column(generator, who, "density_class") == 1
    inside, hu = (np.asarray(getattr(_anatomy(generator, who), name)) for name in ("inside", "hu"))
    vessels = (hu > -400) & (inside == 1) & (np.asarray(masks(generator, who)) > 0.9) & glass[:, None, None]
    assert vessels.sum() > 20 and np.median(with_nodule[vessels]) > ct_nodule.INVASIVE_HU + 100
    assert same(masks(generator, who), masks(generator, twins(who, 1)))
    diameters = [column(generator, twins(who, subgroup), "nodule_diameter") for subgroup in (0, 1)]
    assert same(*diameters)


@functools.cache
def areas(label: int, months: float) -> np.ndarray:
    """Areas of nodules and their spicules, mm^2."""
    who = people(label)._replace(months=jnp.full(256, months))
    return np.asarray(masks(ct({}, {}), who)).sum(axis=(1, 2)) * (FIELD_MM / SIZE) ** 2


@jax.jit
def _doubling_days(generator: ChestCT, who: Subjects) -> jax.Array:
    """Days in which the volume of each nodule doubles at a severity of 1."""

    def days(subject: Subjects) -> jax.Array:
        draw, year = generator._draws(subject).normal.doubling, jnp.float32(12)
        factor = ct_nodule.growth(generator.cues(subject)[1], jnp.float32(1), draw, year)
        return year * ct_nodule.DAYS_PER_MONTH / (3 * jnp.log2(factor))

    return jax.vmap(days)(who)


def test_a_malignant_nodule_doubles_its_volume_in_the_published_time_and_a_benign_one_is_stable() -> None:
    """The volume of an outline is proportional to the 3/2 power of its area, for any shape."""
    generator, who, months = ct({}, {}), people(1), 24.0
    days = np.asarray(_doubling_days(generator, who))
    published = np.asarray([267, 848, 598])[column(generator, who, "density_class").astype(int)]
    assert np.mean(days / published) == pytest.approx(1, abs=0.08)
    doublings = 1.5 * np.log2(areas(1, months) / areas(1, 0.0))
    read = months * ct_nodule.DAYS_PER_MONTH * column(generator, who, "severity") / doublings
    size, spiculation = column(generator, who, "nodule_diameter"), np.asarray(_cues(generator, who))[:, 3]
    inside = np.asarray(_anatomy(generator, who).inside).min(axis=(1, 2)) == 1
    clear = inside & (size > 7) & (size * 2 ** (doublings / 3) < 20) & (spiculation < ct_nodule.SPICULATED)
    assert clear.sum() > 15
    assert np.median(np.abs(read / days - 1)[clear]) < 0.05
    assert np.median(read[clear] / days[clear]) == pytest.approx(1, abs=0.05)
    stable = 1.5 * np.log2(areas(0, months) / areas(0, 0.0))
    assert np.median(stable) < 0.1 < np.median(doublings)


def test_no_array_of_a_rendering_is_larger_than_an_image() -> None:
    """Arrays of all vessels or spicules made a rendering four times as expensive on XLA:CPU."""
    generator, subject = ct({}, {}), jax.tree.map(lambda leaf: leaf[0], people(n=2))
    shapes = re.findall(r"f32\[([\d,]+)\]", str(jax.make_jaxpr(generator.render)(subject)))
    assert max(np.prod([int(n) for n in shape.split(",")]) for shape in shapes) == SIZE**2


def test_a_study_of_sexes_and_scanners_loads() -> None:
    levels = load_study(Path(__file__).with_name("chest_ct.toml")).generator.subgroups
    assert len(levels) == 4
    community = levels["female_community"]
    assert community.female == 1 and community.dose == ct_scanner.SCANNERS["low_dose_sharp"]["dose"]
