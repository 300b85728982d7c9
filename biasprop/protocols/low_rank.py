"""Low-rank adapters: the update of every weight matrix is a product of two thin matrices (LoRA, Hu et al. 2022)."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.interfaces import Encoder, Example, FeatureMap, Params, ReadOut
from biasprop.keys import at
from biasprop.protocols.full import Full


class LowRank(Full):
    """Fine-tuning of a low-rank update of each weight matrix, with the encoder itself frozen.

    ``W + (alpha / rank) A B``, with A initially normal of variance 1 / inputs and B zero (Hu et al. 2022, section 4.1),
    on the matrices of attention and MLPs; embedding, positions, biases and norms are frozen.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: Annotated[int, Field(ge=1, le=4096)] = 4
    """Rank: columns of A and rows of B."""
    alpha: Annotated[float, Field(gt=0, le=4096)] = 8.0
    """Scale of the update; with ``alpha / rank`` fixed, the learning rate need not change with the rank."""

    adapts_all = False

    def start(self, key: Key[Array, ""], encoder: Encoder, params: Params, head: ReadOut) -> Params:
        """Adapters whose update is zero, and the head."""
        numbers = encoder.layers(params)
        order = iter(range(len(jax.tree.leaves(params))))

        def adapter(number: int, leaf: Array) -> Params | None:
            adapter_key = at(key, next(order))
            if not number or leaf.ndim != 2:
                return None
            inputs, outputs = leaf.shape
            return {
                "a": jax.random.normal(adapter_key, (inputs, self.rank)) / inputs**0.5,
                "b": jnp.zeros((self.rank, outputs)),
            }

        return super().start(key, encoder, jax.tree.map(adapter, numbers, params), head)

    def trainable(self, encoder: Encoder, params: Params) -> FeatureMap:
        """The encoder as a function of the adapters."""
        return LowRankEncoder(encoder, params, self.alpha / self.rank)

    def merge(self, encoder: Encoder, params: Params, trained: Params) -> Params:
        """Parameters of the encoder with the update added."""
        return _merged(params, trained, self.alpha / self.rank)


class LowRankEncoder(NamedTuple):
    """A frozen encoder with trainable adapters."""

    encoder: Encoder
    base: Params
    scale: float | Float[Array, ""]

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Features of a batch, given the adapters."""
        return self.encoder.apply(_merged(self.base, params, self.scale), examples)


def _merged(params: Params, adapters: Params, scale: float | Float[Array, ""]) -> Params:
    """Parameters plus the update of each adapter; None is no adapter."""

    def updated(adapter: Params | None, leaf: Array) -> Array:
        return leaf if adapter is None else leaf + scale * adapter["a"] @ adapter["b"]

    return jax.tree.map(updated, adapters, params, is_leaf=lambda node: node is None or "a" in node)
