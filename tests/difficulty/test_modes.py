"""What each difficulty mode promises, over every generator that supports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import ttest_ind

from biasprop import keys
from biasprop.difficulty import DIFFICULTIES, supported
from biasprop.difficulty.calibrated import Calibrated
from biasprop.generators import canvas, channelised_observer, dermoscopy
from biasprop.generators.doses import matching_factors
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import HasContrast, HasDose, Subjects
from biasprop.observers.calibration_cache import calibrated
from tests.members import (
    ROOMS,
    differing,
    images,
    latents,
    level,
    level_class,
    masks,
    measured,
    member,
    same,
    subjects,
    twins,
)

GENERATORS: Any = ROOMS["generators"]
SUPPORTED = {kind: supported(wrapped.generator_class, DIFFICULTIES) for kind, wrapped in GENERATORS.items()}
"""Generator -> modes that it supports."""
IMAGES = [kind for kind, wrapped in GENERATORS.items() if issubclass(wrapped.generator_class, ImageGenerator)]
MODES = [(kind, mode) for kind, modes in SUPPORTED.items() for mode in modes]
OWN = {"dermoscopy": [{"ita_mean": 50.0}, {"ita_mean": -25.0}], "gaussian": [{"amplitude": 0.1}, {"amplitude": 0.05}]}
"""Levers in which the subgroups of a generator differ, if not in all."""


def with_mode(mode: str) -> list[str]:
    """Generators that support a mode."""
    return [kind for kind, modes in SUPPORTED.items() if mode in modes]


@pytest.fixture(autouse=True, scope="module")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(dermoscopy, "LESIONS", 6)
        patch.setattr(channelised_observer, "PATIENTS_DRAWN", 3)
        yield


def mirrors(kind: str, **mode: float) -> Any:
    """A generator in mode ``symmetric``."""
    cls = GENERATORS[kind]
    one = level(cls, **({"stretch": 1.0} if "stretch" in level_class(cls).model_fields else {}))
    return member("generators", kind, subgroups={"a": one, "b": one}, difficulty={"kind": "symmetric", **mode})


def in_mode(kind: str, mode: str) -> Any:
    """A generator in a mode, with subgroups that differ as far as the mode allows."""
    if mode == "symmetric":
        return mirrors(kind)
    cls = GENERATORS[kind]
    if kind not in OWN:
        return calibrated(differing(kind, by=0.3, difficulty=mode))
    found = {name: level(cls, **own) for name, own in zip("ab", OWN[kind], strict=True)}
    return calibrated(member("generators", kind, subgroups=found, difficulty=mode))


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, mode in MODES if kind in IMAGES])
def test_every_mode_satisfies_the_generator_contract(kind: str, mode: str) -> None:
    generator, who = in_mode(kind, mode), subjects(256)
    one, other = images(generator, who), images(generator, twins(who, 1))
    for x in (one, other):
        assert np.isfinite(x).all() and np.mean((x >= 0) & (x <= 1)) > 0.98
    assert np.mean(np.abs(one - other)) > 0.01, "the subgroups are identical"
    assert same(images(generator, twins(twins(who, 1), 0)), one)
    severity = list(generator.latent_names).index("severity")
    assert same(latents(generator, who)[:, severity], latents(generator, twins(who, 1))[:, severity])
    assert all(np.isfinite(values).all() for values in measured(generator, who).values())
    assert masks(generator, who).shape == one.shape[:3]


@pytest.mark.parametrize("kind", with_mode("calibrated"))
def test_calibrated_matches_the_ideal_observers(kind: str) -> None:
    """By dose for all diseases at once, or by contrast for every disease on its own."""
    natural, calibrated = in_mode(kind, "natural"), in_mode(kind, "calibrated")
    auc = "ideal_auc" if hasattr(natural, "ideal_auc") else "linear_auc"
    by_dose = issubclass(GENERATORS[kind].generator_class, HasDose)
    assert by_dose or list(calibrated.difficulty.contrast) == list(natural.diseases)
    for index, disease in enumerate(natural.diseases):
        before, after = (
            [getattr(g, auc)(g.representative(name)._replace(disease=jnp.int32(index))) for name in "ab"]
            for g in (natural, calibrated)
        )
        assert abs(before[0] - before[1]) > 0.002, disease
        assert abs(after[0] - after[1]) < 1e-3, "required: within .01"
        # Contrasts of other diseases change the background, doses do not.
        assert min(after) == pytest.approx(min(before), abs=1e-4 if by_dose else 1e-2), "the hardest is unchanged"
        factors = calibrated.difficulty.dose if by_dose else calibrated.difficulty.contrast[disease]
        assert sorted(factors) == ["a", "b"] and max(factors.values()) == 1 and min(factors.values()) < 1


def having(protocol: type) -> list[str]:
    """Generators with a capability."""
    return [kind for kind, wrapped in GENERATORS.items() if issubclass(wrapped.generator_class, protocol)]


def diseases_of(kind: str) -> tuple[str, ...]:
    """Diseases of a generator."""
    return GENERATORS[kind].generator_class.diseases


CONTRASTS = [(kind, disease) for kind in having(HasContrast) for disease in diseases_of(kind)]
"""Generators with a contrast, and their diseases."""


@pytest.mark.parametrize(("kind", "disease"), CONTRASTS)
def test_a_contrast_is_of_one_disease_in_one_subgroup_and_nothing_else(kind: str, disease: str) -> None:
    """It makes the disease fainter, and changes neither the healthy by more than that nor another disease."""
    natural, diseases = in_mode(kind, "natural"), diseases_of(kind)
    who = subjects(256)

    def added(contrast: dict[str, dict[str, float]], subgroup: int, target: str = disease) -> np.ndarray:
        """What a disease adds to the images of a subgroup."""
        stated = who._replace(disease=jnp.full_like(who.label, diseases.index(target)))
        generator = natural.model_copy(update={"difficulty": Calibrated(contrast=contrast)})
        one, other = (
            images(generator, twins(stated._replace(label=jnp.full_like(who.label, label)), subgroup))
            for label in (0, 1)
        )
        return np.abs(other - one).mean(axis=(1, 2, 3))

    full, weak = {disease: {"a": 1.0}}, {disease: {"a": 0.3}}
    assert np.abs(added(weak, 1) - added(full, 1)).max() < 1e-6
    assert 0.15 < added(weak, 0).mean() / added(full, 0).mean() < 0.5
    assert added({disease: {"a": 1e-6}}, 0).max() < 1e-4
    for other in diseases:
        if other != disease:
            assert added(weak, 0, other).mean() / added(full, 0, other).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", having(HasContrast))
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dose": {"a": 0.5}}, "is calibrated by its contrast; allowed: contrast"),
        ({"contrast": {"gout": {"a": 0.5}}}, r"contrast: no such disease: gout; allowed: "),
        ({"contrast": {"FIRST": {"c": 0.5}}}, r"contrast\.\w+: no such subgroup: c; allowed: a, b"),
    ],
)
def test_a_contrast_of_nothing_is_rejected(kind: str, values: dict[str, Any], message: str) -> None:
    first = diseases_of(kind)[0]
    named = {
        field: {first if key == "FIRST" else key: value for key, value in table.items()}
        for field, table in values.items()
    }
    with pytest.raises(ValidationError, match=message):
        member("generators", kind, difficulty={"kind": "calibrated", **named})


@pytest.mark.parametrize("kind", having(HasDose))
def test_a_dose_is_noise_and_nothing_else(kind: str) -> None:
    """A lower dose adds noise in its subgroup and does not change the disease."""
    generator, who = in_mode(kind, "natural"), subjects(400)
    low = generator.model_copy(update={"difficulty": Calibrated(dose={"a": 0.05})})
    assert np.abs(images(low, twins(who, 1)) - images(generator, twins(who, 1))).max() < 1e-6
    assert same(masks(low, who), masks(generator, who))
    rough = [np.diff(np.asarray(images(g, who)), axis=2).std() for g in (generator, low)]
    assert rough[1] > 1.5 * rough[0]


def test_invertible_skin_is_one_filter_of_another() -> None:
    generator, who = in_mode("dermoscopy", "invertible"), subjects(300)
    one, other = (canvas.linear_light(images(generator, twins(who, g))) for g in (0, 1))
    bright = np.asarray(one) > 0.05
    ratio = np.asarray(other) / np.maximum(one, 1e-6)
    for channel in range(3):
        values = ratio[..., channel][bright[..., channel]]
        assert np.ptp(values) < 1e-3 * values.mean() < 1e-3, "not one factor for all pixels of all subjects"
    declared = latents(generator, twins(who, 1))[:, 0]
    assert np.mean(declared) == pytest.approx(-25, abs=3)
    assert np.mean(np.abs(measured(generator, twins(who, 1))["ita"] - declared)) < 3


def test_invertible_background_is_one_filter_of_another() -> None:
    generator, who = in_mode("gaussian", "invertible"), subjects(300)
    one, other = (np.fft.fft2(np.asarray(images(generator, twins(who, g)))[..., 0] - 0.5) for g in (0, 1))
    strong = np.abs(one) > 0.2
    ratio = np.where(strong, other / np.where(strong, one, 1), np.nan)
    assert np.nanmax(np.nanstd(ratio, axis=0)) < 1e-3
    one, other = (generator.representative(name) for name in "ab")
    assert generator.ideal_auc(one) == generator.ideal_auc(other)
    with pytest.raises(ValueError, match="signal differs"):
        generator.law(one)


def test_a_turned_background_is_the_mirror_image_of_the_other() -> None:
    generator = mirrors("gaussian", angle=20.0)
    signal, _ = generator.law(generator.representative("a"))
    covariances = {name: generator.law(generator.representative(name))[1] for name in "ab"}
    size = int(len(signal) ** 0.5)
    flipped = np.arange(size * size).reshape(size, size)[:, ::-1].ravel()
    assert np.allclose(covariances["b"], covariances["a"][np.ix_(flipped, flipped)], atol=1e-5)
    assert not np.allclose(covariances["b"], covariances["a"], atol=1e-4)
    assert np.allclose(signal[flipped], signal, atol=1e-7)
    drawn = np.asarray(images(mirrors("gaussian", angle=20.0), subjects(3000)._replace(label=np.zeros(3000, int))))
    found = np.cov(drawn.reshape(3000, -1).T)
    error = np.sqrt((covariances["a"] ** 2 + np.outer(*2 * [np.diag(covariances["a"])])) / 3000)
    assert np.mean(np.abs(found - covariances["a"]) < 3 * error) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", with_mode("symmetric"))
def test_mirror_images_are_equal_in_law(kind: str) -> None:
    """First and second moments of random patches, and all measurements: B against mirrored A, of different subjects."""
    generator = mirrors(kind)
    n = 3000
    a, b = (np.asarray(images(generator, subjects(n, g, seed=7 + g))) for g in (0, 1))
    weights = np.random.default_rng(1).normal(size=(40, *a.shape[1:])) / np.sqrt(a[0].size)

    def statistics(x: np.ndarray) -> np.ndarray:
        read = np.tensordot(x - 0.5, weights, axes=((1, 2, 3), (1, 2, 3)))
        return np.concatenate([read, read**2], axis=1)

    mirrored, plain, other = (statistics(x) for x in (a[:, :, ::-1], a, b))
    assert np.abs(ttest_ind(mirrored, other).statistic).max() < 4.2
    assert np.abs(ttest_ind(plain, other).statistic).max() > 6, "A and B cannot be told apart at all"
    for name, values in measured(generator, subjects(n, 0, seed=7)).items():
        opposite = measured(generator, subjects(n, 1, seed=8))[name]
        sign = -1 if name == "slope" else 1
        assert abs(ttest_ind(sign * values, opposite).statistic) < 4.2, name
        if name == "slope":
            assert np.median(values) == pytest.approx(30, abs=8)


@pytest.mark.parametrize("kind", with_mode("symmetric"))
def test_the_angle_is_the_distance_between_mirror_images(kind: str) -> None:
    who = subjects(300)
    assert same(images(mirrors(kind, angle=0.0), who), images(mirrors(kind, angle=0.0), twins(who, 1)))
    far = [
        np.mean(np.abs(images(generator, who) - images(generator, twins(who, 1))))
        for generator in (mirrors(kind, angle=angle) for angle in (5.0, 15.0, 40.0))
    ]
    assert 0 < far[0] < far[1] < far[2]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (
            "dermoscopy",
            {"subgroups": {"a": "light", "b": "dark"}, "difficulty": "symmetric"},
            "two subgroups with equal levers",
        ),
        ("dermoscopy", {"difficulty": {"kind": "calibrated", "dose": {"c": 0.5}}}, "no such subgroup: c"),
        ("gaussian", {"difficulty": "symmetric"}, "has no slope"),
        ("gaussian", {"difficulty": {"kind": "symmetric", "angle": 50.0}}, "less than or equal to 45"),
    ],
)
def test_incompatible_modes_raise(kind: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        member("generators", kind, **values)


def test_doses_are_solved_for_once_and_again_after_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    generator = member("generators", "gaussian", subgroups={"a": {"amplitude": 0.1}, "b": {}}, difficulty="calibrated")
    found, calls, solve = generator.calibrated().difficulty, [], Calibrated.calibrated
    monkeypatch.setattr(Calibrated, "calibrated", lambda self, plain: calls.append(1) or solve(self, plain))
    assert calibrated(generator).difficulty == calibrated(generator).difficulty == found and len(calls) == 1
    (file,) = tmp_path.rglob("difficulty-*.json")
    for damage in ("{", "[]", file.read_text().replace("1.0", "0.5")):
        calls.clear()
        file.write_text(damage)
        assert calibrated(generator).difficulty == calibrated(generator).difficulty == found and len(calls) == 1
    other = generator.model_copy(update={"subgroups": dict(reversed(generator.subgroups.items())), "contrast": 0.2})
    assert calibrated(other).difficulty.dose == pytest.approx(found.dose) and len(calls) == 2
    natural = member("generators", "gaussian")
    assert calibrated(natural) is natural and calibrated(calibrated(generator)) is not None and len(calls) == 2


@pytest.mark.parametrize("mode", [mode for mode in DIFFICULTIES if mode != "natural"])
def test_a_mode_that_a_generator_does_not_support_is_rejected_with_the_reason(mode: str) -> None:
    assert SUPPORTED["disc"] == ["natural"] and member("generators", "disc").difficulty.kind == "natural"
    with pytest.raises(ValidationError, match=f"{mode} needs .*, which disc does not have; allowed: natural") as caught:
        member("generators", "disc", difficulty=mode)
    assert [detail["loc"] for detail in caught.value.errors()] == [("difficulty",)]


@pytest.mark.parametrize(("kind", "mode"), MODES)
def test_all_methods_of_a_subject_see_it_in_the_circumstances_of_the_mode(kind: str, mode: str) -> None:
    generator, who = in_mode(kind, mode), subjects(1, 1)
    (subject,) = [jax.tree.map(lambda leaf: leaf[0], who)]
    circumstances = generator.difficulty.subject(generator.plain, subject)
    assert (circumstances == subject) == (mode == "natural")
    for method in ("observe", "latents", *(("render", "mask") if "image" in generator.spec else ())):
        assert same(getattr(generator, method)(subject), getattr(generator.plain, method)(circumstances))
    assert generator.latent_names == generator.plain.latent_names and generator.spec == generator.plain.spec
    assert type(generator.plain) is GENERATORS[kind].generator_class
    assert not hasattr(generator, "no_such_method")


def test_matching_factors_finds_the_root_or_raises() -> None:
    found = matching_factors(
        lambda name, dose: {"a": 2.0, "b": 1.0, "c": 4.0}[name] * dose**0.5, ["a", "b", "c"], "dose"
    )
    assert found == {"a": pytest.approx(0.25, rel=2e-3), "b": 1.0, "c": pytest.approx(1 / 16, rel=2e-3)}
    with pytest.raises(ValueError, match=r"no contrast of .* makes a as hard"):
        matching_factors(lambda name, contrast: {"a": 2.0, "b": 1.0}[name], ["a", "b"], "contrast")


def test_the_linear_observer_has_its_limits() -> None:
    """Limits of low noise (known latents) and high noise (chance), and the closed form for known cues."""
    from biasprop.generators.linear_observer import auc

    generator = in_mode("dermoscopy", "natural")
    slopes = np.random.default_rng(0).normal(size=(50, 5))
    loadings = np.full(5, generator.loading)
    assert auc(slopes, np.full(50, 1e-9), loadings, generator.severity_sd) == pytest.approx(
        generator.informed_auc(generator.representative("a")), abs=1e-6
    )
    assert auc(slopes, np.full(50, 1e9), loadings, generator.severity_sd) == pytest.approx(0.5, abs=1e-3)
    by_hand = loadings @ slopes.T @ np.linalg.solve(slopes @ slopes.T + 2 * np.eye(50), slopes @ loadings)
    from scipy.stats import norm

    assert auc(slopes, np.full(50, 2.0), loadings, 0.0) == pytest.approx(norm.cdf(np.sqrt(by_hand / 2)), abs=1e-9)
    light, dark = (generator.representative(name) for name in "ab")
    assert 0.8 < generator.linear_auc(dark) < generator.linear_auc(light) < generator.informed_auc(light)


def test_uncached_linear_models_give_the_same_auc(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = in_mode("dermoscopy", "natural")
    kept = generator.plain._linear_model(generator.representative("a"))
    assert kept(1) is kept(1)
    monkeypatch.setattr(dermoscopy, "MAX_CACHED_SLOPE_BYTES", 0)
    again = generator.plain._linear_model(generator.representative("a"))
    assert again(1) is not again(1) and same(again(1), kept(1))


def test_the_linear_model_is_the_derivative_of_the_image() -> None:
    """Finite differences of noise-free images about the midpoint between the classes."""
    generator = in_mode("dermoscopy", "natural")
    about = generator.plain._linear_model(generator.representative("b"))
    models = [about(drawn) for drawn in range(dermoscopy.LESIONS)]
    slopes, electrons = (np.stack([np.asarray(getattr(m, name)) for m in models]) for name in ("slopes", "electrons"))
    exact = generator.model_copy(update={"severity_sd": 0.0, "white_electrons": 1e12, "read_noise": 0.0})
    own = keys.at_each(keys.stream(keys.replicate(0, 0), keys.Stream.TRUTH), jnp.arange(len(models)))

    def density(severity: float) -> np.ndarray:
        who = Subjects(own, jnp.full(len(own), 1), jnp.full(len(own), severity))
        light = canvas.linear_light(images(exact, who))
        return -np.log(np.moveaxis(np.asarray(light, np.float64), -1, 1).reshape(len(own), -1))

    rise = (density(0.52) - density(0.48)) / 0.04
    told = slopes @ np.asarray(models[0].loadings)
    assert np.linalg.norm(rise - told) < 0.02 * np.linalg.norm(rise)
    assert np.allclose(4000 * np.exp(-density(0.5)), electrons, rtol=2e-3)
