"""Networks against a reference implementation with flax's own norms and layers, and gradients by JAX."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biasprop.nn import layers

TOKENS, INPUTS, WIDTH, HEADS = 4, 12, 8, 2
BLUEPRINT = layers.Blueprint(layers.Transformer, (INPUTS, TOKENS, WIDTH, 2, HEADS, 2))
MIXER = layers.Blueprint(layers.Mixer, (INPUTS, TOKENS, WIDTH, 2, 6, 2))
PATCHES = jax.random.normal(jax.random.key(0), (5, TOKENS, INPUTS))


def dense(own: Any, x: jax.Array) -> jax.Array:
    """An affine map of the last axis."""
    return x @ own["kernel"] + own["bias"]


def norm(own: Any, x: jax.Array) -> jax.Array:
    """Layer normalisation."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + layers.EPSILON) * own["scale"] + own["bias"]


def mlp(block: Any, x: jax.Array) -> jax.Array:
    """The MLP of a block of either kind."""
    return x + dense(block["narrow"], jax.nn.gelu(dense(block["widen"], norm(block["norm_mlp"], x))))


def transformer(params: Any, patches: jax.Array) -> jax.Array:
    """A pre-norm transformer (Dosovitskiy et al. 2021, eq. 1 to 4)."""
    x = dense(params["embed"], patches) + params["positions"]
    for block in params["blocks"].values():
        mixed = dense(block["attention"]["mix"], norm(block["norm_attention"], x))
        q, k, v = jnp.moveaxis(mixed.reshape(-1, TOKENS, 3, HEADS, WIDTH // HEADS), 2, 0)
        weights = jax.nn.softmax(jnp.einsum("nqhc,nkhc->nhqk", q, k) / (WIDTH // HEADS) ** 0.5, axis=-1)
        attended = jnp.einsum("nhqk,nkhc->nqhc", weights, v).reshape(x.shape)
        x = mlp(block, x + dense(block["attention"]["out"], attended))
    return norm(params["norm"], x)


def mixer(params: Any, patches: jax.Array) -> jax.Array:
    """A mixer (Tolstikhin et al. 2021, eq. 1)."""
    x = dense(params["embed"], patches)
    for block in params["blocks"].values():
        columns = norm(block["norm_tokens"], x).mT
        x = mlp(block, x + (jax.nn.gelu(dense(block["spread"], columns)) @ block["gather"]["kernel"]).mT)
    return norm(params["norm"], x)


TEXTBOOK = {BLUEPRINT: transformer, MIXER: mixer}


@functools.cache
def perturbed_parameters(blueprint: layers.Blueprint) -> Any:
    """Perturbed initial parameters, so that no scale is 1 and no bias 0."""
    fresh = layers.init(blueprint, jax.random.key(1))
    leaves, tree = jax.tree.flatten(fresh)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    other = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, other)


@pytest.mark.parametrize("blueprint", TEXTBOOK, ids=lambda blueprint: blueprint.module.__name__)
def test_features_equal_the_reference(blueprint: layers.Blueprint) -> None:
    params = perturbed_parameters(blueprint)
    theirs = TEXTBOOK[blueprint](params, PATCHES)
    np.testing.assert_allclose(layers.apply(blueprint, params, PATCHES), theirs, atol=2e-5)


@pytest.mark.parametrize("blueprint", TEXTBOOK, ids=lambda blueprint: blueprint.module.__name__)
def test_gradients_equal_the_reference(blueprint: layers.Blueprint) -> None:
    params, aim = perturbed_parameters(blueprint), jax.random.normal(jax.random.key(3), (5, TOKENS, WIDTH))
    ours = jax.grad(lambda p: jnp.sum(aim * jnp.tanh(layers.apply(blueprint, p, PATCHES))))(params)
    theirs = jax.grad(lambda p: jnp.sum(aim * jnp.tanh(TEXTBOOK[blueprint](p, PATCHES))))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4, rtol=2e-4), ours, theirs)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3)])
def test_the_kernels_gradient_in_either_orientation(inputs: int, outputs: int) -> None:
    rows, kernel, bias = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(9, inputs), (inputs, outputs), (outputs,)])
    )
    gradients = jax.grad(lambda *p: jnp.sum(jnp.sin(layers.affine(*p))), (0, 1, 2))(rows, kernel, bias)
    expected = jax.grad(lambda r, k, b: jnp.sum(jnp.sin(r @ k + b)), (0, 1, 2))(rows, kernel, bias)
    for found, right in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)


def test_a_flax_norm_of_centred_rows_is_ours() -> None:
    rows = layers.centred(jax.random.normal(jax.random.key(4), (6, WIDTH)))
    ours, theirs = layers.Norm(WIDTH, rngs=nnx.Rngs(0)), nnx.LayerNorm(WIDTH, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(ours(rows), theirs(rows), atol=1e-6)


def test_a_mixer_is_equivariant_to_permuted_positions() -> None:
    order = jnp.array([2, 0, 3, 1])
    params = perturbed_parameters(MIXER)

    def other(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        part, name = path[-2].key, path[-1].key
        if part == "spread" and name == "kernel":
            return leaf[order]
        return leaf[..., order] if part == "gather" else leaf

    elsewhere = jax.tree_util.tree_map_with_path(other, params)
    found = layers.apply(MIXER, elsewhere, PATCHES[:, order])
    np.testing.assert_allclose(found, layers.apply(MIXER, params, PATCHES)[:, order], atol=1e-5)
