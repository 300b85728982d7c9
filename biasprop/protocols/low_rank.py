"""Low-rank adapters: every matrix of every layer moves by a product of two thin ones (LoRA, Hu et al. 2022)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.interfaces import Labelled, Params
from biasprop.keys import at
from biasprop.protocols.full import FinetuningTask, Full


class LowRank(Full):
    """Full fine-tuning in which the encoder stays, but for a matrix of low rank added to each of its matrices.

    ``W + (alpha / rank) A B``, with A normal of variance 1 / inputs and B zero at the start (Hu et al. 2022, section
    4.1), on the matrices of attention and MLPs; embedding, positions, biases and norms stay.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: Annotated[int, Field(ge=1, le=4096)] = 4
    """Columns of A and rows of B."""
    alpha: Annotated[float, Field(gt=0, le=4096)] = 8.0
    """Strength of the adapters; with ``alpha / rank`` fixed the rate need not change with the rank."""

    adapts_all = False

    def start(self, key: Key[Array, ""], encoder: Any, params: Params) -> Params:
        """Adapters that change nothing yet, and a head of zeros."""
        numbers = encoder.layers(params)
        order = iter(range(len(jax.tree.leaves(params))))

        def adapter(number: int, leaf: Array) -> Params | None:
            own = at(key, next(order))
            if not number or leaf.ndim != 2:
                return None
            inputs, outputs = leaf.shape
            return {
                "a": jax.random.normal(own, (inputs, self.rank)) / inputs**0.5,
                "b": jnp.zeros((self.rank, outputs)),
            }

        return super().start(key, encoder, jax.tree.map(adapter, numbers, params))

    def task(
        self, encoder: Any, params: Params, pretrained: bool, train: Labelled, selection: Labelled, key: Key[Array, ""]
    ) -> Any:
        """What is minimised on these labels."""
        adapted = Adapted(encoder, params, self.alpha / self.rank)
        return FinetuningTask(adapted, self.recipe(pretrained), train, selection, key)

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
        """The encoder with its adapters merged in."""
        return _merged(params, trained, self.alpha / self.rank)


class Adapted(NamedTuple):
    """An encoder that moves by its adapters alone."""

    encoder: Any
    stays: Params
    scale: float | Float[Array, ""]

    def apply(self, adapters: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Features of a batch."""
        return self.encoder.apply(_merged(self.stays, adapters, self.scale), images)


def _merged(params: Params, adapters: Params, scale: float | Float[Array, ""]) -> Params:
    """Parameters with the adapters' products added; None has no adapter."""

    def moved(adapter: Params | None, leaf: Array) -> Array:
        return leaf if adapter is None else leaf + scale * adapter["a"] @ adapter["b"]

    return jax.tree.map(moved, adapters, params, is_leaf=lambda node: node is None or "a" in node)
