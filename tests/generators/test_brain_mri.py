"""Images of the brain against the signals of tissues, Rician statistics and published anatomy; their diseases."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import load_study
from biasprop.generators import brain_anatomy, brain_lesions
from biasprop.generators.brain_mri import DISEASES, LEVEL, BrainMRI
from biasprop.generators.brain_signal import SEQUENCES, Scan, Tissue, signals
from biasprop.interfaces import Subjects
from tests.members import SEED, auc, rendered, same, subjects, twins

NAMES = tuple(SEQUENCES)
SIZE, FIELD = 64, 96
COUNT = 32
"""Subjects of a compiled program."""
ADULT = {"age_mean": 50.0, "age_sd": 10.0}
PLAIN = {"texture": 0.0, "relaxation_sd": 0.0, "intensity_sd": 0.0, "comorbidity": 0.0}
SHARP = {"noise": 0.0, "nonuniformity": 0.0}


def scanner(own: dict[str, Any] | None = None, **values: Any) -> BrainMRI:
    """A generator with one subgroup for each sequence."""
    levels = {name: ADULT | (own or {}) | {"sequence": name} for name in NAMES}
    return BrainMRI.model_validate({"size": SIZE, "field_of_view": FIELD, "subgroups": levels} | values)


def people(
    disease: str = "ms", label: int | None = None, subgroup: int = 0, contrast: float = 1.0, seed: int = SEED
) -> Subjects:
    """Subjects of whom one disease is stated, all with the same label or alternately healthy and diseased; with the
    same contrast of all diseases."""
    who = subjects(COUNT, subgroup, seed)
    labels = who.label if label is None else jnp.full_like(who.label, label)
    index = jnp.full(COUNT, DISEASES.index(disease))
    return who._replace(label=labels, disease=index, contrast=jnp.full((COUNT, len(DISEASES)), contrast))


@jax.jit
def _masks(generator: BrainMRI, who: Subjects) -> jax.Array:
    return jax.vmap(generator.mask)(who)


@jax.jit
def _latents(generator: BrainMRI, who: Subjects) -> jax.Array:
    return jax.vmap(generator.latents)(who)


@jax.jit
def _fractions(generator: BrainMRI, who: Subjects) -> Any:
    return jax.vmap(generator.fractions)(who)


@jax.jit
def _cues(generator: BrainMRI, who: Subjects) -> jax.Array:
    return jax.vmap(generator.cues)(who)


@jax.jit
def _noise(generator: BrainMRI, subject: Subjects) -> jax.Array:
    return generator._signal(subject, generator._draws(subject))[1]


@functools.cache
def healthy() -> tuple[np.ndarray, Any]:
    """Images [sequence, subject, h, w] without lesions, noise and other nuisance, and fractions of tissues."""
    generator = scanner(SHARP, **PLAIN)
    who = people(label=0, contrast=0.0)
    drawn = [np.asarray(rendered(generator, twins(who, g)))[..., 0] for g in range(len(NAMES))]
    return np.stack(drawn), jax.tree.map(np.asarray, _fractions(generator, who))


# --- signals ---------------------------------------------------------------------------------------------------------


def test_ratios_of_tissues_in_the_image_are_those_of_their_signals() -> None:
    images, fractions = healthy()
    pure = {tissue: getattr(fractions, tissue.name.lower()) > 0.999 for tissue in (Tissue.GREY, Tissue.WHITE)}
    pure[Tissue.CSF] = fractions.fluid > 0.997
    for name, image in zip(NAMES, images, strict=True):
        expected = np.asarray(signals(Scan(SEQUENCES[name], 1.5)))
        level = {tissue: float(np.median(image[where])) for tissue, where in pure.items()}
        for tissue in (Tissue.GREY, Tissue.CSF):
            ratio = level[tissue] / level[Tissue.WHITE]
            assert ratio == pytest.approx(expected[tissue] / expected[Tissue.WHITE], rel=0.01, abs=2e-3), (name, tissue)
    flair = images[NAMES.index("flair")]
    assert flair[pure[Tissue.CSF]].mean() < 0.01 * flair[pure[Tissue.GREY]].mean()


# --- acquisition -----------------------------------------------------------------------------------------------------


def test_the_background_is_rayleigh() -> None:
    level = 0.02
    generator = scanner({"noise": level}, **PLAIN)
    sd = level * LEVEL / float(signals(Scan(SEQUENCES["flair"], 1.5)).max())
    found = []
    for seed in range(8):
        who = people(label=0, subgroup=NAMES.index("flair"), contrast=0.0, seed=seed)
        fractions = jax.tree.map(np.asarray, _fractions(generator, who))
        air = fractions.fluid + fractions.parenchyma + fractions.fat < 1e-3
        found.append(np.asarray(rendered(generator, who), np.float64)[..., 0][air] / sd)
    background = np.concatenate(found)
    assert background.mean() == pytest.approx(np.sqrt(np.pi / 2), abs=0.01)
    assert background.std() == pytest.approx(np.sqrt(2 - np.pi / 2), abs=0.01)


def test_noise_is_halved_at_3_tesla_and_the_scale_is_arbitrary() -> None:
    who = people(label=0, contrast=0.0)
    still = scanner({"nonuniformity": 0.0}, **PLAIN)
    one = jax.tree.map(lambda leaf: leaf[0], who)
    generators = scanner(), scanner({"field_strength": 3.0})
    noise = [float(_noise(generator, one)) for generator in generators]
    assert noise[0] == pytest.approx(2 * noise[1])
    scaled = np.asarray(rendered(scanner({"nonuniformity": 0.0}, **PLAIN | {"intensity_sd": 0.3}), who))
    ratio = np.log(scaled / np.asarray(rendered(still, who)))
    inside = scaled < 1
    factors = [np.median(one[keep]) for one, keep in zip(ratio, inside, strict=True)]
    assert np.std(factors) == pytest.approx(0.3, rel=0.35)
    assert all(np.abs(one[keep] - f).max() < 1e-3 for one, keep, f in zip(ratio, inside, factors, strict=True))


# --- anatomy ---------------------------------------------------------------------------------------------------------


@functools.cache
def shares(age: float, sex: float = 0.0) -> dict[str, float]:
    """Mean fractions of the inside of the skull, and its area in cm^2, in whole slices."""
    level = {"age_mean": age, "age_sd": 0.0, "female": sex}
    generator = BrainMRI.model_validate(
        {"size": 144, "field_of_view": 216, "subgroups": {"a": level, "b": level | {"sequence": "t1w"}}}
    )
    found = jax.tree.map(np.asarray, _fractions(generator, subjects(COUNT)))
    sums = {name: getattr(found, name).sum() for name in ("fluid", "grey", "white", "hyperintense", "ventricle")}
    inside = sums["fluid"] + sums["grey"] + sums["white"] + sums["hyperintense"]
    return {name: float(value / inside) for name, value in sums.items()} | {
        "area": float(inside) / COUNT * (216 / 144 / 10) ** 2
    }


def test_fluid_grows_with_age_as_published() -> None:
    """18.7 % of the intracranial volume in the twenties, 33.7 % above 80 years."""
    young, middle, old = (shares(age) for age in (25.0, 55.0, 83.0))
    assert young["fluid"] == pytest.approx(0.187, abs=0.015) and old["fluid"] == pytest.approx(0.337, abs=0.015)
    assert young["fluid"] < middle["fluid"] < old["fluid"]
    assert young["grey"] > middle["grey"] > old["grey"]
    assert middle["ventricle"] / young["ventricle"] < 1.2 < 1.35 < old["ventricle"] / middle["ventricle"] < 1.8
    assert young["hyperintense"] < 1e-6 < middle["hyperintense"] < old["hyperintense"]


def test_women_have_smaller_heads_of_the_same_composition_and_more_hyperintensities() -> None:
    man, woman = shares(83.0), shares(83.0, 1.0)
    assert woman["area"] / man["area"] == pytest.approx((1289 / 1469) ** (2 / 3), abs=0.01)
    assert woman["fluid"] == pytest.approx(man["fluid"], abs=0.003)
    assert woman["hyperintense"] > 1.05 * man["hyperintense"]


def test_intracranial_volume_has_the_published_law() -> None:
    rank = jnp.asarray(np.random.default_rng(0).standard_normal(20_000), jnp.float32)
    for sex, mean, sd in ((0.0, 1469, 102), (1.0, 1289, 111)):
        volume = np.asarray(brain_anatomy.intracranial_volume(jnp.float32(sex), rank))
        assert volume.mean() == pytest.approx(mean, abs=3) and volume.std() == pytest.approx(sd, rel=0.02)


def test_ventricles_follow_one_law() -> None:
    width = np.asarray(brain_anatomy.ventricular_width(jnp.asarray([20.0, 40.0, 60.0, 80.0]), 0.0))
    assert (np.diff(width) > 0).all() and width[2] / width[0] < 1.2
    assert width[3] / width[2] == pytest.approx(1.5, abs=0.05)


def test_hyperintensities_begin_at_45_years_and_are_a_seventh_larger_in_women() -> None:
    man, woman = (np.asarray(brain_anatomy.hyperintensity(jnp.asarray([45.0, 80.0]), sex, 0.0)) for sex in (0.0, 1.0))
    assert man[0] == woman[0] == 0
    assert woman[1] / man[1] == pytest.approx(1.15, rel=1e-3)


def test_the_septum_between_the_ventricles_of_the_old_stays() -> None:
    level = ADULT | {"age_mean": 85.0, "age_sd": 0.0}
    generator = BrainMRI.model_validate({"size": 216, "field_of_view": 216, "subgroups": {"a": level, "b": level}})
    drawn = jax.tree.map(np.asarray, _fractions(generator, subjects(8)))
    middle = drawn.ventricle[:, 98:118]
    across = np.abs(drawn.u)[:, None, :] + np.zeros_like(middle)
    assert middle[across < 0.008].mean() < 0.5 < 0.9 < middle[(across > 0.04) & (across < 0.10)].mean()


def test_fractions_are_a_partition_of_the_head() -> None:
    _, fractions = healthy()
    parts = np.stack([fractions.fluid, fractions.grey, fractions.white, fractions.hyperintense, fractions.fat])
    assert parts.min() > -1e-5 and parts.sum(axis=0).max() < 1 + 1e-5
    assert (fractions.ventricle <= fractions.fluid + 1e-5).all()


# --- diseases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disease", DISEASES)
def test_no_cue_decides_alone_and_all_together_do_not_reach_the_ceiling(disease: str) -> None:
    generator, who = scanner(), subjects(8000)._replace(disease=jnp.full(8000, DISEASES.index(disease)))
    all_cues = np.asarray(_cues(generator, who))
    others = np.delete(all_cues, DISEASES.index(disease), axis=1)
    assert others.mean() == pytest.approx(0.05 * generator.loading, abs=0.025)  # each is present with P .05
    cues = all_cues[:, DISEASES.index(disease)]
    assert all(0.55 < auc(who.label, cue) < 0.80 for cue in cues.T)
    known = generator.informed_auc(Subjects(who.key[0], jnp.int32(0), jnp.int32(0)))
    assert 0.90 <= known <= 0.97
    assert auc(who.label, cues.sum(axis=1)) == pytest.approx(known, abs=0.012)


@pytest.mark.parametrize("disease", DISEASES)
def test_twins_of_other_sequences_are_one_head_with_one_lesion(disease: str) -> None:
    generator, who = scanner(), people(disease)
    first = [np.asarray(f(generator, who)) for f in (_masks, _latents)]
    drawn = [np.asarray(rendered(generator, who))]
    for subgroup in range(1, len(NAMES)):
        twin = twins(who, subgroup)
        assert same(first, [np.asarray(f(generator, twin)) for f in (_masks, _latents)])
        drawn.append(np.asarray(rendered(generator, twin)))
        assert all(np.abs(drawn[-1] - other).max() > 0.05 for other in drawn[:-1])


def test_twins_of_other_scanners_are_one_head_with_one_lesion() -> None:
    """Scanners differ in the image alone; the gain is a factor on it."""
    other = {"field_strength": 3.0, "noise": 0.02, "nonuniformity": 0.4, "echo_time": 1.2, "white_matter_t1": 0.9}
    plain = ADULT | SHARP
    levels = {"a": plain, "gain": plain | {"gain": -0.5}, "other": ADULT | other}
    generator, who = BrainMRI.model_validate({"subgroups": levels} | PLAIN), people("metastasis")
    first = [np.asarray(f(generator, who)) for f in (_masks, _latents)]
    assert all(same(first, [np.asarray(f(generator, twins(who, g))) for f in (_masks, _latents)]) for g in (1, 2))
    drawn = [np.asarray(rendered(generator, twins(who, g)), np.float64) for g in range(3)]
    unclipped = (drawn[0] < 1) & (drawn[0] > 0.01)
    assert drawn[1][unclipped] / drawn[0][unclipped] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert np.abs(drawn[2] - drawn[0]).max() > 0.05


def test_sizes_of_metastases_are_in_mm_and_those_of_infarcts_relative_to_the_brain() -> None:
    levels = {"man": ADULT | {"female": 0.0}, "woman": ADULT | {"female": 1.0}}
    generator = BrainMRI.model_validate({"subgroups": levels} | PLAIN)
    for disease, ratio in (("metastasis", 1.0), ("ms", 1.0), ("stroke", (1289 / 1469) ** (2 / 3))):
        man, woman = (np.asarray(_masks(generator, people(disease, 1, g))).sum(axis=(1, 2)) for g in (0, 1))
        assert np.median(woman / man) == pytest.approx(ratio, abs=0.04), disease


def test_an_infarct_lies_in_the_territory_of_the_middle_cerebral_artery() -> None:
    """Lateral, from the front horn to the back horn of the ventricle."""
    generator = scanner(SHARP, **PLAIN)
    who = people("stroke", 1)
    cover, fractions = np.asarray(_masks(generator, who)), jax.tree.map(np.asarray, _fractions(generator, who))
    total = cover.sum(axis=(1, 2))
    u = (cover * fractions.u[:, None, :]).sum(axis=(1, 2)) / total
    v = (cover * fractions.v[:, :, None]).sum(axis=(1, 2)) / total
    assert np.quantile(u, 0.1) > 0.25 and np.quantile(u, 0.9) < 0.65
    assert np.quantile(np.abs(v), 0.9) < 0.45


@jax.jit
def _white_matter_t1(generator: BrainMRI, who: Subjects) -> jax.Array:
    def one(subject: Subjects) -> jax.Array:
        return generator._relaxation(generator._patients(subject), generator._draws(subject)).t1[Tissue.WHITE]

    return jax.vmap(one)(who)


def test_subjects_differ_in_relaxation_and_tissue_has_a_texture() -> None:
    factors = np.asarray(_white_matter_t1(scanner(), subjects(2000)))
    assert np.log(factors).std() == pytest.approx(0.03, rel=0.08)
    who, (plain, fractions) = people(label=0, contrast=0.0), healthy()
    ratio = np.asarray(rendered(scanner(SHARP, **PLAIN | {"texture": 0.04}), who))[..., 0] / np.maximum(plain[0], 1e-3)
    tissue = fractions.parenchyma > 0.999
    assert np.sqrt(((ratio[tissue] - 1) ** 2).mean()) == pytest.approx(0.04, rel=0.25)
    assert np.abs(ratio[fractions.parenchyma < 1e-4] - 1)[plain[0][fractions.parenchyma < 1e-4] > 0.01].max() < 1e-3


BRIGHTER = {
    "ms": {"t1w": -1, "t2w": 1, "flair": 1, "dwi": 1},
    "metastasis": {"t1w": 0, "t2w": 1, "flair": 1, "dwi": 0},
    "stroke": {"t1w": -1, "t2w": 1, "flair": 1, "dwi": 1},
}
"""Sign of the change in each sequence; 0 where a ring is bright and what it surrounds is dark."""
SEEN = {"ms": ("t2w", "flair"), "metastasis": ("t1w", "t2w", "flair"), "stroke": ("t2w", "flair", "dwi")}
"""Sequences in which a disease has to be seen."""
MAIN = {"ms": "flair", "stroke": "dwi"}
"""Sequence in which a disease changes most of the range of intensities."""


@pytest.mark.parametrize("disease", DISEASES)
def test_a_disease_is_seen_in_its_sequences_and_nowhere_else_in_the_image(disease: str) -> None:
    generator = scanner(SHARP, **PLAIN)
    share = {}
    for subgroup, name in enumerate(NAMES):
        before, after = (people(disease, label, subgroup) for label in (0, 1))
        change = np.asarray(rendered(generator, after) - rendered(generator, before), np.float64)[..., 0]
        cover = np.maximum(*(np.asarray(_masks(generator, who)) for who in (before, after)))
        assert np.abs(change[cover < 1e-3]).max() < 2e-3
        inside = (change * cover).sum(axis=(1, 2)) / cover.sum(axis=(1, 2))
        assert BRIGHTER[disease][name] * np.median(inside) >= 0, name
        noise = 0.01 * LEVEL / float(signals(Scan(SEQUENCES[name], 1.5)).max())
        detectability = np.median(np.sqrt((change**2).sum(axis=(1, 2)))) / noise
        assert name not in SEEN[disease] or detectability > 5, name
        share[name] = float(np.median(np.abs(change).max(axis=(1, 2))) / LEVEL)
    assert MAIN.get(disease) in (None, max(share, key=share.__getitem__)), share


def test_a_metastasis_has_a_ring_of_millimetres_that_takes_up_contrast_agent() -> None:
    cues = jnp.zeros((2, 4)) + jnp.asarray([[0.0], [1.15]])
    agent = np.asarray(jax.vmap(brain_lesions.contrast_agent)(cues))
    assert 0.15 < agent[0] < agent[1] < 0.5  # at less than .15 mM a rim is darker than white matter in t1w
    generator = scanner(SHARP, **PLAIN)
    cover = np.asarray(_masks(generator, people("metastasis", 1)))
    diameter = 2 * np.sqrt((cover > 0.5).sum(axis=(1, 2)) / np.pi) * FIELD / SIZE
    assert 6 < np.median(diameter) < 30  # with its oedema


def test_plaques_are_near_the_ventricles_and_longer_across_than_along() -> None:
    generator = scanner(SHARP, **PLAIN)
    who = people("ms", 1)
    cover, fractions = np.asarray(_masks(generator, who)), jax.tree.map(np.asarray, _fractions(generator, who))
    wall = np.asarray(jax.vmap(brain_anatomy.wall)(fractions.v, _latents(generator, who)[:, 3]))
    beyond = 90 * (fractions.u[:, None, :] - wall[..., None])  # about mm
    distance = (cover * beyond).sum(axis=(1, 2)) / cover.sum(axis=(1, 2))
    assert 0 < np.median(distance) < 15
    assert (cover * (beyond < -3)).sum() < 0.03 * cover.sum()


def test_lesions_lie_in_the_view() -> None:
    """A narrow field shows one hemisphere, with every lesion in it; a wide one shows lesions on both sides."""
    narrow = scanner(SHARP, **PLAIN)
    for disease in DISEASES:
        assert (np.asarray(_masks(narrow, people(disease, 1))).sum(axis=(1, 2)) > 1).mean() > 0.95
    wide = scanner(SHARP, **PLAIN, field_of_view=216)
    sides = []
    for disease in ("metastasis", "stroke"):
        cover = np.asarray(_masks(wide, people(disease, 1)))
        sides.append((cover[:, :, SIZE // 2 :].sum(axis=(1, 2)) > cover[:, :, : SIZE // 2].sum(axis=(1, 2))).mean())
    assert all(0.2 < share < 0.8 for share in sides)


def test_the_contrast_scales_what_a_disease_changes() -> None:
    generator = scanner(SHARP, **PLAIN)
    none, half, full = (np.asarray(rendered(generator, people("stroke", 1, 3, c)), np.float64) for c in (0.0, 0.5, 1.0))
    change = np.abs(full - none).max(axis=(1, 2, 3))
    assert np.abs((half - none) - 0.5 * (full - none)).max() < 0.15 * change.max()


def test_the_contrast_of_one_disease_leaves_the_others_as_they_are() -> None:
    generator = scanner(SHARP, **PLAIN | {"comorbidity": 1.0})
    who = people("stroke", 1, NAMES.index("dwi"))
    faint = who._replace(contrast=jnp.asarray(who.contrast).at[:, DISEASES.index("stroke")].set(0.0))
    change = np.abs(np.asarray(rendered(generator, who) - rendered(generator, faint)))[..., 0]
    cover = np.asarray(_masks(generator, who))
    assert change[cover < 1e-3].max() < 2e-3 < 0.03 < np.median(change.max(axis=(1, 2)))


def test_contrasts_make_every_disease_equally_hard_in_all_sequences() -> None:
    levels = {name: ADULT | {"sequence": name} for name in ("t2w", "dwi")}
    generator = BrainMRI.model_validate({"size": 32, "subgroups": levels})
    found = generator.matching_contrasts()
    assert list(found) == list(DISEASES)
    for index, (disease, factors) in enumerate(found.items()):
        assert max(factors.values()) == 1 and min(factors.values()) < 1
        own = jnp.asarray([[found[other][name] for other in DISEASES] for name in levels])
        about = Subjects(jax.random.key(0), jnp.int32(0), jnp.int32(0))._replace(disease=jnp.int32(index))
        areas = [generator.linear_auc(about._replace(subgroup=jnp.int32(g), contrast=own[g])) for g in (0, 1)]
        assert areas[0] == pytest.approx(areas[1], abs=0.002) and 0.52 < areas[0] < 0.99, disease


def test_a_study_of_sequences_and_sites_loads() -> None:
    study = load_study(Path(__file__).with_name("brain_mri.toml"))
    levels = study.generator.subgroups
    assert len(levels) == 8
    assert levels["dwi_academic"].sequence == "dwi" and levels["dwi_academic"].field_strength == 3
    assert study.generator.size / study.generator.field_of_view >= 0.5
