"""The few flax blocks that encoders, decoders and heads share, behind pure functions of (parameters, inputs).

Everything is matrix products: on XLA:CPU a convolution inside a compiled scan is an order of magnitude slower. The
tokens of all images are the rows of one matrix (``r = n t``): with an axis for images and one for tokens, XLA:CPU
copies every operand of a weight's gradient into another layout first (measured: a training step takes 1.4 times as
long).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from biasprop.interfaces import Params


def patchify(images: Float[Array, "n h w c"], patch: int) -> Float[Array, "n t p"]:
    """Cut images into non-overlapping square patches, row by row: ``t = (h / patch)(w / patch)``, ``p = patch^2 c``."""
    n, height, width, channels = images.shape
    grid = images.reshape(n, height // patch, patch, width // patch, patch, channels)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, (height // patch) * (width // patch), patch * patch * channels)


class Attention(nnx.Module):
    """Multi-head self-attention over the ``t`` tokens of each image."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.mix = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        d = rows.shape[1]
        q, k, v = jnp.moveaxis(self.mix(rows).reshape(-1, t, 3, self.heads, d // self.heads), 2, 0)
        logits = jnp.einsum("nqhc,nkhc->nhqk", q, k) / jnp.sqrt(d // self.heads)
        mixed = jnp.einsum("nhqk,nkhc->nqhc", jax.nn.softmax(logits, axis=-1), v)
        return self.out(mixed.reshape(-1, d))


class Block(nnx.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_attention = nnx.LayerNorm(width, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs)
        self.norm_mlp = nnx.LayerNorm(width, rngs=rngs)
        self.widen = nnx.Linear(width, expansion * width, rngs=rngs)
        self.narrow = nnx.Linear(expansion * width, width, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        rows = rows + self.attention(self.norm_attention(rows), t)
        return rows + self.narrow(jax.nn.gelu(self.widen(self.norm_mlp(rows))))


class Transformer(nnx.Module):
    """Linear embedding, learned positions, blocks, final norm: [n, t, p] -> [n, t, width].

    Args:
        inputs: length ``p`` of a token before embedding.
        tokens: how many positions there are.
        width: length of a token inside.
        depth: number of blocks.
        heads: attention heads; must divide the width.
        expansion: hidden width of the MLPs over the width.
        rngs: flax's holder of the key.
    """

    def __init__(self, inputs: int, tokens: int, width: int, depth: int, heads: int, expansion: int, *, rngs: nnx.Rngs):
        self.embed = nnx.Linear(inputs, width, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (tokens, width)))
        self.blocks = nnx.List([Block(width, heads, expansion, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(
        self, patches: Float[Array, "n t p"], keep: Callable[[Array], Array] | None = None
    ) -> Float[Array, "n t d"]:
        n, t, p = patches.shape
        tokens = self.embed(patches.reshape(n * t, p)).reshape(n, t, -1) + self.positions[...]
        if keep is not None:
            tokens = keep(tokens)
        n, t, d = tokens.shape
        rows = tokens.reshape(n * t, d)
        for block in self.blocks:
            rows = block(rows, t)
        return self.norm(rows).reshape(n, t, d)


class Projection(nnx.Module):
    """Two-layer MLP, thrown away after pretraining."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(inputs, hidden, rngs=rngs)
        self.second = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, features: Float[Array, "n d"]) -> Float[Array, "n k"]:
        return self.second(jax.nn.relu(self.first(features)))


class Blueprint(NamedTuple):
    """A module yet to be built: its class and sizes. Equal blueprints are traced once."""

    module: type[nnx.Module]
    sizes: tuple[int, ...]

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The module with fresh parameters."""
        return self.module(*self.sizes, rngs=rngs)  # pyright: ignore[reportCallIssue]


def init(blueprint: Blueprint, key: Key[Array, ""]) -> Params:
    """Fresh parameters of a module, as a pure pytree of arrays."""
    return nnx.as_pure(nnx.split(blueprint.build(nnx.Rngs(key)))[1])


def apply(blueprint: Blueprint, params: Params, *inputs: Any) -> Any:
    """Call a module with these parameters."""
    return nnx.merge(_graph(blueprint), params)(*inputs)  # pyright: ignore[reportCallIssue]


@functools.cache
def _graph(blueprint: Blueprint) -> Any:
    """The module without its parameters; found without computing any."""
    return nnx.split(nnx.eval_shape(lambda: blueprint.build(nnx.Rngs(0))))[0]
