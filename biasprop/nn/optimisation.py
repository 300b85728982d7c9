"""The optimiser loop of pretraining and fine-tuning: a compiled scan over a fixed number of steps (a segment),
called until the schedule ends.

Progress reports and interruptions happen between segments and do not change the result, to the bit. A run that diverges
keeps its last finite parameters and records the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component, OneOf, Traced, default_member
from biasprop.interfaces import Optimiser, Params, TrainingTask
from biasprop.optimisers import OPTIMISERS

if TYPE_CHECKING:
    import optax

SEGMENT = 50
"""Steps per compiled segment. A run is a whole number of segments; steps beyond its length change nothing."""

NOT_DIVERGED = -1
"""``State.diverged_at`` of a run that has not diverged."""


class Schedule(Component):
    """Linear warm-up and cosine decay to zero (Loshchilov and Hutter 2017), gradients clipped to norm 1."""

    steps: Annotated[int, Traced(), Field(ge=1, le=100_000_000)] = 700
    """Number of optimiser steps."""
    batch: Annotated[int, Field(ge=2, le=65_536)] = 128
    """Images per step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Peak learning rate."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Decoupled weight decay, on matrices only."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Fraction of the steps over which the learning rate rises from 0."""
    optimiser: Annotated[Optimiser, OneOf(OPTIMISERS)] = Field(default_factory=default_member(OPTIMISERS, "muon"))
    """How the parameters move along the gradient."""

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Learning rate at a step."""
        progress = step / self.steps
        rising = progress / jnp.maximum(self.warmup, 1e-6)
        falling = 0.5 * (1 + jnp.cos(jnp.pi * (progress - self.warmup) / (1 - self.warmup)))
        return self.learning_rate * jnp.where(progress < self.warmup, rising, falling)

    def transformation(self, step: Int[Array, ""] | None = None) -> optax.GradientTransformation:
        """The optax gradient transformation: updates are proportional to the learning rate, weight decay included.

        Args:
            step: whose learning rate applies; None: that of the number of updates so far.
        """
        import optax

        rate = self.rate if step is None else lambda _: self.rate(step)
        return optax.chain(optax.clip_by_global_norm(1.0), self.optimiser.transformation(rate, self.weight_decay))


class ConstantSchedule(Schedule):
    """Linear warm-up and a constant learning rate, gradients clipped to norm 1."""

    steps: Annotated[int, Traced(), Field(ge=1, le=100_000_000)] = 5_000
    """Largest number of optimiser steps."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.012
    """Fraction of that number over which the learning rate rises from 0."""

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Learning rate at a step."""
        rising = self.warmup * self.steps
        return self.learning_rate * jnp.where(step < rising, step / jnp.maximum(rising, 1e-6), 1)


class CoolDown(NamedTuple):
    """A linear decrease of the learning rate to 0."""

    start: Int[Array, ""]
    """First step with less than the full rate."""
    end: Int[Array, ""]
    """Number of steps of the run."""

    def factor(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Factor on the update of a step."""
        return jnp.clip((self.end - step) / jnp.maximum(self.end - self.start + 1, 1), 0, 1)


class State(NamedTuple):
    """State of a training run between two segments."""

    params: Params
    moments: Any
    step: Int[Array, ""]
    diverged_at: Int[Array, ""]
    """First step whose loss or update was not finite, or :data:`NOT_DIVERGED`."""


def start(task: TrainingTask, params: Params) -> State:
    """The state before the first step."""
    return State(params, task.schedule.transformation().init(params), jnp.int32(0), jnp.int32(NOT_DIVERGED))


def segment(task: TrainingTask, state: State, cooldown: CoolDown | None = None) -> tuple[State, Float[Array, " s"]]:
    """Take ``SEGMENT`` steps.

    Args:
        task: what is minimised.
        state: before the segment.
        cooldown: decreases the updates and ends the run; None where the schedule alone says when it ends.

    Returns:
        The state after them, and the loss of each step (NaN for steps beyond the end or after divergence).
    """
    optimiser = task.schedule.transformation()
    steps = task.schedule.steps if cooldown is None else cooldown.end

    def scaled(update: Array, step: Int[Array, ""]) -> Array:
        return update if cooldown is None else cooldown.factor(step) * update

    def step(state: State, _: None) -> tuple[State, Float[Array, ""]]:
        loss, gradients = jax.value_and_grad(task.loss)(state.params, state.step)
        updates, moments = optimiser.update(gradients, state.moments, state.params)
        updates = jax.tree.map(lambda update: scaled(update, state.step), updates)
        params = jax.tree.map(jnp.add, state.params, updates)
        finite = jnp.isfinite(loss) & jnp.isfinite(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(updates)))
        running = (state.step < steps) & (state.diverged_at == NOT_DIVERGED)
        accept = running & finite
        updated: Any = jax.tree.map(
            lambda new, old: jnp.where(accept, new, old), (params, moments), (state.params, state.moments)
        )
        diverged_at = jnp.where(running & ~finite, state.step, state.diverged_at)
        return State(updated[0], updated[1], state.step + 1, diverged_at), jnp.where(running, loss, jnp.nan)

    return jax.lax.scan(step, state, length=SEGMENT)


def loss_at_divergence(task: TrainingTask, state: State) -> Float[Array, ""]:
    """Loss of the step at which a run diverged; its parameters are those before that step."""
    return task.loss(state.params, jnp.maximum(state.diverged_at, 0))


def segment_count(steps: int) -> int:
    """Number of segments in a run of this many steps."""
    return -(-steps // SEGMENT)
