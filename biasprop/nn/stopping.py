"""When a fine-tuning run ends: at the plateau of its validation loss, after a cool-down of the learning rate."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from biasprop.component import Component, Traced
from biasprop.nn.optimisation import CoolDown

Steps = Annotated[int, Traced(), Field(ge=0, le=100_000_000)]


class Course(NamedTuple):
    """The validation loss of a run so far, and when the run cools down."""

    smoothed: Float[Array, ""]
    """Exponential moving average of the validation loss; infinite before it was first measured."""
    lowest: Float[Array, ""]
    """Lowest value of the average so far."""
    lowest_at: Int[Array, ""]
    """Step after which it was measured."""
    cooldown: CoolDown
    """The cool-down, which is the latest one allowed until the plateau is reached."""
    validated: Bool[Array, ""]
    """Whether there are enough labels for the validation loss to decide."""


class Plateau(Component):
    """Train at a constant learning rate until the validation loss has stopped falling, then decrease the rate linearly
    to zero.

    The rule is the same for every encoder, so that a slow learner gets the steps that it needs. The parameters of
    lowest validation loss are kept. With few labels, validation loss is noise: the number of steps is then fixed, and
    the last parameters are kept.
    """

    patience: Steps = 600
    """Steps without a new minimum of the smoothed validation loss after which the cool-down begins."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Weight of the past in the smoothed validation loss, which is measured after every segment of 50 steps."""
    cooldown: Annotated[float, Field(ge=0, le=10)] = 0.25
    """Length of the cool-down as a fraction of the steps before it."""
    shortest: Steps = 0
    """Number of steps before which the cool-down does not begin."""
    min_labels: Steps = 500
    """Smallest label budget at which the validation loss decides."""
    fixed_steps: Steps = 300
    """Number of steps before the cool-down with fewer labels than that."""

    def start(self, steps: Int[Array, ""], labels: Int[Array, ""]) -> Course:
        """The course before the first step.

        Args:
            steps: largest number of steps, cool-down included.
            labels: label budget.
        """
        validated, latest = labels >= self.min_labels, jnp.ceil(steps / (1 + self.cooldown)).astype(jnp.int32)
        fixed = jnp.minimum(jnp.maximum(self.fixed_steps, self.shortest), latest)
        infinite = jnp.float32(jnp.inf)
        cooldown = self._cooldown(jnp.where(validated, latest, fixed), steps)
        return Course(infinite, infinite, jnp.int32(0), cooldown, validated)

    def follow(self, course: Course, step: Int[Array, ""], loss: Float[Array, ""]) -> Course:
        """The course after a segment.

        Args:
            course: before the segment.
            step: number of steps taken.
            loss: validation loss.
        """
        past = jnp.where(jnp.isfinite(course.smoothed), self.smoothing, 0)
        smoothed = jnp.where(past > 0, past * course.smoothed, 0) + (1 - past) * loss
        improved = smoothed < course.lowest
        lowest_at = jnp.where(improved, step, course.lowest_at)
        stopped = course.validated & (step - lowest_at >= self.patience) & (step >= self.shortest)
        begins = stopped & (step < course.cooldown.start)
        start, end = self._cooldown(step, course.cooldown.end)
        cooldown = CoolDown(
            jnp.where(begins, start, course.cooldown.start), jnp.where(begins, end, course.cooldown.end)
        )
        return Course(smoothed, jnp.where(improved, smoothed, course.lowest), lowest_at, cooldown, course.validated)

    def expected_steps(self, steps: int, labels: int) -> int:
        """Number of steps that a run may take, for an estimate of time: where the plateau is not known, half of the
        largest number.

        Args:
            steps, labels: as for :meth:`start`.
        """
        fixed = max(self.fixed_steps, self.shortest)
        return min(steps, round((1 + self.cooldown) * fixed)) if labels < self.min_labels else max(steps // 2, 1)

    def _cooldown(self, start: Int[Array, ""], latest_end: Int[Array, ""]) -> CoolDown:
        length = jnp.ceil(self.cooldown * start).astype(jnp.int32)
        return CoolDown(start, jnp.minimum(start + length, latest_end))
