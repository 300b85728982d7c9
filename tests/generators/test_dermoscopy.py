"""The dermoscopy generator against its formulae, its closed forms and its own measurements."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.encoders import ENCODERS
from biasprop.generators import canvas
from biasprop.generators.dermoscopy import CUES, Dermoscopy
from biasprop.generators.skin import BLOOD, PRESETS, declared_ita, melanosome_fraction, skin_colour
from biasprop.nn.optimisation import Schedule
from biasprop.observers.learner import StreamTask, train_learner
from tests.members import SEED, auc, images, latents, masks, measured, same, subjects

N = 5_000
DIRECTION = {"size": 1, "border": 1, "asymmetry": 1, "variegation": 1, "edge": -1}
"""Sign of the change of each measurement with disease: a melanoma has a narrower edge."""

FRACTIONS = np.array([0.013, 0.03, 0.063, 0.085, 0.135, 0.20, 0.30, 0.40])
WEBER = np.array([0.55, 0.54, 0.53, 0.52, 0.49, 0.44, 0.37, 0.28])
"""Weber contrast of .12 more melanin at each fraction, by the diffusion model to which the closed form was fitted."""


def make(**values: Any) -> Dermoscopy:
    """The generator at its default size with a light and a dark subgroup."""
    return Dermoscopy.model_validate({"subgroups": {"light": "light", "dark": "dark"}} | values)


@jax.jit
def _cues(generator: Dermoscopy, who: Any) -> Any:
    return jax.vmap(generator.cues)(who)


def colour(fraction: Any, blood: float = BLOOD) -> Any:
    """Linear sRGB of skin, channels last."""
    return np.moveaxis(np.asarray(skin_colour(jnp.asarray(fraction, jnp.float32), jnp.float32(blood))), 0, -1)


# --- optics ----------------------------------------------------------------------------------------------------------


def test_skin_has_the_declared_typology_angle() -> None:
    fraction = jnp.linspace(0.01, 0.43, 43)
    # The error of two fits: of the colours (2.1 degrees) and of their angle (1.6).
    assert np.abs(np.asarray(canvas.typology_angle(colour(fraction))) - declared_ita(fraction)).max() < 3
    assert np.allclose(melanosome_fraction(declared_ita(fraction)), fraction, rtol=1e-3)
    # Class edges of del Bino et al. in melanosome fraction.
    edges = melanosome_fraction(jnp.array([55.0, 41.0, 28.0, 10.0, -30.0]))
    assert np.allclose(edges, [0.0207, 0.0472, 0.0770, 0.1323, 0.3074], rtol=0.07)
    assert np.isfinite(melanosome_fraction(jnp.array([-150.0, 150.0]))).all()


def test_melanin_hides_the_lesion_as_the_diffusion_model_says() -> None:
    skin, lesion = (np.asarray(canvas.luminance(colour(f))) for f in (FRACTIONS, FRACTIONS + 0.12))
    weber = (skin - lesion) / skin
    assert np.all(np.diff(weber) < 0)
    assert np.abs(weber / WEBER - 1).max() < 0.1


def test_melanin_absorbs_as_eumelanin_does() -> None:
    """Light crosses 60 micrometres of epidermis twice, obliquely: slope of the optical density by Beer and Lambert."""
    wavelength = np.array([610.0, 545.0, 465.0])  # nm, where the three primaries' light is
    expected = 2 * 1.3 * 60e-4 * 6.6e11 * wavelength**-3.33
    pale, little = colour(0.0), colour(0.02)
    slope = -(np.log(little - 0.03) - np.log(pale - 0.03)) / 0.02
    assert np.abs(slope / expected - 1).max() < 0.25


def test_blood_reddens_and_darkens() -> None:
    little, much = colour(0.05, 0.005), colour(0.05, 0.04)
    assert np.all(much < little)
    loss = 1 - much / little
    assert loss[0] < loss[1] and loss[0] < loss[2]


# --- tone measured from pixels ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read() -> dict[str, tuple[dict[str, np.ndarray], np.ndarray]]:
    """Measurements and key latents of the same subjects in each of the two default subgroups."""
    generator = make()
    return {
        name: (measured(generator, subjects(N, i)), np.asarray(latents(generator, subjects(N, i))))
        for i, name in enumerate(generator.subgroups)
    }


LABEL = np.arange(N) % 2


@pytest.mark.parametrize("name", ["light", "dark"])
def test_tone_is_rendered_as_declared(name: str, read: Any) -> None:
    values, truth = read[name]
    error = values["ita"] - truth[:, 0]
    assert abs(error.mean()) < 2 and error.std() < 3
    mean, sd = PRESETS[name]
    assert abs(truth[:, 0].mean() - mean) < 0.1 * sd and abs(truth[:, 0].std() / sd - 1) < 0.05
    assert abs(auc(LABEL, values["ita"]) - 0.5) < 0.03, "skin tone must be independent of the label"


@pytest.mark.slow
def test_fitzpatrick_types_come_out_in_order_with_falling_contrast() -> None:
    types = [f"fitzpatrick_{i}" for i in range(1, 7)]
    generator = make(subgroups={name: name for name in types})
    all_read = [measured(generator, subjects(600, i)) for i in range(6)]
    declared = [np.asarray(latents(generator, subjects(600, i)))[:, 0] for i in range(6)]
    errors = np.concatenate([r["ita"] - d for r, d in zip(all_read, declared, strict=True)])
    assert abs(errors.mean()) < 2 and errors.std() < 3
    ita = [float(r["ita"].mean()) for r in all_read]
    assert np.abs(np.array(ita) - [PRESETS[name][0] for name in types]).max() < 3
    assert ita == sorted(ita, reverse=True)
    contrast = [float(r["contrast"].mean()) for r in all_read]
    assert contrast == sorted(contrast, reverse=True)
    # Types are confused only with adjacent ones.
    edges = (np.array(ita[1:]) + np.array(ita[:-1])) / 2
    for i, r in enumerate(all_read):
        taken_for = np.sum(r["ita"][:, None] < edges, axis=1)
        assert np.mean(np.abs(taken_for - i) > 1) < 0.02


def test_contrast_falls_strictly_with_melanin() -> None:
    """The same lesions on increasingly dark skin."""
    tones = np.arange(60.0, -56.0, -10.0)
    generator = make(subgroups={f"{ita:g}": {"ita_mean": ita, "ita_sd": 0.0} for ita in tones.tolist()})
    contrast = [measured(generator, subjects(400, i))["contrast"].mean() for i in range(len(tones))]
    assert np.all(np.diff(contrast) < 0)
    assert contrast[-1] < 0.6 * contrast[0]


# --- disease ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_a_single_cue_tells_something_and_not_everything(name: str, cue: str, read: Any) -> None:
    assert 0.55 <= auc(LABEL, DIRECTION[cue] * read[name][0][cue]) <= 0.80


def test_the_informed_observer_meets_the_closed_form() -> None:
    generator = make()
    assert 0.92 <= generator.informed_auc(subjects(1)) <= 0.96
    who = subjects(20_000)
    known = np.asarray(_cues(generator, who)).sum(axis=1)
    assert abs(auc(who.label, known) - generator.informed_auc(subjects(1))) < 0.006  # three standard errors
    spread = make(severity_sd=1.0)
    assert abs(auc(who.label, np.asarray(_cues(spread, who)).sum(axis=1)) - spread.informed_auc(subjects(1))) < 0.012


@pytest.mark.parametrize("cue", CUES)
def test_a_cue_is_read_back_by_its_measurement(cue: str, read: Any) -> None:
    known = np.asarray(_cues(make(), subjects(N)))[:, CUES.index(cue)]
    assert (
        DIRECTION[cue] * np.corrcoef(known.argsort().argsort(), read["light"][0][cue].argsort().argsort())[0, 1] > 0.2
    )


def test_the_mean_of_the_image_is_no_shortcut() -> None:
    """It has a lower AUC than a good cue, and adds nothing given the cues."""
    from sklearn.linear_model import LogisticRegression

    generator = make()
    half = np.arange(1_000) < 500
    for subgroup in (0, 1):
        who = subjects(1_000, subgroup)
        mean = np.asarray(images(generator, who)).mean(axis=(1, 2))
        label, known = np.asarray(who.label), np.asarray(_cues(generator, who))
        assert max(abs(auc(label, mean[:, channel]) - 0.5) for channel in range(3)) < 0.17
        both = np.concatenate([known, (mean - mean.mean(axis=0)) / mean.std(axis=0)], axis=1)
        without, added = (
            auc(label[~half], LogisticRegression().fit(x[half], label[half]).decision_function(x[~half]))
            for x in (known, both)
        )
        assert added < without + 0.01


def test_no_loading_leaves_no_trace_of_the_label() -> None:
    generator = make(loading=0.0)
    who = subjects(64)
    assert same(images(generator, who), images(generator, who._replace(label=1 - who.label)))


# --- the view --------------------------------------------------------------------------------------------------------


def test_millimetres_are_millimetres_whatever_the_view(read: Any) -> None:
    diameter = read["light"][0]["size"]
    for values in ({"field_of_view": 16.0}, {"size": 48}):
        other = measured(make(**values), subjects(200))
        assert abs(other["size"].mean() / diameter[:200].mean() - 1) < 0.1
        assert np.corrcoef(other["size"], diameter[:200])[0, 1] > 0.9
    cover = np.asarray(masks(make(), subjects(200))).mean()
    assert np.asarray(masks(make(field_of_view=24.0), subjects(200))).mean() < 0.4 * cover


def test_exposure_light_and_noise_do_what_they_say() -> None:
    who = subjects(200)
    quiet = {
        "shading": 0.0,
        "vignette": 0.0,
        "exposure_sd": 0.0,
        "texture": 0.0,
        "white_electrons": 1e5,
        "read_noise": 0.0,
    }
    clean = np.asarray(images(make(**quiet), who))
    corner, middle = (
        clean[:, :2, :2].mean(),
        np.asarray(images(make(**quiet | {"vignette": 0.5}), who))[:, :2, :2].mean(),
    )
    assert middle < corner - 0.02
    for name, value in {"shading": 0.3, "exposure_sd": 0.2, "texture": 0.3, "read_noise": 1e4}.items():
        assert np.abs(np.asarray(images(make(**quiet | {name: value}), who)) - clean).mean() > 5e-3, name
    dark = subjects(200, 1)
    fixed, automatic = (np.asarray(images(make(auto_exposure=a), dark)).mean() for a in (0.0, 1.0))
    assert automatic > fixed + 0.1


def test_the_first_images_are_the_same_bits_every_time() -> None:
    """The same subjects through two separately compiled programs of the same shape."""
    generator, who = make(), subjects(64, seed=SEED + 1)
    digests = set()
    for _ in range(2):
        render = jax.jit(lambda g, s: jax.vmap(g.render)(s))
        digests.add(hashlib.blake2b(np.asarray(render(generator, who)).tobytes(), digest_size=16).hexdigest())
    assert len(digests) == 1


# --- what a learner makes of the cues --------------------------------------------------------------------------------


class Without(Dermoscopy):
    """The generator with one cue made independent of the disease."""

    deleted: int = -1
    """Index into CUES."""

    def cues(self, subject: Any) -> Any:
        """The cues, one of them at severity 1/2 for both labels."""
        drive = self.loading * jnp.where(jnp.arange(len(CUES)) == self.deleted, 0.5, self.severity(subject))
        return canvas.normal(subject.key, 4, (len(CUES),)) + drive


def _learned(deleted: int) -> float:
    """AUC, mean over the two subgroups, of a classifier trained on measurements from pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    generator = Without.model_validate({"subgroups": {"light": "light", "dark": "dark"}, "deleted": deleted})
    n = 20_000
    reached = []
    for subgroup in (0, 1):
        values = measured(generator, subjects(2 * n, subgroup))
        inputs = np.stack([values[cue] for cue in CUES], axis=1)
        label = np.arange(2 * n) % 2
        learner = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(max_iter=1000))
        learner.fit(inputs[:n], label[:n])
        reached.append(auc(label[n:], learner.decision_function(inputs[n:])))
    return float(np.mean(reached))


