"""The contract of sources of pretraining examples, and pretraining on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.interfaces import ArraySpec
from biasprop.keys import at_each, replicate
from biasprop.observers.calibration_cache import with_calibration
from biasprop.population.pools import resampled
from biasprop.sources import SOURCES
from biasprop.study.conditions import PretrainingCondition
from biasprop.study.load import load_study
from biasprop.training.batching import Batch, over_cells
from biasprop.training.pretrain import realised_shares, untrained
from biasprop.training.pretraining_task import PretrainingTask, cached_cohort
from tests.members import batch, condition, image_spec, level, member, same
from tests.program.small_experiment import pretrain

NON_MEDICAL = [kind for kind, cls in SOURCES.items() if not cls.shows_subjects]  # pyright: ignore[reportAttributeAccessIssue]
OUT_OF_DOMAIN = [kind for kind, cls in SOURCES.items() if not cls.in_domain]  # pyright: ignore[reportAttributeAccessIssue]
ROWS = jnp.arange(40)


def pool(source: Any, generator: Any, shares: tuple[float, float] = (0.7, 0.3)) -> Any:
    """The pool of a source in a study with this generator."""
    pretraining = condition("reconstruction", shares, generator).pretraining
    return source.pool(replicate(7, 0), generator, pretraining)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("modality", ["gaussian", "dermoscopy"])
def test_examples_have_the_shape_of_the_study_and_depend_on_their_index_alone(kind: str, modality: str) -> None:
    values: Any = {"subgroups": {"a": "light", "b": "dark"}} if modality == "dermoscopy" else {}
    generator, source = member("generators", modality, **values), member("sources", kind)
    assert source.incompatibility(generator.spec) is None
    images = jax.jit(lambda rows: pool(source, generator).inputs(rows, None).examples["image"])
    x = np.asarray(images(ROWS))
    assert x.shape == (40, *generator.spec["image"].shape) and np.isfinite(x).all()
    assert x.min() > -0.5 and x.max() < 1.5, "images of gaussian are not clipped"
    np.testing.assert_allclose(images(ROWS[::-1])[::-1], x, atol=1e-6)
    assert len(np.unique(x.round(3), axis=0)) == 40


@pytest.mark.parametrize("kind", SOURCES)
def test_subgroups_of_examples_have_the_shares_of_their_population(kind: str) -> None:
    examples = pool(member("sources", kind), member("generators", "gaussian"))
    subgroup = np.asarray(examples.subgroup_of(jnp.arange(2_000)))
    drawn = np.bincount(subgroup, minlength=len(examples.shares)) / 2_000
    np.testing.assert_allclose(drawn, examples.shares, atol=0.04)
    assert float(examples.shares.sum()) == pytest.approx(1)


def other(*names: str, shares: tuple[float, float] = (0.7, 0.3), **values: Any) -> Any:
    """The source ``generator`` with two subgroups that differ, in the order of their names."""
    levels = {"a": level_of(0.10), "b": level_of(0.25)}
    generator = member("generators", "gaussian", subgroups={name: levels[name] for name in names or "ab"}, **values)
    return member("sources", "generator", generator=generator, shares=dict(zip("ab", shares, strict=True)))


def level_of(amplitude: float) -> dict[str, float]:
    """A subgroup of the generator ``gaussian``."""
    from biasprop.generators import GENERATORS

    return level(GENERATORS["gaussian"], amplitude=amplitude)


def test_the_generator_of_the_study_with_its_shares_gives_the_images_of_the_cohort() -> None:
    source = other()
    as_cohort = pool(member("sources", "cohort"), source.generator)
    assert same(pool(source, source.generator, (0.1, 0.9)).inputs(ROWS, None), as_cohort.inputs(ROWS, None))


def test_the_order_of_a_sources_subgroups_is_of_no_account() -> None:
    one, turned = other("a", "b"), other("b", "a")
    assert one.model_dump_json() == turned.model_dump_json()
    generator = member("generators", "gaussian")
    assert same(pool(one, generator).inputs(ROWS, None), pool(turned, generator).inputs(ROWS, None))


def test_images_are_resampled_to_another_size_and_number_of_channels() -> None:
    ramp = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 16)[None, None, :, None], (2, 16, 16, 1))
    assert resampled({"image": ramp}, image_spec(16, 16, 1))["image"] is ramp
    for size in (8, 32):
        x = np.asarray(resampled({"image": ramp}, image_spec(size, size, 3))["image"])
        assert x.shape == (2, size, size, 3) and (x[..., :1] == x).all() and (np.diff(x, axis=2) >= 0).all()
        assert x.mean() == pytest.approx(0.5, abs=1e-5)
    colours = jnp.stack([ramp[..., 0], 0 * ramp[..., 0], ramp[..., 0]], axis=-1)
    grey = resampled({"image": colours}, image_spec(16, 16, 1))["image"]
    np.testing.assert_allclose(grey, ramp * 2 / 3, rtol=1e-6)


def test_examples_that_cannot_be_resampled_are_refused() -> None:
    source = member("sources", "generator")
    assert source.incompatibility(image_spec(8, 8, 3)) is None
    assert source.incompatibility({"features": ArraySpec((4,))}) == "examples of gaussian are image and lack features"
    colours = source.model_copy(update={"generator": SimpleNamespace(kind="x", spec=image_spec(8, 8, 3))})
    assert colours.incompatibility(image_spec(16, 16, 2)) == (
        "image of x is 8 x 8 x 3 and cannot be resampled to 16 x 16 x 2"
    )


def test_the_generator_of_a_source_gets_the_constants_of_its_difficulty() -> None:
    source = other(difficulty="calibrated")
    parts = {"generator": member("generators", "gaussian"), "encoder": member("encoders", "linear")}
    plain = condition("reconstruction", **parts)
    solved = with_calibration(
        plain.model_copy(update={"pretraining": plain.pretraining.model_copy(update={"source": source})})
    )
    assert source.generator.difficulty.needs_calibration
    assert not solved.pretraining.source.generator.difficulty.needs_calibration
    assert solved.generator == plain.generator


def drawn(kind: str, shape: tuple[int, int, int], n: int = 64) -> np.ndarray:
    """Images of a source without subjects."""
    source = member("sources", kind)
    keys = at_each(jax.random.key(4), jnp.arange(n))
    return np.asarray(jax.jit(jax.vmap(lambda key: source.observe(key, image_spec(*shape))["image"]))(keys))


@pytest.mark.parametrize("kind", NON_MEDICAL)
def test_images_have_the_shape_that_is_asked_for_and_are_all_different(kind: str) -> None:
    for shape in ((16, 16, 1), (32, 32, 3)):
        x = drawn(kind, shape)
        assert x.shape == (64, *shape) and np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1
        assert same(x, drawn(kind, shape)) and len(np.unique(x.round(3), axis=0)) == 64
        assert np.mean((x > 0) & (x < 1)) > 0.9
    assert x.std(axis=0).min() > 0.1 and abs(x.mean() - 0.5) < 0.1, "positions and colours must be uniform"
    assert np.abs(np.corrcoef(x.reshape(64, -1, 3).mean(axis=1).T) - np.eye(3)).max() < 0.5


@pytest.mark.parametrize("kind", NON_MEDICAL)
def test_power_falls_as_in_natural_images(kind: str) -> None:
    """Power is about proportional to 1 / frequency^2 (Field 1987)."""
    x = drawn(kind, (32, 32, 1))[..., 0]
    power = (np.abs(np.fft.fft2(x - x.mean(axis=(1, 2), keepdims=True))) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32, 1 / 32), np.fft.fftfreq(32, 1 / 32)))
    rings = [power[(frequency >= f - 0.5) & (frequency < f + 0.5)].mean() for f in range(1, 13)]
    slope = np.polyfit(np.log(np.arange(1, 13)), np.log(rings), 1)[0]
    assert -3.5 < slope < -1.2


def cell(source: str, shares: tuple[float, float]) -> Any:
    """A cell whose pretraining compiles quickly."""
    one = condition("reconstruction", shares, member("generators", "gaussian"), member("encoders", "linear", width=4))
    pretraining = one.pretraining.model_copy(update={"source": member("sources", source)})
    return batch((PretrainingCondition(generator=one.generator, encoder=one.encoder, pretraining=pretraining), 0))


@pytest.mark.parametrize("kind", OUT_OF_DOMAIN)
def test_pretraining_out_of_domain_is_the_same_for_every_mix(kind: str) -> None:
    to_a, to_b = (pretrain(cell(kind, shares)) for shares in ((1.0, 0.0), (0.1, 0.9)))
    assert same(to_a, to_b)
    assert not same(to_a, pretrain(cell("cohort", (1.0, 0.0))))
    assert np.isnan(realised_shares(cell(kind, (0.5, 0.5)))).all()


@pytest.mark.parametrize("kind", OUT_OF_DOMAIN)
def test_cached_images_equal_rendered_ones(kind: str) -> None:
    one: Batch = cell(kind, (1.0, 0.0))
    params, kept = untrained(one), cached_cohort(one)
    assert kept is not None
    loss = over_cells(lambda task, own, step: task.loss(own, step))
    shown, rendered = (loss(PretrainingTask(*one, images), params, jnp.array([3])) for images in (kept, None))
    np.testing.assert_allclose(shown, rendered, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('pretraining.objective="next_scan"', "next_scan needs subjects, and natural_textures has none"),
        ('pretraining.mitigation="resampling"', "resampling needs subjects, and natural_textures has none"),
    ],
)
def test_conditions_that_need_subjects_raise(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study("studies/skin_tone.toml", set=['pretraining.source="natural_textures"', change])


SOURCE = """pretraining.source={ kind = "generator", generator = { kind = "gaussian", size = 32, subgroups = {
    a = { amplitude = 0.1 }, b = { amplitude = 0.1 } } }, shares = { a = 0.5, b = 0.5 } }""".replace("\n", "")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("{ a = 0.5, bb = 0.5 }", "pretraining.source.shares.bb: there is no such subgroup"),
        ("{ a = 1.0 }", "pretraining.source.shares: has no share for b"),
        ("{ a = 0.5, b = 0.2 }", "pretraining.source.shares: shares must sum to 1; these sum to 0.7"),
    ],
)
def test_shares_of_a_source_are_checked_as_those_of_the_study(shares: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        load_study("studies/skin_tone.toml", set=[SOURCE, f"pretraining.source.shares={shares}"])
    assert message in str(raised.value)


def test_a_source_reads_what_its_own_generator_has() -> None:
    with pytest.raises(InputError, match="next_scan needs follow-up images of subjects; gaussian has none"):
        load_study("studies/skin_tone.toml", set=[SOURCE, 'pretraining.objective="next_scan"'])
