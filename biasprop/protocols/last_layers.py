"""Fine-tuning of the last layers: the ones before them stay as pretraining left them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.interfaces import Labelled, Params
from biasprop.protocols.full import FinetuningTask, Full


class LastLayers(Full):
    """Full fine-tuning of which only the head and the layers nearest to it move."""

    kind: Literal["last_layers"] = "last_layers"
    layers: Annotated[int, Field(ge=0, le=49)] = 1
    """How many of the encoder's layers move: 0 is the head alone, one more than there are is everything, with what
    comes before the first layer (embedding and positions of a transformer)."""

    adapts_all = False

    def start(self, key: Key[Array, ""], encoder: Any, params: Params) -> Params:
        """The last layers and a head of zeros."""
        return super().start(key, encoder, self._part(encoder, params, moves=True))

    def task(
        self, encoder: Any, params: Params, pretrained: bool, train: Labelled, selection: Labelled, key: Key[Array, ""]
    ) -> Any:
        """What is minimised on these labels."""
        partly = Partly(encoder, self._part(encoder, params, moves=False))
        return FinetuningTask(partly, self.recipe(pretrained), train, selection, key)

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
        """The last layers on top of the ones that stayed."""
        return _joined(params, trained)

    def _part(self, encoder: Any, params: Params, moves: bool) -> Params:
        """The parameters that move, or those that stay; None in the places of the others."""
        numbers = encoder.layers(params)
        first = max(jax.tree.leaves(numbers)) - self.layers
        return jax.tree.map(lambda number, leaf: leaf if (number > first) == moves else None, numbers, params)


class Partly(NamedTuple):
    """An encoder of which a part stays."""

    encoder: Any
    stays: Params
    """Its parameters with None in the places of those that move."""

    def apply(self, moves: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Features of a batch."""
        return self.encoder.apply(_joined(self.stays, moves), images)


def _joined(under: Params, over: Params) -> Params:
    """Parameters of ``over``, and those of ``under`` where it has none."""
    return jax.tree.map(lambda a, b: b if a is None else a, over, under, is_leaf=lambda leaf: leaf is None)
