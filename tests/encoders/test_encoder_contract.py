"""The contract of encoders, over their table."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.encoders import ENCODERS
from biasprop.encoders.patches import INPUT, PatchEncoder
from biasprop.encoders.vit import Vit
from biasprop.interfaces import ArraySpec
from tests.members import image_spec, member, same

SHAPE = (16, 16, 3)
KEY = jax.random.key(3)
MIN_RELATIVE_GRADIENT = 1e-5
"""Least gradient of a parameter relative to the largest one; rounding alone gives 1e-7."""
IMAGES = jax.random.uniform(jax.random.key(4), (6, *SHAPE))
SPEC = image_spec(*SHAPE) | {"features": ArraySpec((12,))}
EXAMPLES = {"image": IMAGES, "features": jax.random.normal(jax.random.key(5), (6, 12))}
TRAINED = [kind for kind in ENCODERS if member("encoders", kind).counts(SPEC)[0]]
"""Encoders with parameters."""


@pytest.mark.parametrize("kind", ENCODERS)
def test_features_have_the_declared_length(kind: str) -> None:
    encoder = member("encoders", kind)
    for spec in (SPEC, image_spec(8, 8, 1) | {"features": ArraySpec((5,))}):
        assert set(encoder.reads) <= set(spec) and encoder.incompatibility(spec) is None
        params = encoder.init(KEY, spec)
        read = {name: jnp.full((4, *spec[name].shape), 0.3) for name in encoder.reads}  # and nothing else
        features = encoder.apply(params, read)
        assert features.shape == (4, encoder.features(spec)) and features.dtype == jnp.float32
        assert np.isfinite(features).all()


@pytest.mark.parametrize("kind", TRAINED)
def test_same_key_same_parameters_same_features(kind: str) -> None:
    encoder = member("encoders", kind)
    one, two, other = (encoder.init(key, SPEC) for key in (KEY, KEY, jax.random.key(9)))
    assert same(one, two) and not same(one, other)
    apply = jax.jit(encoder.apply)
    assert same(apply(one, EXAMPLES), apply(two, EXAMPLES))
    assert not np.allclose(apply(one, EXAMPLES), apply(other, EXAMPLES))


@pytest.mark.parametrize("kind", ENCODERS)
def test_features_do_not_depend_on_the_rest_of_the_batch(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SPEC)
    whole = encoder.apply(params, EXAMPLES)
    third, backwards = (
        {name: x[rows] for name, x in EXAMPLES.items()} for rows in (slice(2, 3), slice(None, None, -1))
    )
    assert np.allclose(encoder.apply(params, third)[0], whole[2], atol=1e-5)
    assert np.allclose(encoder.apply(params, backwards)[::-1], whole, atol=1e-5)
    assert np.ptp(np.asarray(whole), axis=0).min() > 1e-4, "a feature ignores the example"


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_parameter_and_value_matters(kind: str) -> None:
    encoder = member("encoders", kind)
    # Away from the initial point, where biases of 0 and scales of 1 hide gradients.
    params = jax.tree.map(
        lambda leaf: leaf + 0.01 * jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape),
        encoder.init(KEY, SPEC),
    )
    weights = jnp.cos(jnp.arange(encoder.features(SPEC)))

    def read(params, examples):
        return jnp.sum(jnp.tanh(encoder.apply(params, examples)) @ weights)

    by_params, by_values = jax.grad(read, argnums=(0, 1))(params, EXAMPLES)
    largest = max((np.abs(leaf).max() for leaf in jax.tree.leaves(by_params)), default=0.0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(by_params):
        name = jax.tree_util.keystr(path)
        trained = INPUT not in name
        assert np.isfinite(leaf).all() and (np.abs(leaf).max() > MIN_RELATIVE_GRADIENT * largest) == trained, name
    for name, slopes in by_values.items():
        by_value = np.abs(slopes).max(axis=(0, 3) if name == "image" else 0)
        assert (by_value > 0).all() if name in encoder.reads else not by_value.any(), name


@pytest.mark.parametrize("kind", ENCODERS)
def test_counts_are_accurate_enough_for_a_memory_estimate(kind: str) -> None:
    encoder = member("encoders", kind)
    params = encoder.init(KEY, SPEC)
    parameters, activations = encoder.counts(SPEC)
    assert parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    of = [_residual_count(encoder, params, IMAGES[:n]) - IMAGES[:n].size for n in (1, 6)] if parameters else []
    if parameters and kind != "linear":  # which stores nothing but the image
        assert 0.5 < activations / ((of[1] - of[0]) / 5) < 2


def _residual_count(encoder: Any, params: Any, images: jax.Array) -> int:
    """Number of values that JAX stores of a batch for the backward pass."""
    backward = jax.vjp(lambda some: encoder.apply(some, {"image": images}), params)[1]
    return sum(leaf.size for leaf in jax.tree.leaves(backward))


@pytest.mark.parametrize("kind", [kind for kind, cls in ENCODERS.items() if issubclass(cls, PatchEncoder)])
def test_layers_are_numbered_from_the_image_to_the_head(kind: str) -> None:
    encoder = member("encoders", kind, depth=3)
    numbers = encoder.layers(encoder.init(KEY, SPEC))
    assert set(jax.tree.leaves(numbers["embed"])) == {0}
    assert [set(jax.tree.leaves(numbers["blocks"][i])) for i in range(3)] == [{1}, {2}, {3}]
    assert set(jax.tree.leaves(numbers["norm"])) == {3}


def test_a_mixer_depends_on_positions_and_cannot_drop_tokens() -> None:
    encoder = member("encoders", "mixer")
    params = encoder.init(KEY, SPEC)
    swapped = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(
        encoder.apply(params, {"image": swapped}), encoder.apply(params, {"image": IMAGES}), atol=1e-4
    )
    assert encoder.tokens(params, IMAGES).shape == (6, 4, 8)
    reason = member("objectives", "masked").incompatibility(encoder, SPEC)
    assert reason == "masked needs an encoder that can drop tokens; mixer cannot"


def test_patches_that_do_not_divide_the_image_are_incompatible() -> None:
    assert "patch = 8" in str(Vit(patch=8).incompatibility(image_spec(20, 20, 3)))
    assert Vit(patch=4).incompatibility(image_spec(20, 20, 3)) is None
    with pytest.raises(ValueError, match="heads = 3"):
        Vit(width=64, heads=3)


def test_a_transformer_depends_on_positions_and_can_drop_tokens() -> None:
    encoder = Vit(patch=8, width=8, depth=1, heads=2)
    params = encoder.init(KEY, SPEC)
    swapped = jnp.concatenate([IMAGES[:, 8:], IMAGES[:, :8]], axis=1)
    assert not np.allclose(
        encoder.apply(params, {"image": swapped}), encoder.apply(params, {"image": IMAGES}), atol=1e-4
    )
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
    params = encoder.init(KEY, SPEC)

    def apply(images: jax.Array) -> jax.Array:
        return encoder.apply(params, {"image": images})

    middle = apply(0.5 * (IMAGES[:3] + IMAGES[3:]))
    assert np.allclose(middle, 0.5 * (apply(IMAGES[:3]) + apply(IMAGES[3:])), atol=1e-5)
    assert np.allclose(apply(jnp.full((1, *SHAPE), 0.5)), 0)
    noise = 0.5 + jax.random.normal(jax.random.key(1), (500, *SHAPE))
    assert float(apply(noise).std()) == pytest.approx(1.0, abs=0.1)


def test_the_identity_passes_features_on() -> None:
    encoder = member("encoders", "identity")
    assert same(encoder.apply({}, EXAMPLES), EXAMPLES["features"]) and encoder.init(KEY, SPEC) == {}
