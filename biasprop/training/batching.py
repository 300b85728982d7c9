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
from biasprop.hardware import device
from biasprop.study.conditions import PretrainingCondition


class Batch(NamedTuple):
    """Cells that run together: conditions of one structure, and the key that owns each replicate."""

    condition: PretrainingCondition
    key: Key[Array, " w"]


@functools.cache
def over_cells(function: Callable[..., Any], donate: int | None = None) -> Callable[..., Any]:
    """Compile ``function`` of one cell to run over the leading axis of all its arguments, which the devices share.

    A device's single cell is not mapped at all: its bits are those of the function itself, and on XLA:CPU a mapped axis
    of one still costs. Devices that share a batch run what each would run alone; what differs is rounding, where XLA
    compiles their common program otherwise.
    """

    def on_one_device(*arguments: Any) -> Any:
        if _cells(arguments) > 1:
            return jax.vmap(function)(*arguments)
        alone = function(*jax.tree.map(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), alone)

    def run(*arguments: Any) -> Any:
        devices = device.sharing(_cells(arguments))
        if devices == 1:
            return on_one_device(*arguments)
        mesh = jax.make_mesh((devices,), ("cells",), axis_types=(jax.sharding.AxisType.Auto,))
        over = jax.P("cells")
        return jax.shard_map(on_one_device, mesh=mesh, in_specs=over, out_specs=over, check_vma=False)(*arguments)

    return jax.jit(run, donate_argnums=() if donate is None else donate)


def _cells(arguments: Any) -> int:
    return next(leaf.shape[0] for leaf in jax.tree.leaves(arguments) if jnp.ndim(leaf))


def one_cell(condition: PretrainingCondition, key: Key[Array, ""]) -> Batch:
    """A cell by itself, as a batch."""
    return Batch(jax.tree.map(lambda leaf: np.asarray(leaf)[None], condition), key[None])


def stream(batch: Batch, name: keys.Stream) -> Key[Array, " w"]:
    """Every cell's key of one stream."""
    return keys.at_batched(batch.key, int(name))


def broadcast(batch: Batch, tree: Any) -> Any:
    """The same host arrays for every cell."""
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(batch.key), *np.shape(leaf))), tree)
