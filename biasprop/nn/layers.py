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
from biasprop.nn.xla_barriers import barrier


def patchify(images: Float[Array, "n h w c"], patch: int) -> Float[Array, "n t p"]:
    """Cut images into non-overlapping square patches, row by row: ``t = (h / patch)(w / patch)``, ``p = patch^2 c``."""
    n, height, width, channels = images.shape
    grid = images.reshape(n, height // patch, patch, width // patch, patch * channels)
    return grid.swapaxes(2, 3).reshape(n, (height // patch) * (width // patch), patch * patch * channels)


@jax.custom_vjp
def affine(rows: Float[Array, "r i"], kernel: Float[Array, "i o"], bias: Float[Array, " o"]) -> Float[Array, "r o"]:
    """``rows @ kernel + bias``.

    The kernel's gradient sums over rows into its shorter side first: on XLA:CPU the other way round takes up to one and
    a half times as long (measured), and is what it makes of a transpose that nothing holds in place.
    """
    return rows @ kernel + bias


def _affine(rows: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    return affine(rows, kernel, bias), (rows, kernel)


def _affine_back(kept: tuple[Array, Array], wanted: Array) -> tuple[Array, Array, Array]:
    rows, kernel = kept
    inputs, outputs = kernel.shape
    gradient = barrier(wanted.T @ rows).T if inputs > outputs else rows.T @ wanted
    return wanted @ kernel.T, gradient, wanted.sum(axis=0)


affine.defvjp(_affine, _affine_back)


@jax.custom_vjp
def across(columns: Float[Array, "i c"], kernel: Float[Array, "i o"]) -> Float[Array, "o c"]:
    """``column @ kernel`` of every column.

    The longer side of the kernel is on the left of its gradient: on XLA:CPU the other way round takes five times as
    long (measured, 16 x 32 from 16,384 columns).
    """
    return kernel.T @ columns


def _across(columns: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return across(columns, kernel), (columns, kernel)


def _across_back(kept: tuple[Array, Array], wanted: Array) -> tuple[Array, Array]:
    columns, kernel = kept
    inputs, outputs = kernel.shape
    return kernel @ wanted, columns @ wanted.T if inputs > outputs else barrier(wanted @ columns.T).T


across.defvjp(_across, _across_back)


EPSILON = 1e-6
"""Added to the variance of a row before it is normalised (flax's default)."""


class Affine(nnx.Linear):
    """:func:`affine` with parameters of its own."""

    def __call__(self, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        return affine(rows, *self._parameters())

    def after(self, norm: Norm, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        """``self(norm(rows))``, with the norm's scale and bias in the kernel: two passes over the rows less."""
        (kernel, bias), (scale, offset) = self._parameters(), norm.parameters()
        return affine(normalise(rows), scale[:, None] * kernel, offset @ kernel + bias)

    def across(self, columns: Float[Array, "i c"]) -> Float[Array, "o c"]:
        """``self`` of every column, with a bias if there is one."""
        product = across(columns, self.kernel[...])
        return product if self.bias is None else product + self.bias[...][:, None]

    def centred(self, rows: Float[Array, "r i"]) -> Float[Array, "r o"]:
        """``self(rows)`` less its mean over the outputs, for a stream whose rows have mean 0."""
        return affine(rows, *map(centred, self._parameters()))

    def _parameters(self) -> tuple[Float[Array, "i o"], Float[Array, " o"]]:
        assert self.bias is not None
        return self.kernel[...], self.bias[...]


class Norm(nnx.LayerNorm):
    """Layer normalisation (Ba et al. 2016) of rows whose mean is 0 already.

    A layer norm never feels the mean of a row. Where everything that is added to a stream has mean 0 over its
    features, the same numbers come out and nobody computes a mean in the loop.
    """

    def __call__(self, rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
        scale, offset = self.parameters()
        return normalise(rows) * scale + offset

    def parameters(self) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Scale and bias."""
        assert self.scale is not None and self.bias is not None
        return self.scale[...], self.bias[...]


def centred(rows: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    """Rows less their means."""
    return rows - rows.mean(axis=-1, keepdims=True)


@jax.custom_vjp
def normalise(rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
    """Rows of mean 0 over their standard deviations."""
    return _normalise(rows)[0]


def _normalise(rows: Array) -> tuple[Array, tuple[Array, Array]]:
    inverse = jax.lax.rsqrt(jnp.mean(rows**2, axis=1, keepdims=True) + EPSILON)
    unit = rows * inverse
    return unit, (unit, inverse)


def _normalise_back(kept: tuple[Array, Array], wanted: Array) -> tuple[Array]:
    unit, inverse = kept
    return (inverse * (wanted - unit * jnp.mean(wanted * unit, axis=1, keepdims=True)),)


normalise.defvjp(_normalise, _normalise_back)


@jax.custom_vjp
def attend(
    q: Float[Array, "n t h c"], k: Float[Array, "n t h c"], v: Float[Array, "n t h c"]
) -> Float[Array, "n t h c"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1): ``softmax(q k' / sqrt(c)) v``.

    Its derivative is written out, so that every product sums over the last axis of its left side: XLA:CPU takes four
    times as long for the other form (measured).
    """
    return _attend(q, k, v)[0]


def _attend(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
    logits = jnp.einsum("nqhc,nkhc->nhqk", q, k) / q.shape[-1] ** 0.5
    weights = jax.nn.softmax(logits, axis=-1)
    return jnp.einsum("nhqk,nkhc->nqhc", weights, v), (q, k, v, weights)


def _attend_back(kept: tuple[Array, ...], wanted: Array) -> tuple[Array, Array, Array]:
    q, k, v, weights = kept
    pull = jnp.einsum("nqhc,nkhc->nhqk", wanted, v)
    logits = weights * (pull - jnp.sum(pull * weights, axis=-1, keepdims=True)) / q.shape[-1] ** 0.5
    return (
        jnp.einsum("nhqk,nkhc->nqhc", logits, k),
        _over_queries(q, logits),
        _over_queries(wanted, weights),
    )


def _over_queries(rows: Float[Array, "n q h c"], weights: Float[Array, "n h q k"]) -> Float[Array, "n k h c"]:
    """Weighted sums over queries. No einsum: it would exchange the factors."""
    return jax.lax.dot_general(rows, weights, (((1,), (2,)), ((0, 2), (0, 1)))).transpose(0, 3, 1, 2)


attend.defvjp(_attend, _attend_back)


class Attention(nnx.Module):
    """Multi-head self-attention over the ``t`` tokens of each image, after ``norm``; its rows have mean 0."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.mix = Affine(width, 3 * width, rngs=rngs)
        self.out = Affine(width, width, rngs=rngs)

    def __call__(self, norm: Norm, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        d = rows.shape[1]
        q, k, v = (
            part.reshape(-1, t, self.heads, d // self.heads)
            for part in jnp.split(self.mix.after(norm, rows), 3, axis=1)
        )
        return self.out.centred(attend(q, k, v).reshape(-1, d))


class TokenMlp(nnx.Module):
    """What ends every block: a pre-norm MLP of each token by itself, over rows of mean 0; it keeps them so."""

    def __init__(self, width: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_mlp = Norm(width, rngs=rngs)
        self.widen = Affine(width, expansion * width, rngs=rngs)
        self.narrow = Affine(expansion * width, width, rngs=rngs)

    def alone(self, rows: Float[Array, "r d"]) -> Float[Array, "r d"]:
        """Rows after each token has been by itself."""
        return rows + self.narrow.centred(jax.nn.gelu(self.widen.after(self.norm_mlp, rows)))


class Block(TokenMlp):
    """Pre-norm transformer block over rows of mean 0; it keeps them so."""

    def __init__(self, width: int, heads: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_attention = Norm(width, rngs=rngs)
        self.attention = Attention(width, heads, rngs=rngs)
        super().__init__(width, expansion, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        return self.alone(rows + self.attention(self.norm_attention, rows, t))


class MixerBlock(TokenMlp):
    """Mixer block (Tolstikhin et al. 2021, eq. 1): an MLP over the places of each feature, then one of each token.

    The rows of one place follow each other (``r = t n``), so that mixing places is one product from the left and
    nothing is transposed. What all features of a token share no norm ever feels, so that the last bias over places
    would learn nothing, and is left out.
    """

    def __init__(self, tokens: int, width: int, hidden: int, expansion: int, *, rngs: nnx.Rngs):
        self.norm_tokens = Norm(width, rngs=rngs)
        self.spread = Affine(tokens, hidden, rngs=rngs)
        self.gather = Affine(hidden, tokens, use_bias=False, rngs=rngs)
        super().__init__(width, expansion, rngs=rngs)

    def __call__(self, rows: Float[Array, "r d"], t: int) -> Float[Array, "r d"]:
        columns = self.norm_tokens(rows).reshape(t, -1)
        mixed = self.gather.across(jax.nn.gelu(self.spread.across(columns)))
        return self.alone(rows + centred(mixed.reshape(rows.shape)))


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
        tokens: how many places there are.
        width: length of a token inside.
        depth: number of blocks.
        hidden: hidden width of the MLPs over places.
        expansion: hidden width of the MLPs over features, over the width.
        rngs: flax's holder of the key.
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
    """Two-layer MLP, thrown away after pretraining."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = Affine(inputs, hidden, rngs=rngs)
        self.second = Affine(hidden, outputs, rngs=rngs)

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
