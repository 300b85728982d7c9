"""The contract of encoders, over their table."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.encoders import ENCODERS
from biasprop.encoders.vit import Vit
from tests.members import member, same

SHAPE = (16, 16, 3)
KEY = jax.random.key(3)
MIN_RELATIVE_GRADIENT = 1e-5
"""Least gradient of a parameter relative to the largest one; rounding alone gives 1e-7."""
IMAGES = jax.random.uniform(jax.random.key(4), (6, *SHAPE))


@pytest.mark.parametrize("kind", ENCODERS)
def test_features_have_the_declared_length(kind: str) -> None:
    encoder = member("encoders", kind)
    for shape in (SHAPE, (8, 8, 1)):
        assert encoder.incompatibility(shape) is None
        params = encoder.init(KEY, shape)
        features = encoder.apply(params, jnp.zeros((4, *shape)) + 0.3)
        assert features.shape == (4, encoder.features) and features.dtype == jnp.float32
        assert np.isfinite(features).all()


@pytest.mark.parametrize("kind", ENCODERS)
def test_same_key_same_parameters_same_features(kind: str) -> None:
    encoder = member("encoders", kind)
    one, two, other = (encoder.init(key, SHAPE) for key in (KEY, KEY, jax.random.key(9)))
    assert same(one, two) and not same(one, other)
    apply = jax.jit(encoder.apply)
    assert same(apply(one, IMAGES), apply(two, IMAGES))
    assert not np.allclose(apply(one, IMAGES), apply(other, IMAGES))


@pytest.mark.parametrize("kind", ENCODERS)
def test_features_do_not_depend_on_the_rest_of_the_batch(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SHAPE)
    whole = encoder.apply(params, IMAGES)
    assert np.allclose(encoder.apply(params, IMAGES[2:3])[0], whole[2], atol=1e-5)
    assert np.allclose(encoder.apply(params, IMAGES[::-1])[::-1], whole, atol=1e-5)
    assert np.ptp(np.asarray(whole), axis=0).min() > 1e-4, "a feature ignores the image"


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_parameter_and_pixel_matters(kind: str) -> None:
    encoder = member("encoders", kind)
    # Away from the initial point, where biases of 0 and scales of 1 hide gradients.
    params = jax.tree.map(
        lambda leaf: leaf + 0.01 * jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape),
        encoder.init(KEY, SHAPE),
    )
    weights = jnp.cos(jnp.arange(encoder.features))

    def read(params, images):
        return jnp.sum(jnp.tanh(encoder.apply(params, images)) @ weights)

    by_params, by_pixels = jax.grad(read, argnums=(0, 1))(params, IMAGES)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(by_params))
    for path, leaf in jax.tree_util.tree_leaves_with_path(by_params):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > MIN_RELATIVE_GRADIENT * largest, name
    assert (np.abs(by_pixels).max(axis=(0, 3)) > 0).all()


@pytest.mark.parametrize("kind", ENCODERS)
def test_counts_are_accurate_enough_for_a_memory_estimate(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SHAPE)
    parameters, activations = encoder.counts(SHAPE)
    assert parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    of = [_residual_count(encoder, params, IMAGES[:n]) - IMAGES[:n].size for n in (1, 6)]
    if kind != "linear":  # which stores nothing but the image
        assert 0.5 < activations / ((of[1] - of[0]) / 5) < 2


def _residual_count(encoder: Any, params: Any, images: jax.Array) -> int:
    """Number of values that JAX stores of a batch for the backward pass."""
    backward = jax.vjp(lambda some: encoder.apply(some, images), params)[1]
    return sum(leaf.size for leaf in jax.tree.leaves(backward))


@pytest.mark.parametrize("kind", [kind for kind in ENCODERS if kind != "linear"])
def test_layers_are_numbered_from_the_image_to_the_head(kind: str) -> None:
    encoder = member("encoders", kind, depth=3)
    numbers = encoder.layers(encoder.init(KEY, SHAPE))
    assert set(jax.tree.leaves(numbers["embed"])) == {0}
    assert [set(jax.tree.leaves(numbers["blocks"][i])) for i in range(3)] == [{1}, {2}, {3}]
    assert set(jax.tree.leaves(numbers["norm"])) == {3}


def test_a_mixer_depends_on_positions_and_cannot_drop_tokens() -> None:
    encoder = member("encoders", "mixer")
    params = encoder.init(KEY, SHAPE)
    swapped = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(encoder.apply(params, swapped), encoder.apply(params, IMAGES), atol=1e-4)
    assert encoder.tokens(params, IMAGES).shape == (6, 4, 8)
    reason = member("objectives", "masked").incompatibility(encoder, SHAPE)
    assert reason == "masked needs an encoder that can drop tokens; mixer cannot"


def test_patches_that_do_not_divide_the_image_are_incompatible() -> None:
    assert "patch = 8" in str(Vit(patch=8).incompatibility((20, 20, 3)))
    assert Vit(patch=4).incompatibility((20, 20, 3)) is None
    with pytest.raises(ValueError, match="heads = 3"):
        Vit(width=64, heads=3)


def test_a_transformer_depends_on_positions_and_can_drop_tokens() -> None:
    encoder = Vit(patch=8, width=8, depth=1, heads=2)
    params = encoder.init(KEY, SHAPE)
    swapped = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(encoder.apply(params, swapped), encoder.apply(params, IMAGES), atol=1e-4)
    assert encoder.tokens(params, IMAGES).shape == (6, 4, 8)
    kept = encoder.tokens(params, IMAGES, lambda tokens: tokens[:, :2])
    assert kept.shape == (6, 2, 8)
    below = IMAGES.at[:, 8:].set(0.0)  # tokens 2 and 3, which were dropped
    assert np.allclose(encoder.tokens(params, below, lambda tokens: tokens[:, :2]), kept, atol=1e-6)


def test_patches_are_cut_row_by_row() -> None:
    from biasprop.nn.layers import patchify

    image = jnp.arange(4 * 4 * 2.0).reshape(1, 4, 4, 2)
    patches = patchify(image, 2)
    assert patches.shape == (1, 4, 8)
    assert np.array_equal(patches[0, 1], np.asarray(image)[0, :2, 2:].reshape(-1))
    assert np.array_equal(patches[0, 2], np.asarray(image)[0, 2:, :2].reshape(-1))


def test_the_linear_encoder_is_linear() -> None:
    encoder = member("encoders", "linear")
    params = encoder.init(KEY, SHAPE)
    middle = encoder.apply(params, 0.5 * (IMAGES[:3] + IMAGES[3:]))
    assert np.allclose(middle, 0.5 * (encoder.apply(params, IMAGES[:3]) + encoder.apply(params, IMAGES[3:])), atol=1e-5)
    assert np.allclose(encoder.apply(params, jnp.full((1, *SHAPE), 0.5)), 0)
    noise = 0.5 + jax.random.normal(jax.random.key(1), (500, *SHAPE))
    assert float(encoder.apply(params, noise).std()) == pytest.approx(1.0, abs=0.1)
