"""Fine-tuning of the last layers with the earlier ones frozen."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.interfaces import Encoder, Example, FeatureMap, Params, ReadOut
from biasprop.protocols.full import Full


class LastLayers(Full):
    """Fine-tuning of the head and the last layers only."""

    kind: Literal["last_layers"] = "last_layers"
    layers: Annotated[int, Field(ge=0, le=49)] = 1
    """Number of trainable encoder layers: 0 is the head alone; one more than the depth is everything, including what
    comes before the first layer (embedding and positions of a transformer)."""

    adapts_all = False

    def start(self, key: Key[Array, ""], encoder: Encoder, params: Params, head: ReadOut) -> Params:
        """Parameters of the last layers, and the head."""
        return super().start(key, encoder, self._part(encoder, params, trainable=True), head)

    def trainable(self, encoder: Encoder, params: Params) -> FeatureMap:
        """The encoder as a function of the parameters of its last layers."""
        return PartlyFrozenEncoder(encoder, self._part(encoder, params, trainable=False))

    def merge(self, encoder: Encoder, params: Params, trained: Params) -> Params:
        """The trained last layers, and the frozen layers."""
        return _joined(params, trained)

    def _part(self, encoder: Encoder, params: Params, trainable: bool) -> Params:
        """The trainable, or the frozen, parameters, with None in place of the others."""
        numbers = encoder.layers(params)
        first = max(jax.tree.leaves(numbers)) - self.layers
        return jax.tree.map(lambda number, leaf: leaf if (number > first) == trainable else None, numbers, params)


class PartlyFrozenEncoder(NamedTuple):
    """An encoder with some frozen parameters."""

    encoder: Encoder
    frozen: Params
    """Parameters with None in place of the trainable ones."""

    def apply(self, params: Params, examples: Example) -> Float[Array, "n d"]:
        """Features of a batch, given the trainable parameters."""
        return self.encoder.apply(_joined(self.frozen, params), examples)


def _joined(under: Params, over: Params) -> Params:
    """Parameters of ``over``, or of ``under`` where ``over`` has None."""
    return jax.tree.map(lambda a, b: b if a is None else a, over, under, is_leaf=lambda leaf: leaf is None)