@pytest.mark.slow
def test_deleting_any_cue_costs_a_trained_learner() -> None:
    whole = _learned(-1)
    assert 0.8 < whole < make().informed_auc(subjects(1)), "pixels have no more information than the cues"
    lost = {cue: whole - _learned(i) for i, cue in enumerate(CUES)}
    # The standard error of a loss is about .002; in dark skin alone, edge and border cost almost nothing.
    assert min(lost.values()) > 0.005, lost


@jax.jit
def _network(encoder: Any, params: Any, generator: Dermoscopy, who: Any) -> Any:
    def score(one: Any) -> Any:
        return params["head"](encoder.apply(params["encoder"], {"image": generator.render(one)[None]}))[0]

    return jax.lax.map(score, who, batch_size=200)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_deleting_any_cue_costs_a_trained_network() -> None:
    """The default encoder, trained on images with all cues, is tested on images that lack one."""
    encoder, key = ENCODERS["vit"](), keys.replicate(SEED + 1, 0)
    recipe = Schedule(steps=6_000, batch=64, learning_rate=1e-3, weight_decay=0.05)
    params = train_learner(StreamTask(make(), encoder, recipe, key), keys.stream(key, keys.Stream.INIT))
    assert params is not None
    who, reached = [subjects(20_000, subgroup) for subgroup in (0, 1)], {}
    for deleted, name in enumerate(("none", *CUES), -1):
        generator = Without.model_validate({"subgroups": {"light": "light", "dark": "dark"}, "deleted": deleted})
        areas = [auc(one.label, _network(encoder, params, generator, one)) for one in who]
        reached[name] = float(np.mean(areas))
    whole = reached.pop("none")
    assert 0.8 < whole < make().informed_auc(subjects(1))
    # With the same subjects throughout, the standard error of a loss is about .001.
    assert min(whole - area for area in reached.values()) > 0.005, (whole, reached)
