"""Batches of cells, and one compiled program for any number of cells."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from biasprop import keys
from biasprop.component import Shared
from biasprop.hardware import device
from biasprop.study.conditions import PretrainingCondition
from biasprop.training.compilation import Program


class Batch(NamedTuple):
    """Cells that run together: conditions of one structure (leaves with a leading axis), and each replicate's key."""

    condition: PretrainingCondition
    key: Key[Array, " w"]
    """Key of the replicate, or of a later stage of its pretraining."""
    replicate: Key[Array, " w"] | None = None
    """Key of the replicate in a later stage of pretraining, else None."""


@functools.cache
def over_cells(function: Callable[..., Any], donate: int | None = None) -> Program:
    """Compile a function of one cell to run over the leading axis of all its arguments, sharded over devices.

    A single cell on a device is not mapped: its bits are those of the function itself, and on XLA:CPU a mapped axis of
    length 1 has a cost. Devices that share a batch compute what each would compute alone, up to rounding where XLA
    compiles the joint program differently.

    Args:
        function: of one cell; every array argument gets a leading axis, except those in a
            :class:`biasprop.component.Shared`.
        donate: index of an argument whose buffers may be reused.
    """

    def on_one_device(*arguments: Any) -> Any:
        if _cells(arguments) > 1:
            return jax.vmap(function, in_axes=_by_leaf(arguments, lambda _: 0, None))(*arguments)
        result = function(*_unshared(lambda leaf: leaf[0], arguments))
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), result)

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        devices = device.sharing(_cells(arguments))
        if devices == 1:
            return on_one_device(*arguments)
        mesh = jax.make_mesh((devices,), ("cells",), axis_types=(jax.sharding.AxisType.Auto,))
        spec = jax.P("cells")
        specs = _by_leaf(arguments, lambda _: spec, jax.P())
        return jax.shard_map(on_one_device, mesh=mesh, in_specs=specs, out_specs=spec, check_vma=False)(*arguments)

    return Program(run, donate)


def _is_shared(node: Any) -> bool:
    return isinstance(node, Shared)


def _by_leaf(arguments: Any, value: Callable[[Any], Any], of_shared: Any) -> Any:
    """A value for every leaf, and one for each :class:`biasprop.component.Shared` as a whole."""
    return jax.tree.map(lambda leaf: of_shared if _is_shared(leaf) else value(leaf), arguments, is_leaf=_is_shared)


def _unshared(function: Callable[..., Any], *trees: Any) -> Any:
    """Map the leaves of trees; what their cells share is as in the first."""
    return jax.tree.map(
        lambda *leaves: leaves[0] if _is_shared(leaves[0]) else function(*leaves), *trees, is_leaf=_is_shared
    )


def _cells(arguments: Any) -> int:
    leaves = jax.tree.leaves(_by_leaf(arguments, lambda leaf: leaf, None))
    return next(leaf.shape[0] for leaf in leaves if jnp.ndim(leaf))


def stacked(conditions: Sequence[PretrainingCondition]) -> PretrainingCondition:
    """Conditions of one structure as one whose leaves have a leading axis."""
    return _unshared(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *conditions)


def one_cell(condition: PretrainingCondition, key: Key[Array, ""]) -> Batch:
    """A batch of one cell."""
    return Batch(stacked([condition]), key[None])


def stream(batch: Batch, name: keys.Stream) -> Key[Array, " w"]:
    """The key of one stream in every cell."""
    return keys.at_batched(batch.key, int(name))


def broadcast(batch: Batch, tree: Any) -> Any:
    """Repeat host arrays along a leading axis over cells."""
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(batch.key), *np.shape(leaf))), tree)
