"""What every encoder promises, over the table of encoders."""

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
LEAST = 1e-5
"""Part of the largest slope that no parameter's is below: rounding alone gives 1e-7."""
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
def test_an_image_is_encoded_whatever_its_neighbours(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SHAPE)
    whole = encoder.apply(params, IMAGES)
    assert np.allclose(encoder.apply(params, IMAGES[2:3])[0], whole[2], atol=1e-5)
    assert np.allclose(encoder.apply(params, IMAGES[::-1])[::-1], whole, atol=1e-5)
    assert np.ptp(np.asarray(whole), axis=0).min() > 1e-4, "a feature ignores the image"


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_parameter_and_pixel_matters(kind: str) -> None:
    encoder = member("encoders", kind)
    # Away from the initial point, where biases of 0 and scales of 1 hide a slope.
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
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > LEAST * largest, jax.tree_util.keystr(path)
    assert (np.abs(by_pixels).max(axis=(0, 3)) > 0).all()


@pytest.mark.parametrize("kind", ENCODERS)
def test_its_numbers_are_what_a_memory_estimate_may_rest_on(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SHAPE)
    parameters, kept = encoder.counts(SHAPE)
    assert parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    of = [_kept(encoder, params, IMAGES[:n]) - IMAGES[:n].size for n in (1, 6)]
    if kind != "linear":  # of which nothing is kept but the image
        assert 0.5 < kept / ((of[1] - of[0]) / 5) < 2


def _kept(encoder: Any, params: Any, images: jax.Array) -> int:
    """How many numbers JAX keeps of a batch for the way back."""
    back = jax.vjp(lambda moved: encoder.apply(moved, images), params)[1]
    return sum(leaf.size for leaf in jax.tree.leaves(back))


@pytest.mark.parametrize("kind", [kind for kind in ENCODERS if kind != "linear"])
def test_layers_are_numbered_from_the_image_to_the_head(kind: str) -> None:
    encoder = member("encoders", kind, depth=3)
    numbers = encoder.layers(encoder.init(KEY, SHAPE))
    assert set(jax.tree.leaves(numbers["embed"])) == {0}
    assert [set(jax.tree.leaves(numbers["blocks"][i])) for i in range(3)] == [{1}, {2}, {3}]
    assert set(jax.tree.leaves(numbers["norm"])) == {3}


def test_a_mixer_knows_where_a_patch_lies_and_leaves_none_out() -> None:
    encoder = member("encoders", "mixer")
    params = encoder.init(KEY, SHAPE)
    moved = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(encoder.apply(params, moved), encoder.apply(params, IMAGES), atol=1e-4)
    assert encoder.tokens(params, IMAGES).shape == (6, 4, 8)
    refusal = member("objectives", "masked").incompatibility(encoder, SHAPE)
    assert refusal == "masked needs an encoder that can drop tokens; mixer cannot"


def test_a_transformer_refuses_what_its_patches_do_not_divide() -> None:
    assert "patch = 8" in str(Vit(patch=8).incompatibility((20, 20, 3)))
    assert Vit(patch=4).incompatibility((20, 20, 3)) is None
    with pytest.raises(ValueError, match="heads = 3"):
        Vit(width=64, heads=3)


def test_a_transformer_knows_where_a_patch_lies_and_may_drop_tokens() -> None:
    encoder = Vit(patch=8, width=8, depth=1, heads=2)
    params = encoder.init(KEY, SHAPE)
    moved = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(encoder.apply(params, moved), encoder.apply(params, IMAGES), atol=1e-4)
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
