"""Fine-tuning of the last layers with the earlier ones frozen."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.interfaces import Example, Labelled, Params, ReadOut
from biasprop.protocols.full import FinetuningTask, Full


class LastLayers(Full):
    """Fine-tuning of the head and the last layers only."""

    kind: Literal["last_layers"] = "last_layers"
    layers: Annotated[int, Field(ge=0, le=49)] = 1
    """Number of trainable encoder layers: 0 is the head alone; one more than the depth is everything, including what
    comes before the first layer (embedding and positions of a transformer)."""

    adapts_all = False

    def start(self, key: Key[Array, ""], encoder: Any, params: Params, head: ReadOut) -> Params:
        """Parameters of the last layers, and the head."""
        return super().start(key, encoder, self._part(encoder, params, trainable=True), head)

    def training(
        self,
        task: Any,
        encoder: Any,
        params: Params,
        pretrained: bool,
        train: Labelled,
        selection: Labelled,
        key: Key[Array, ""],
    ) -> Any:
        """The loss to minimise on these labels."""
        partly_frozen = PartlyFrozenEncoder(encoder, self._part(encoder, params, trainable=False))
        return FinetuningTask(task, partly_frozen, self.recipe(pretrained), train, selection, key)

    def merge(self, encoder: Any, params: Params, trained: Params) -> Params:
        """The trained last layers, and the frozen layers."""
        return _joined(params, trained)

    def _part(self, encoder: Any, params: Params, trainable: bool) -> Params:
        """The trainable, or the frozen, parameters, with None in place of the others."""
        numbers = encoder.layers(params)
        first = max(jax.tree.leaves(numbers)) - self.layers
        return jax.tree.map(lambda number, leaf: leaf if (number > first) == trainable else None, numbers, params)


class PartlyFrozenEncoder(NamedTuple):
    """An encoder with some frozen parameters."""

    encoder: Any
    frozen: Params
    """Parameters with None in place of the trainable ones."""

    def apply(self, trainable: Params, examples: Example) -> Float[Array, "n d"]:
        """Features of a batch."""
        return self.encoder.apply(_joined(self.frozen, trainable), examples)


def _joined(under: Params, over: Params) -> Params:
    """Parameters of ``over``, or of ``under`` where ``over`` has None."""
    return jax.tree.map(lambda a, b: b if a is None else a, over, under, is_leaf=lambda leaf: leaf is None)
