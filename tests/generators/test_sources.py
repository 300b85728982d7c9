"""The contract of sources of non-medical images, and pretraining on them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.component import InputError
from biasprop.generators import SOURCES
from biasprop.keys import at_each
from biasprop.study.conditions import PretrainingCondition
from biasprop.study.load import load_study
from biasprop.training.batching import Batch, over_cells
from biasprop.training.pretrain import untrained
from biasprop.training.pretraining_task import PretrainingTask, cached_cohort
from tests.members import batch, condition, image_spec, member, same
from tests.program.small_experiment import pretrain

NON_MEDICAL = [kind for kind, cls in SOURCES.items() if not cls.shows_subjects]  # pyright: ignore[reportAttributeAccessIssue]


def drawn(kind: str, shape: tuple[int, int, int], n: int = 64) -> np.ndarray:
    """Images of a source."""
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


@pytest.mark.parametrize("kind", NON_MEDICAL)
def test_non_medical_pretraining_is_the_same_for_every_mix(kind: str) -> None:
    to_a, to_b = (pretrain(cell(kind, shares)) for shares in ((1.0, 0.0), (0.1, 0.9)))
    assert same(to_a, to_b)
    assert not same(to_a, pretrain(cell("cohort", (1.0, 0.0))))


@pytest.mark.parametrize("kind", NON_MEDICAL)
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
