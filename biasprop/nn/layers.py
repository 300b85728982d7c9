"""Flax layers of encoders, decoders and projection heads, behind pure functions of (parameters, inputs).

All layers are matrix products: on XLA:CPU a convolution inside a compiled scan is an order of magnitude slower. The
tokens of all images are the rows of one matrix (``r = n t``): with separate axes for images and tokens, XLA:CPU first
copies every operand of a weight gradient into another layout (measured: a training step takes 1.4 times as long).

Module attributes are the names of stored encoder arrays; renaming one makes stored encoders unreadable.
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
from biasprop.nn.xla_barriers import barrier


def patchify(images: Float[Array, "n h w c"], patch: int) -> Float[Array, "n t p"]:
    """Cut images into non-overlapping square patches, row by row: ``t = (h / patch)(w / patch)``, ``p = patch^2 c``."""
    n, height, width, channels = images.shape
    grid = images.reshape(n, height // patch, patch, width // patch, patch * channels)
    return grid.swapaxes(2, 3).reshape(n, (height // patch) * (width // patch), patch * patch * channels)


@jax.custom_vjp
def affine(rows: Float[Array, "r i"], kernel: Float[Array, "i o"], bias: Float[Array, " o"]) -> Float[Array, "r o"]:
    """``rows @ kernel + bias``.

    The kernel gradient is computed with the kernel's shorter side first. On XLA:CPU the other order takes up to 1.5
    times as long (measured); the barrier stops XLA from rewriting the transpose into it.
    """
    return rows @ kernel + bias


def _affine_forward(rows: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    return affine(rows, kernel, bias), (rows, kernel)


def _affine_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array, Array]:
    rows, kernel = residuals
    inputs, outputs = kernel.shape
    gradient = barrier(cotangent.T @ rows).T if inputs > outputs else rows.T @ cotangent
    return cotangent @ kernel.T, gradient, cotangent.sum(axis=0)


affine.defvjp(_affine_forward, _affine_backward)


@jax.custom_vjp
def project_columns(columns: Float[Array, "i c"], kernel: Float[Array, "i o"]) -> Float[Array, "o c"]:
    """``kernel.T @ columns``: project every column.

    The kernel gradient is computed with the kernel's longer side first: on XLA:CPU the other order takes five times as
    long (measured, 16 x 32 from 16,384 columns).
    """
    return kernel.T @ columns


def _project_columns_forward(columns: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return project_columns(columns, kernel), (columns, kernel)


def _project_columns_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    columns, kernel = residuals
    inputs, outputs = kernel.shape
    return kernel @ cotangent, columns @ cotangent.T if inputs > outputs else barrier(cotangent @ columns.T).T


project_columns.defvjp(_project_columns_forward, _project_columns_backward)


EPSILON = 1e-6
"""Added to the variance of a row before normalising (flax's default)."""


class Affine(nnx.Linear):
    """:func:`affine` with parameters of its own."""

    def __call__(self, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        return affine(rows, *self._parameters())

    def after_norm(self, norm: Norm, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        """``self(norm(rows))``, with the norm's scale and bias folded into the kernel: two passes over rows fewer."""
        (kernel, bias), (scale, offset) = self._parameters(), norm.parameters()
        return affine(normalise(rows), scale[:, None] * kernel, offset @ kernel + bias)

    def on_columns(self, columns: Float[Array, "i c"]) -> Float[Array, "o c"]:
        """Apply to every column; the bias is optional."""
        product = project_columns(columns, self.kernel[...])
        return product if self.bias is None else product + self.bias[...][:, None]

    def centred(self, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        """``self(rows)`` minus its mean over the outputs, for a residual stream whose rows have mean 0."""
        return affine(rows, *map(centred, self._parameters()))

    def _parameters(self) -> tuple[Float[Array, "i o"], Float[Array, " o"]]:
        assert self.bias is not None
        return self.kernel[...], self.bias[...]


class Norm(nnx.LayerNorm):
    """Layer normalisation (Ba et al. 2016) of rows that already have mean 0.

    Layer norm is invariant to the mean of a row. If everything added to the residual stream has mean 0 over features,
    the result is the same and no mean has to be computed.
    """

    def __call__(self, rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
        scale, offset = self.parameters()
        return normalise(rows) * scale + offset

    def parameters(self) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Scale and bias."""
        assert self.scale is not None and self.bias is not None
        return self.scale[...], self.bias[...]


def centred(rows: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    """Rows minus their means."""
    return rows - rows.mean(axis=-1, keepdims=True)


@jax.custom_vjp
def normalise(rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
    """Rows of mean 0 divided by their standard deviations."""
    return _normalise_forward(rows)[0]


def _normalise_forward(rows: Array) -> tuple[Array, tuple[Array, Array]]:
    inverse = jax.lax.rsqrt(jnp.mean(rows**2, axis=1, keepdims=True) + EPSILON)
    unit = rows * inverse
    return unit, (unit, inverse)


def _normalise_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array]:
    unit, inverse = residuals
    return (inverse * (cotangent - unit * jnp.mean(cotangent * unit, axis=1, keepdims=True)),)


normalise.defvjp(_normalise_forward, _normalise_backward)


@jax.custom_vjp
def attend(
    q: Float[Array, "n t h c"], k: Float[Array, "n t h c"], v: Float[Array, "n t h c"]
) -> Float[Array, "n t h c"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1): ``softmax(q k' / sqrt(c)) v``.

    The gradient is written out so that every product contracts the last axis of its left operand: on XLA:CPU the other
    form takes four times as long (measured).
    """
    return _attend_forward(q, k, v)[0]


def _attend_forward(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    logits = jnp.einsum("nqhc,nkhc->nhqk", q, k) / q.shape[-1] ** 0.5
    weights = jax.nn.softmax(logits, axis=-1)
    return jnp.einsum("nhqk,nkhc->nqhc", weights, v), (q, k, v, weights)


def _attend_backward(residuals: tuple[Array, ...], cotangent: Array) -> tuple[Array, Array, Array]:
    q, k, v, weights = residuals
    pull = jnp.einsum("nqhc,nkhc->nhqk", cotangent, v)
    logits = weights * (pull - jnp.sum(pull * weights, axis=-1, keepdims=True)) / q.shape[-1] ** 0.5
    return (
        jnp.einsum("nhqk,nkhc->nqhc", logits, k),
        _sum_over_queries(q, logits),
        _sum_over_queries(cotangent, weights),
    )


def _sum_over_queries(rows: Float[Array, "n q h c"], weights: Float[Array, "n h q k"]) -> Float[Array, "n k h c"]:
    """Weighted sums over queries. Not an einsum, which would swap the operands."""
    return jax.lax.dot_general(rows, weights, (((1,), (2,)), ((0, 2), (0, 1)))).transpose(0, 3, 1, 2)


attend.defvjp(_attend_forward, _attend_backward)


class Attention(nnx.Module):
    """Multi-head self-attention over the ``t`` tokens of each image, after ``norm``; output rows have mean 0."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.mix = Affine(width, 3 * width, rngs=rngs)
        self.out = Affine(width, width, rngs=rngs)

    def __call__(self, norm: Norm, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        d = rows.shape[1]
        q, k, v = (
            part.reshape(-1, t, self.heads, d // self.heads)
            for part in jnp.split(self.mix.after_norm(norm, rows), 3, axis=1)
        )
        return self.out.centred(attend(q, k, v).reshape(-1, d))


class TokenMlp(nnx.Module):
    """Pre-norm MLP applied to each token, the last part of every block; rows have mean 0 before and after."""

    def __init__(self, width: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_mlp = Norm(width, rngs=rngs)
        self.widen = Affine(width, expansion * width, rngs=rngs)
        self.narrow = Affine(expansion * width, width, rngs=rngs)

    def with_mlp(self, rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
        """Add the MLP of each token to the residual stream."""
        return rows + self.narrow.centred(jax.nn.gelu(self.widen.after_norm(self.norm_mlp, rows)))


class Block(TokenMlp):
    """Pre-norm transformer block; rows have mean 0 before and after."""

    def __init__(self, width: int, heads: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_attention = Norm(width, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs)
        super().__init__(width, expansion, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        return self.with_mlp(rows + self.attention(self.norm_attention, rows, t))


class MixerBlock(TokenMlp):
    """Mixer block (Tolstikhin et al. 2021, eq. 1): an MLP over token positions per feature, then an MLP per token.

    Rows are ordered by position (``r = t n``), so mixing positions is one product from the left without a transpose.
    The last bias over positions would add one number to all features of a token, to which layer norm is invariant, so
    there is none.
    """

    def __init__(self, tokens: int, width: int, hidden: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_tokens = Norm(width, rngs=rngs)
        self.spread = Affine(tokens, hidden, rngs=rngs)
        self.gather = Affine(hidden, tokens, use_bias=False, rngs=rngs)
        super().__init__(width, expansion, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        columns = self.norm_tokens(rows).reshape(t, -1)
        mixed = self.gather.on_columns(jax.nn.gelu(self.spread.on_columns(columns)))
        return self.with_mlp(rows + centred(mixed.reshape(rows.shape)))


class Transformer(nnx.Module):
    """Linear embedding, learned positions, blocks, final norm: [n, t, p] -> [n, t, width].

    Args:
        inputs: length ``p`` of a token before embedding.
        tokens: number of positions.
        width: length of a token after embedding.
        depth: number of blocks.
        heads: attention heads; must divide the width.
        expansion: hidden width of the MLPs, as a multiple of the width.
        rngs: key for the initial parameters.
    """

    def __init__(self, inputs: int, tokens: int, width: int, depth: int, heads: int, expansion: int, *, rngs: nnx.Rngs):
        self.embed = Affine(inputs, width, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (tokens, width)))
        self.blocks = nnx.List([Block(width, heads, expansion, rngs=rngs) for _ in range(depth)])
        self.norm = Norm(width, rngs=rngs)

    def __call__(
        self, patches: Float[Array, "n t p"], keep: Callable[[Array], Array] | None = None
    ) -> Float[Array, "n t d"]:
        n, t, p = patches.shape
        tokens = self.embed.centred(patches.reshape(n * t, p)).reshape(n, t, -1) + centred(self.positions[...])
        if keep is not None:
            tokens = keep(tokens)
        n, t, d = tokens.shape
        rows = tokens.reshape(n * t, d)
        for block in self.blocks:
            rows = block(rows, t)
        return self.norm(rows).reshape(n, t, d)


class Mixer(nnx.Module):
    """Linear embedding, mixer blocks, final norm: [n, t, p] -> [n, t, width].

    Args:
        inputs: length ``p`` of a token before embedding.
        tokens: number of positions.
        width: length of a token after embedding.
        depth: number of blocks.
        hidden: hidden width of the MLPs over positions.
        expansion: hidden width of the per-token MLPs, as a multiple of the width.
        rngs: key for the initial parameters.
    """

    def __init__(
        self, inputs: int, tokens: int, width: int, depth: int, hidden: int, expansion: int, *, rngs: nnx.Rngs
    ):
        self.embed = Affine(inputs, width, rngs=rngs)
        self.blocks = nnx.List([MixerBlock(tokens, width, hidden, expansion, rngs=rngs) for _ in range(depth)])
        self.norm = Norm(width, rngs=rngs)

    def __call__(self, patches: Float[Array, "n t p"]) -> Float[Array, "n t d"]:
        n, t, p = patches.shape
        rows = self.embed.centred(patches.swapaxes(0, 1).reshape(t * n, p))
        for block in self.blocks:
            rows = block(rows, t)
        return self.norm(rows).reshape(t, n, -1).swapaxes(0, 1)


class Projection(nnx.Module):
    """Two-layer MLP, discarded after pretraining."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = Affine(inputs, hidden, rngs=rngs)
        self.second = Affine(hidden, outputs, rngs=rngs)

    def __call__(self, features: Float[Array, "n d"]) -> Float[Array, "n k"]:
        return self.second(jax.nn.relu(self.first(features)))


class Blueprint(NamedTuple):
    """Class and sizes of a module to build. Equal blueprints are traced once."""

    module: type[nnx.Module]
    sizes: tuple[int, ...]

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The module with initial parameters."""
        return self.module(*self.sizes, rngs=rngs)  # pyright: ignore[reportCallIssue]


def init(blueprint: Blueprint, key: Key[Array, ""]) -> Params:
    """Initial parameters of a module, as a pytree of arrays."""
    return nnx.as_pure(nnx.split(blueprint.build(nnx.Rngs(key)))[1])


def apply(blueprint: Blueprint, params: Params, *inputs: Any) -> Any:
    """Call a module with these parameters."""
    return nnx.merge(_graph(blueprint), params)(*inputs)  # pyright: ignore[reportCallIssue]


def norm_parameters(params: Params) -> Params:
    """Whether each parameter is a scale or a bias of a :class:`Norm`, which modules name ``norm`` or ``norm_...``."""

    def inside(path: tuple[Any, ...], _: Any) -> bool:
        names = [str(getattr(part, "key", "")) for part in path]
        return any(name == "norm" or name.startswith("norm_") for name in names)

    return jax.tree_util.tree_map_with_path(inside, params)


@functools.cache
def _graph(blueprint: Blueprint) -> Any:
    """The module without its parameters, without computing any."""
    return nnx.split(nnx.eval_shape(lambda: blueprint.build(nnx.Rngs(0))))[0]
