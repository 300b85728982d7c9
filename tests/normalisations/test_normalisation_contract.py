"""The contract of normalisations, over their table, and the constants of a cohort."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.normalisations import NORMALISATIONS
from biasprop.optimisers import OPTIMISERS
from biasprop.study.load import load_study
from biasprop.training.input_constants import input_constants
from biasprop.training.pretrain import untrained
from biasprop.training.pretraining_task import pool_of
from tests.members import batch, condition, image_spec, member, same
from tests.source_tree import ROOT

IMAGES = 0.2 + 0.4 * jax.random.uniform(jax.random.key(2), (5, 8, 8, 3)) * jnp.array([1.0, 0.7, 0.5])
CONSTANTS = {"mean": jnp.array([0.4, 0.3, 0.3]), "sd": jnp.array([0.1, 0.1, 0.2])}


def applied(kind: str, images: Any) -> np.ndarray:
    """Images by a normalisation, with constants if it needs any."""
    one = member("normalisations", kind)
    return np.asarray(one.apply(images, CONSTANTS if one.of_cohort else None))


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_each_image_is_scaled_by_itself_without_changing_its_order(kind: str) -> None:
    scaled = applied(kind, IMAGES)
    assert scaled.shape == IMAGES.shape and np.isfinite(scaled).all()
    np.testing.assert_allclose(applied(kind, IMAGES[2:3])[0], scaled[2], rtol=1e-5)
    for channel in range(3):
        before, after = np.asarray(IMAGES[0, ..., channel]).ravel(), scaled[0, ..., channel].ravel()
        assert (np.argsort(before) == np.argsort(after)).all()


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_an_image_of_one_colour_is_finite_and_has_finite_slopes(kind: str) -> None:
    for grey in (0.0, 0.5):
        flat = jnp.full((2, 8, 8, 3), grey)
        assert np.isfinite(applied(kind, flat)).all()
        one = member("normalisations", kind)
        slopes = jax.grad(lambda x: jnp.sum(one.apply(x, CONSTANTS if one.of_cohort else None) ** 2))(flat)  # noqa: B023
        assert np.isfinite(slopes).all()


def test_what_each_takes_out_of_an_image() -> None:
    darker, tinted = 0.5 * IMAGES, IMAGES * jnp.array([1.0, 0.8, 0.6])
    np.testing.assert_allclose(applied("image", darker), applied("image", IMAGES), atol=1e-2)
    np.testing.assert_allclose(applied("image", IMAGES).mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(applied("image", IMAGES).std((1, 2, 3)), 1, atol=1e-3)
    np.testing.assert_allclose(applied("colour_constancy", tinted), applied("colour_constancy", IMAGES), atol=1e-4)
    assert np.abs(applied("image", tinted) - applied("image", IMAGES)).max() > 0.3
    assert same(applied("fixed", IMAGES), 4 * (IMAGES - 0.5))
    np.testing.assert_allclose(applied("cohort", IMAGES), (IMAGES - CONSTANTS["mean"]) / CONSTANTS["sd"], rtol=1e-5)


def cells(objective: str, *shares: tuple[float, float], **values: Any) -> Any:
    """Cells of different mixes whose encoder has the constants of its cohort; 300 subjects are two chunks."""
    encoder = member("encoders", "vit", normalisation="cohort")
    generator = member("generators", "dermoscopy", subgroups={"a": "light", "b": "dark"})
    made = []
    for mix in shares:
        one = condition(objective, mix, generator, encoder)
        made.append((one.model_copy(update={"pretraining": one.pretraining.model_copy(update=values)}), 0))
    return batch(*made)


def test_constants_are_those_of_the_cohort() -> None:
    one = cells("contrastive", (1.0, 0.0), (0.0, 1.0), cohort=300)
    found = input_constants(one)
    for i in range(2):
        cell = jax.tree.map(lambda leaf: leaf[i], one)  # noqa: B023
        images = np.asarray(pool_of(cell.condition, cell.key).inputs(jnp.arange(300), None).examples["image"])
        np.testing.assert_allclose(found["mean"][i], images.mean((0, 1, 2)), rtol=1e-4)
        np.testing.assert_allclose(found["sd"][i], images.std((0, 1, 2)), rtol=1e-3)
    assert (found["mean"][0] > found["mean"][1] + 0.1).all(), "light skin is brighter"
    assert same(untrained(one)["encoder"]["input"], found)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_constants_are_not_trained(optimiser: str) -> None:
    encoder, spec = member("encoders", "vit", normalisation="cohort"), image_spec(8, 8, 3)
    params = encoder.with_constants(encoder.init(jax.random.key(0), spec), CONSTANTS)
    slopes = jax.grad(lambda p: jnp.sum(encoder.apply(p, {"image": IMAGES}) ** 2))(params)
    transformation = member("optimisers", optimiser).transformation(lambda step: jnp.float32(0.1), 0.5)
    updates, _ = transformation.update(slopes, transformation.init(params), params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates["input"]))
    assert np.any(updates["embed"]["kernel"])


def test_without_subjects_constants_are_those_of_a_balanced_cohort() -> None:
    scratch = cells("scratch", (1.0, 0.0), (0.2, 0.8), cohort=300)
    even = cells("contrastive", (0.5, 0.5), cohort=300)
    for cell in range(2):
        for name, wanted in input_constants(even).items():
            np.testing.assert_allclose(input_constants(scratch)[name][cell], wanted[0], rtol=1e-5)


def test_an_encoder_without_cohort_is_that_of_fixed_constants() -> None:
    spec, key = image_spec(8, 8, 3), jax.random.key(0)
    plain, own = (member("encoders", "vit", normalisation=kind) for kind in ("fixed", "cohort"))
    params, images = own.init(key, spec), {"image": IMAGES}
    np.testing.assert_allclose(own.apply(params, images), plain.apply(plain.init(key, spec), images), atol=1e-5)
    assert own.counts(spec)[0] == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_a_study_can_vary_the_normalisation() -> None:
    path = ROOT / "studies" / "skin_tone.toml"
    plain, stated, image = (
        load_study(path, given)
        for given in ((), ("encoder.normalisation='cohort'",), ("encoder.normalisation='image'",))
    )
    assert plain.base_table() == stated.base_table() != image.base_table()
