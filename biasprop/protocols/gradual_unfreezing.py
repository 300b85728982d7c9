"""Gradual unfreezing: the head moves first, then one layer after the other from the last to the first (ULMFiT)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop.interfaces import Labelled, Params
from biasprop.nn.optimisation import Schedule
from biasprop.protocols.full import FinetuningTask, Full


class GradualUnfreezing(Full):
    """Full fine-tuning in which a layer stays until its turn comes (Howard and Ruder 2018, section 3.3).

    Turns are equally long; rates are the same for all layers.
    """

    kind: Literal["gradual_unfreezing"] = "gradual_unfreezing"
    unfrozen_by: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Fraction of the steps after which everything moves; 0 is full fine-tuning."""

    def task(
        self, encoder: Any, params: Params, pretrained: bool, train: Labelled, selection: Labelled, key: Key[Array, ""]
    ) -> Any:
        """What is minimised on these labels."""
        full = FinetuningTask(encoder, self.recipe(pretrained), train, selection, key)
        return UnfreezingTask(full, self.unfrozen_by)


class UnfreezingTask(NamedTuple):
    """A fine-tuning run whose optimiser leaves alone what is still frozen
    (a :class:`biasprop.nn.optimisation.ValidatedTask`)."""

    full: FinetuningTask
    unfrozen_by: float | Float[Array, ""]

    @property
    def schedule(self) -> Any:
        """The recipe's schedule, and when each layer joins in."""
        return Unfreezing(self.full.schedule, self.full.encoder, self.unfrozen_by)

    @property
    def train(self) -> Labelled:
        """Who is learned from."""
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


class Unfreezing(NamedTuple):
    """A schedule under which layers join in one by one."""

    base: Schedule
    encoder: Any
    unfrozen_by: float | Float[Array, ""]

    @property
    def steps(self) -> Any:
        """Number of optimiser steps."""
        return self.base.steps

    def optimiser(self) -> Any:
        """The schedule's optimiser, whose updates of frozen layers are dropped, decay included.

        Its moments are kept for frozen layers too, so that a layer's first step is no cold one.
        """
        import optax

        def gate(updates: Any, state: Any, params: Any = None) -> tuple[Params, Array]:
            numbers = self.encoder.layers(updates["encoder"])
            turns = max(jax.tree.leaves(numbers)) + 1

            def open_(number: int, update: Array) -> Array:
                first = (turns - number) / turns * self.unfrozen_by * self.steps
                return jnp.where(state >= first, update, 0)

            return updates | {"encoder": jax.tree.map(open_, numbers, updates["encoder"])}, state + 1

        return optax.chain(self.base.optimiser(), optax.GradientTransformation(lambda params: jnp.int32(0), gate))
