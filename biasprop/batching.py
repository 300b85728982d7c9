"""One compiled program for any number of cells."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


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
