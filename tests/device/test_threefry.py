"""Random bits of flattened arrays: the same bits, fewer axes, and JAX's own rule afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p
from jax.interpreters import batching

from biasprop.hardware import device, threefry

KEYS = jax.random.split(jax.random.key(3), 5)


def hairs(key: jax.Array) -> Any:
    """What a generator draws of a subject: of each of nine hairs a key, and then a few numbers."""
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(9))
    return jax.vmap(lambda key: jax.random.normal(key, (12,)))(keys)


DRAWS: dict[str, Callable[[jax.Array], Any]] = {
    "few numbers of many small keys": hairs,
    "an image": lambda key: jax.random.uniform(key, (48, 48, 3)),
    "an odd number of numbers": lambda key: jax.random.exponential(key, (3, 7)),
    "one number": lambda key: jax.random.randint(key, (), 0, 1_000),
    "no number": lambda key: jax.random.normal(key, (0, 4)),
    "bits of other widths": lambda key: [jax.random.bits(key, (3, 5), kind) for kind in (jnp.uint8, jnp.uint16)],
    "an order": lambda key: jax.random.permutation(key, 11),
    "parts of a key": lambda key: jax.random.key_data(jax.random.split(key, (2, 3))),
    "several distributions": lambda key: (jax.random.gamma(key, jnp.array([0.5, 2.0])), jax.random.bernoulli(key, 0.3)),
}

WAYS: dict[str, Callable[[Callable[[jax.Array], Any]], Any]] = {
    "keys of one axis": lambda draw: jax.vmap(draw)(KEYS),
    "keys of two axes": lambda draw: jax.vmap(jax.vmap(draw))(jnp.stack([KEYS, KEYS[::-1]])),
    "keys along the last axis": lambda draw: jax.vmap(jax.vmap(draw), 1)(jnp.stack([KEYS, KEYS[::-1]])),
    "one key and numbers of one axis": lambda draw: jax.vmap(lambda i: draw(jax.random.fold_in(KEYS[0], i)))(
        jnp.arange(6)
    ),
    "many keys": lambda draw: jax.vmap(draw)(jax.random.split(KEYS[1], 500)),
    "keys of a batch of one": lambda draw: jax.vmap(jax.vmap(draw))(KEYS[None, :1]),
}


@pytest.fixture(autouse=True)
def rule_of_jax() -> Iterator[None]:
    """JAX's own rule, which the tests of numbers run without; JAX keeps what it has batched, by whichever rule."""
    jax.clear_caches()
    before = batching.fancy_primitive_batchers[threefry2x32_p]
    batching.defbroadcasting(threefry2x32_p)
    yield
    batching.fancy_primitive_batchers[threefry2x32_p] = before
    jax.clear_caches()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_bits_are_those_of_jax(draw: Callable[[jax.Array], Any]) -> None:
    def drawn() -> list[np.ndarray]:
        ways = {name: way for name, way in WAYS.items() if not (name.startswith("more") and draw is DRAWS["an image"])}
        return [
            np.asarray(leaf) for way in ways.values() for leaf in jax.tree.leaves(jax.jit(way, static_argnums=0)(draw))
        ]

    expected = drawn()
    jax.clear_caches()
    with threefry.flattened():
        found = drawn()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def shapes_of_loops(draw: Callable[[jax.Array], Any], keys: jax.Array) -> set[str]:
    """Shapes such as ``9x12`` of the arrays of 32-bit integers that loops of a lowered program carry."""
    loops = re.findall(r"stablehlo\.while\(.*", jax.jit(jax.vmap(draw)).lower(keys).as_text())
    return {shape for loop in loops for shape in re.findall(r"tensor<(\w+)xui32>", loop)} - {"4"}  # rotations


def test_small_arrays_have_one_axis_while_numbers_are_computed() -> None:
    rule = batching.fancy_primitive_batchers[threefry2x32_p]
    assert "5x9x12" in shapes_of_loops(hairs, KEYS)
    jax.clear_caches()
    with pytest.raises(ZeroDivisionError), device.computing():
        assert shapes_of_loops(hairs, KEYS) == {"45", "540"}
        raise ZeroDivisionError
    assert batching.fancy_primitive_batchers[threefry2x32_p] is rule


def test_rows_of_large_arrays_share_their_key() -> None:
    """Copying the key to every element would take longer than the random bits."""
    with threefry.flattened():
        shapes = shapes_of_loops(lambda key: jax.random.bits(key, (100, 100)), KEYS)
    assert shapes == {"5x1", "5x10000"}
