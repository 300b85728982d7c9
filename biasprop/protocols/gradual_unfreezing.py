"""Gradual unfreezing: train the head first, then unfreeze one layer after another, last to first (ULMFiT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop.interfaces import Encoder, FinetuningLoss, Labelled, Params, Task, TrainingSchedule
from biasprop.nn.optimisation import Schedule
from biasprop.protocols.full import FinetuningTask, Full

if TYPE_CHECKING:
    import optax


class GradualUnfreezing(Full):
    """Full fine-tuning in which layers are unfrozen one by one (Howard and Ruder 2018, section 3.3).

    Layers are unfrozen at equal intervals; the learning rate is the same for all.
    """

    kind: Literal["gradual_unfreezing"] = "gradual_unfreezing"
    unfrozen_by: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Fraction of the steps after which all parameters are trainable; 0 is full fine-tuning."""

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
        full = FinetuningTask(task, encoder, self.recipe(pretrained), train, selection, key)
        return UnfreezingTask(full, encoder, self.unfrozen_by)


class UnfreezingTask(NamedTuple):
    """A fine-tuning run whose optimiser does not update frozen layers
    (a :class:`biasprop.interfaces.ValidatedTask`)."""

    full: FinetuningTask
    encoder: Encoder
    unfrozen_by: float | Float[Array, ""]

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

    base: Schedule
    encoder: Encoder
    unfrozen_by: float | Float[Array, ""]

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
                first = (phases - number) / phases * self.unfrozen_by * self.steps
                return jnp.where(state >= first, update, 0)

            return updates | {"encoder": jax.tree.map(gate_layer, numbers, updates["encoder"])}, state + 1

        return optax.chain(self.base.transformation(), optax.GradientTransformation(lambda params: jnp.int32(0), gate))
