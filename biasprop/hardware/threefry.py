"""Random bits of many small arrays as one long array, which XLA compiles faster.

A subject draws a few numbers at a time, for example twelve for each of nine hairs. Under ``jax.vmap`` JAX's generator
of random bits, Threefry, becomes a loop over arrays like [128, 9, 12], whose short inner loops LLVM unrolls; these were
half of the code that LLVM made of a pretraining step (``tests/benchmarks/README.md``). Over one axis the loop is short
and vectorised. The operations on each element, all of them on integers, are the same, so no bit changes.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry2x32_p
from jax.interpreters import batching

SHORT = 64
"""Counters of a key up to which it is repeated for each of them, so that all axes of the result become one. A longer
row is compiled well without, and copying its key to every counter takes memory, and longer than the random bits."""


@contextlib.contextmanager
def flattened() -> Iterator[None]:
    """Let ``jax.vmap`` flatten the arrays of Threefry inside, in all threads."""
    rules = batching.fancy_primitive_batchers
    before = rules[threefry2x32_p]
    rules[threefry2x32_p] = _batched
    try:
        yield
    finally:
        rules[threefry2x32_p] = before


def _batched(_: Any, arguments: Sequence[jax.Array], axes: Sequence[int | None]) -> tuple[list[jax.Array], list[int]]:
    """The two results with the batch as their first axis, and that axis.

    Args:
        arguments: both words of the key and of the counter, of shapes that broadcast without the axis of the batch.
        axes: that of the batch in each; None if it has none.
    """
    rank = max(x.ndim - (axis is not None) for x, axis in zip(arguments, axes, strict=True))
    aligned = []
    for x, axis in zip(arguments, axes, strict=True):
        x = batching.bdim_at_front(x, axis, 1)
        aligned.append(x.reshape(x.shape[0], *(1,) * (rank + 1 - x.ndim), *x.shape[1:]))
    shape = np.broadcast_shapes(*(x.shape for x in aligned))
    keys = np.broadcast_shapes(*(x.shape for x in aligned[:2]))
    if math.prod(shape) <= SHORT * math.prod(keys):
        aligned = [jnp.broadcast_to(x, shape) for x in aligned]
    results = threefry2x32_p.bind(*_with_fewer_axes(aligned, shape))
    return [x.reshape(shape) for x in results], [0, 0]


def _with_fewer_axes(arrays: list[jax.Array], shape: tuple[int, ...]) -> list[jax.Array]:
    """Arrays of equal rank without axes of length 1, and with neighbouring axes merged that the same arrays have.

    Args:
        arrays: broadcast against each other.
        shape: of the result.
    """
    axes = [axis for axis, length in enumerate(shape) if length != 1]
    having = {axis: [x.shape[axis] != 1 for x in arrays] for axis in axes}
    groups = [list(group) for _, group in itertools.groupby(axes, having.__getitem__)]
    return [x.reshape([math.prod(x.shape[axis] for axis in group) for group in groups]) for x in arrays]
