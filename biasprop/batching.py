"""Cells that run together, and one compiled program for any number of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from biasprop import keys
from biasprop.condition import PretrainingCondition


class Batch(NamedTuple):
    """Cells that run together: conditions of one structure, and the key that owns each replicate."""

    condition: PretrainingCondition
    key: Key[Array, " w"]


@functools.cache
def over_cells(function: Callable[..., Any], donate: int | None = None) -> Callable[..., Any]:
    """Compile ``function`` of one cell to run over the leading axis of all its arguments.

    A single cell is not mapped at all: its bits are those of the function itself, and on XLA:CPU a mapped axis of one
    still costs.
    """

    def run(*arguments: Any) -> Any:
        leaves = [leaf for leaf in jax.tree.leaves(arguments) if jnp.ndim(leaf)]
        if leaves[0].shape[0] > 1:
            return jax.vmap(function)(*arguments)
        alone = function(*jax.tree.map(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), alone)

    return jax.jit(run, donate_argnums=() if donate is None else donate)


def one_cell(condition: PretrainingCondition, key: Key[Array, ""]) -> Batch:
    """A cell by itself, as a batch."""
    return Batch(jax.tree.map(lambda leaf: np.asarray(leaf)[None], condition), key[None])


def stream(batch: Batch, name: keys.Stream) -> Key[Array, " w"]:
    """Every cell's key of one stream."""
    return jax.vmap(lambda key: keys.stream(key, name))(batch.key)


def each(batch: Batch, tree: Any) -> Any:
    """The same host arrays for every cell."""
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(batch.key), *np.shape(leaf))), tree)
