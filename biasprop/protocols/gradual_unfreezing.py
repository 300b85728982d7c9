"""Gradual unfreezing: train the head first, then unfreeze one layer after another, last to first (ULMFiT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop.component import Traced
from biasprop.interfaces import Encoder, FinetuningLoss, Labelled, Params, Task, TrainingSchedule
from biasprop.protocols.full import Full, Recipe

if TYPE_CHECKING:
    import optax


class GradualUnfreezing(Full):
    """Full fine-tuning in which layers are unfrozen one by one (Howard and Ruder 2018, section 3.3).

    Layers are unfrozen at equal intervals, and training ends after the last of them at the earliest.
    """

    kind: Literal["gradual_unfreezing"] = "gradual_unfreezing"
    unfrozen_by: Annotated[int, Traced(), Field(ge=0, le=100_000_000)] = 400
    """Number of steps after which all parameters are trainable; 0 is full fine-tuning."""

    def recipe(self, pretrained: bool) -> Recipe:
        """The recipe, which does not end before all parameters are trainable."""
        recipe = super().recipe(pretrained)
        shortest = np.maximum(recipe.stopping.shortest, self.unfrozen_by)
        return recipe.model_copy(update={"stopping": recipe.stopping.model_copy(update={"shortest": shortest})})

    def training(
        self,
        task: Task,
        encoder: Encoder,
        params: Params,
        pretrained: bool,
        train: Labelled,
        selection: Labelled,
        key: Key[Array, ""],
    ) -> FinetuningLoss:
        """The loss to minimise on these labels."""
        full = super().training(task, encoder, params, pretrained, train, selection, key)
        return UnfreezingTask(full, encoder, self.unfrozen_by)


class UnfreezingTask(NamedTuple):
    """A fine-tuning run whose optimiser does not update frozen layers
    (a :class:`biasprop.interfaces.ValidatedTask`)."""

    full: FinetuningLoss
    encoder: Encoder
    unfrozen_by: int | Int[Array, ""]

    @property
    def schedule(self) -> TrainingSchedule:
        """The recipe's schedule with unfreezing."""
        return UnfreezingSchedule(self.full.schedule, self.encoder, self.unfrozen_by)

    @property
    def train(self) -> Labelled:
        """The labelled set."""
        return self.full.train

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """As in full fine-tuning."""
        return self.full.loss(params, step)

    def losses(self, params: Params, step: Int[Array, ""]) -> tuple[Float[Array, " b"], Int[Array, " b"]]:
        """As in full fine-tuning."""
        return self.full.losses(params, step)

    def validation_loss(self, params: Params) -> Float[Array, ""]:
        """As in full fine-tuning."""
        return self.full.validation_loss(params)


class UnfreezingSchedule(NamedTuple):
    """A schedule that unfreezes layers one by one."""

    base: TrainingSchedule
    encoder: Encoder
    unfrozen_by: int | Int[Array, ""]

    @property
    def steps(self) -> int | Int[Array, ""]:
        """Number of optimiser steps."""
        return self.base.steps

    def transformation(self) -> optax.GradientTransformation:
        """The schedule's optimiser without updates (weight decay included) of frozen layers.

        Moments of frozen layers are updated, so a layer starts with warm moments when it is unfrozen.
        """
        import optax

        def gate(updates: Any, state: Any, params: Any = None) -> tuple[Params, Array]:
            numbers = self.encoder.layers(updates["encoder"])
            phases = max(jax.tree.leaves(numbers)) + 1

            def gate_layer(number: int, update: Array) -> Array:
                first = (phases - number) / phases * self.unfrozen_by
                return jnp.where(state >= first, update, 0)

            return updates | {"encoder": jax.tree.map(gate_layer, numbers, updates["encoder"])}, state + 1

        return optax.chain(self.base.transformation(), optax.GradientTransformation(lambda params: jnp.int32(0), gate))
