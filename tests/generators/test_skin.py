"""Skin and lesions against tabulated physics, measured from pixels after illumination and camera."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from biasprop.generators import canvas
from biasprop.generators.dermoscopy import Dermoscopy, Latent
from biasprop.generators.lesion import Lesion
from biasprop.generators.skin import BLOOD, FITTED_ITA, PUBLISHED, STYLISED, Tone, declared_ita, melanosome_fraction
from tests.members import SEED, images, latents, masks, measured, subjects

EDGES = np.array([55.0, 41.0, 28.0, 10.0, -30.0])
"""ITA limits between very light, light, intermediate, tan, brown and dark skin (del Bino)."""

FRACTIONS = np.array([0.013, 0.03, 0.063, 0.085, 0.135, 0.20, 0.30, 0.40])
"""Melanosome fractions of the table: ITA 59 to -52 degrees."""
ADDED = 0.12
"""Melanosome fraction added by the lesion of the table."""
TABLE = {
    "weber": [0.55, 0.54, 0.53, 0.52, 0.49, 0.44, 0.37, 0.28],
    "delta_e": [27, 25, 20, 18, 15, 14, 12, 9],
    "cnr": [31, 28, 24, 22, 17, 12, 6.2, 3.0],
    "cnr, automatic exposure": [30, 30, 28, 28, 25, 22, 14, 7],
}
"""Values for a flat lesion on skin of each fraction, by the diffusion model to which the closed form was fitted (white
4000 electrons, read noise 8): Weber contrast of luminance, colour difference, and contrast-to-noise ratio of a green
pixel, in electrons over the root of the mean of both variances."""

_blood = jax.jit(jax.vmap(lambda key: BLOOD * jnp.exp(0.3 * canvas.normal(key, Latent.BLOOD))))

PLAIN = {"texture": 0.0, "exposure_sd": 0.0, "shading": 0.0, "vignette": 0.0}


class Flat(Dermoscopy):
    """A generator whose lesions are identical sharp discs of 6 mm."""

    added: float = ADDED
    """Melanosome fraction added by the lesion."""

    def _lesion(self, *ignored: Any) -> Lesion:
        x, y = canvas.grid(self.size, self.field_of_view)
        cover = (x[None, :] ** 2 + y[:, None] ** 2 < 9.0).astype(jnp.float32)
        return Lesion(cover, self.added * cover, 0 * cover)


def pair(one: Any, other: Any, **values: Any) -> dict[str, Any]:
    """Fields of a small generator with two tones, each (mean, sd) or a preset."""
    tones = [
        tone if isinstance(tone, str) else {"ita_mean": float(tone[0]), "ita_sd": tone[1]} for tone in (one, other)
    ]
    return {"size": 16, "subgroups": dict(zip("ab", tones, strict=True))} | values


# --- tone ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skin() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Stylised preset -> declared ITA, and measured ITA, of lesion-free skin."""
    return lesion_free(tuple(STYLISED), seeds=2)


@pytest.fixture(scope="module")
def published() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """As ``skin``, of published presets."""
    return lesion_free(tuple(PUBLISHED), seeds=1)


def lesion_free(presets: tuple[str, ...], seeds: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Preset -> declared ITA, and measured ITA; two presets in a generator, so that one program serves all."""
    found = {}
    for two in zip(presets[::2], presets[1::2], strict=True):
        generator = Dermoscopy.model_validate(pair(*two, pigment=0.0))
        for g, name in enumerate(two):
            who = [subjects(400, g, seed=SEED + k) for k in range(seeds)]
            declared = np.concatenate([np.asarray(latents(generator, each))[:, 0] for each in who])
            found[name] = declared, np.concatenate([measured(generator, each)["ita"] for each in who])
    return found


def classes(ita: np.ndarray) -> np.ndarray:
    """0 very light ... 5 dark."""
    return (ita[:, None] < EDGES).sum(axis=1)


def test_skin_has_the_tone_it_was_declared_to_have(skin: Any) -> None:
    errors = {name: pixels - declared for name, (declared, pixels) in skin.items()}
    every = np.concatenate(list(errors.values()))
    assert abs(every.mean()) < 2 and every.std() < 3
    for name, error in errors.items():
        assert abs(error.mean()) < 3 and error.std() < 4, name


def test_a_tone_is_taken_for_its_neighbours_at_most(skin: Any) -> None:
    taken = np.concatenate([classes(pixels) - classes(declared) for declared, pixels in skin.values()])
    assert np.abs(taken).max() == 1
    assert np.mean(taken != 0) < 0.2


def test_presets_have_the_class_shares_of_their_law(skin: Any) -> None:
    for name, values in skin.items():
        law = -np.diff(norm.cdf([np.inf, *EDGES, -np.inf], *STYLISED[name]))
        declared, seen = (np.bincount(classes(ita), minlength=6) / len(ita) for ita in values)
        assert np.abs(declared - law).max() < 0.05, name
        assert np.abs(seen - law).max() < 0.12, name


def test_a_published_population_comes_out() -> None:
    """ITA of the 10,013 photographs of HAM10000 (S-SYNTH, Kim et al. 2024): mean 43.5, sd 5.0; 70.2 % light, 28.7 %
    intermediate, .3 % darker. The normal distribution of that mean and sd differs by 2.1 points."""
    generator = Dermoscopy.model_validate(pair((43.5, 5.0), (43.5, 5.0)))
    ita = np.concatenate([np.asarray(latents(generator, subjects(400, 0, seed=seed)))[:, 0] for seed in range(20)])
    shares = np.bincount(classes(ita), minlength=6) / len(ita)
    assert np.abs(shares[1:3] - [0.702, 0.287]).max() < 0.035 and shares[3:].sum() < 0.005


def test_published_presets_have_their_law_and_are_read_back_where_the_fit_holds(published: Any) -> None:
    low, high = FITTED_ITA
    for name, (declared, pixels) in published.items():
        mean, sd = PUBLISHED[name]
        assert abs(declared.mean() - mean) < 0.15 * sd and abs(declared.std() / sd - 1) < 0.1, name
        inside = (low < declared) & (declared < high)
        error = (pixels - declared)[inside]
        assert inside.mean() > 0.5 and abs(error.mean()) < 3 and error.std() < 4, name


def test_skin_beyond_the_fit_is_rendered_at_the_ends(published: Any) -> None:
    """Extrapolated down to -76 degrees and clipped there; lighter skin saturates, and order is kept."""
    declared, pixels = (np.concatenate(part) for part in zip(*published.values(), strict=True))
    darker = (declared > -76) & (declared < FITTED_ITA[0])
    assert darker.sum() > 100 and abs((pixels - declared)[darker].mean()) < 4
    darkest = declared < -80
    assert darkest.sum() > 50 and abs(pixels[darkest].mean() + 76) < 4
    lightest = declared > 74
    assert lightest.sum() > 10 and 60 < pixels[lightest].mean() < 68
    ends = np.asarray(declared_ita(melanosome_fraction(jnp.array([-120.0, 120.0]))))
    assert np.allclose(ends, [-76.4, 73.9], atol=0.1)


def test_published_laws_overlap_and_are_what_a_study_file_gets() -> None:
    (light, spread), (dark, wide) = PUBLISHED["fst_4_upper_arm"], PUBLISHED["fst_6_upper_arm"]
    assert norm.cdf((light - dark) / np.hypot(spread, wide)) < 0.93  # of light and dark of the stylised ones: 1.000
    for name, (mean, sd) in PUBLISHED.items():
        tones = Dermoscopy.model_validate({"subgroups": {"a": name, "b": "dark"}}).subgroups
        assert tones["a"] == Tone(ita_mean=mean, ita_sd=sd)
    spreads = [PUBLISHED[f"monk_{letter}_forehead"][1] for letter in "chi"]
    assert spreads == [5.0, 18.9, 29.0]


# --- contrast --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contrast() -> dict[str, np.ndarray]:
    """The rows of the table, measured from pixels."""
    rows: dict[str, list[float]] = {name: [] for name in (*TABLE, "weber, automatic exposure")}
    ita = np.asarray(declared_ita(jnp.asarray(FRACTIONS)))
    for automatic in (0.0, 1.0):
        for i in range(8):
            tone = (ita[i], 0.0)
            generator = Flat.model_validate(pair(tone, tone, auto_exposure=automatic) | PLAIN)
            linear = np.asarray(canvas.linear_light(images(generator, subjects(64))), np.float64)
            lesion = np.asarray(masks(generator, subjects(64)))[0] > 0.5
            found = visible(linear[:, ~lesion], linear[:, lesion], generator.white_electrons)
            for name, value in found.items():
                rows.get(f"{name}, automatic exposure" if automatic else name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def visible(skin: np.ndarray, lesion: np.ndarray, white: float) -> dict[str, float]:
    """Contrast of pixels [image, pixel, channel] of a lesion to those of the skin around it, mean over images."""
    green = [white * x[..., 1] for x in (skin, lesion)]
    noise = np.sqrt(sum(x.var(axis=1) for x in green) / 2)
    mean = [x.mean(axis=1) for x in (skin, lesion)]
    luminance = [np.asarray(canvas.luminance(x)) for x in mean]
    colour = [np.asarray(canvas.lab(x)) for x in mean]
    return {
        "weber": float(np.mean(1 - luminance[1] / luminance[0])),
        "delta_e": float(np.linalg.norm(colour[0] - colour[1], axis=-1).mean()),
        "cnr": float(np.mean((green[0].mean(axis=1) - green[1].mean(axis=1)) / noise)),
    }


@pytest.mark.parametrize("row", TABLE)
def test_a_lesion_is_as_visible_as_tabulated_on_skin_of_every_tone(row: str, contrast: Any) -> None:
    assert np.abs(contrast[row] / TABLE[row] - 1).max() < 0.1, contrast[row]
    assert spearmanr(FRACTIONS, contrast[row]).statistic < -0.99


def test_exposure_changes_the_noise_and_not_the_contrast(contrast: Any) -> None:
    assert np.allclose(contrast["weber"], contrast["weber, automatic exposure"], rtol=0.01)
    assert contrast["cnr, automatic exposure"][-1] > 2 * contrast["cnr"][-1]


# --- twins -----------------------------------------------------------------------------------------------------------


def expected(melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
    """Linear sRGB of skin in double precision, implemented apart from the generator: Tsumura's sum of pigments."""
    f, b = melanin[..., None], np.sqrt(blood)[..., None]
    slope, root, square, start = np.array(
        [
            [4.376, 8.327, 14.209],
            [1.522, 4.661, 5.000],
            [1.015, -0.067, 13.256],
            [0.2595, 0.2019, 0.4328],
        ]
    )
    return 0.03 + np.exp(-start - slope * f - root * b - square * f**2)


def test_twins_differ_by_the_analytic_signal_alone() -> None:
    """Without camera noise: tone differs everywhere as pigments add, and the lesion only inside its outline."""
    fields = pair("light", "dark", white_electrons=1e6, read_noise=0.0) | PLAIN
    who = subjects(64)
    rendered, known = {}, {}
    for subgroup, added in ((0, 0.0), (1, 0.0), (0, ADDED), (1, ADDED)):
        generator = Flat.model_validate(fields | {"added": added})
        own = who._replace(subgroup=jnp.full_like(who.subgroup, subgroup))
        cover = np.asarray(masks(generator, own), np.float64)
        skin = np.asarray(melanosome_fraction(latents(generator, own)[:, 0]), np.float64)[:, None, None]
        vessels = np.asarray(_blood(own.key), np.float64)[:, None, None] + 0 * cover
        rendered[subgroup, added] = np.asarray(canvas.linear_light(images(generator, own)), np.float64)
        known[subgroup, added] = expected(skin + added * cover, vessels)
    reference = (0, 0.0)
    for twin in ((1, 0.0), (0, ADDED), (1, ADDED)):
        difference = rendered[twin] - rendered[reference]
        assert np.abs(difference - (known[twin] - known[reference])).max() < 6e-3
        assert np.abs(difference).max() > 0.1
    outside = cover[0] == 0
    for subgroup in (0, 1):
        assert np.array_equal(rendered[subgroup, ADDED][:, outside], rendered[subgroup, 0.0][:, outside])
