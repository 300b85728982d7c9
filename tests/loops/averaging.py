"""A second loop, to show that the interface fits more than one: federated averaging over subgroups."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from biasprop.component import Component
from biasprop.interfaces import Params, PretrainingSteps
from biasprop.nn.optimisation import NOT_DIVERGED


class Averaged(NamedTuple):
    """The parameters that all sites have at the beginning of a round."""

    shared: Params
    step: Int[Array, ""]
    diverged_at: Int[Array, ""]


class Averaging(Component):
    """Every subgroup is a site that takes gradient steps on its part of the batch; parameters are averaged each round.

    Without momentum and with one local step, a round is a step on the whole batch (McMahan et al. 2017).
    """

    kind: Literal["averaging"] = "averaging"
    local_steps: int = 1
    """Steps of a round."""
    rounds: int = 3
    """Rounds of a segment."""

    @property
    def segment_steps(self) -> int:
        """Steps per segment."""
        return self.local_steps * self.rounds

    def start(self, task: PretrainingSteps, params: Params) -> Averaged:
        """The state before the first round."""
        return Averaged(params, jnp.int32(0), jnp.int32(NOT_DIVERGED))

    def segment(self, task: PretrainingSteps, state: Averaged) -> tuple[Averaged, Float[Array, " s"]]:
        """Take some rounds."""
        cohort = task.cohort

        def site(g: Int[Array, ""], state: Averaged) -> tuple[Params, Float[Array, " l"], Float[Array, ""]]:
            def step(params: Params, ahead: Int[Array, ""]) -> tuple[Params, tuple[Array, Array]]:
                at = state.step + ahead
                rows = task.rows(at)
                own = cohort.subgroup_of(rows) == g
                rows = rows[jnp.argsort(~own, stable=True)]  # of this site, repeated
                rows = rows[jnp.arange(len(rows)) % jnp.maximum(jnp.sum(own), 1)]
                loss, slope = jax.value_and_grad(task.loss_of_rows)(params, rows, at)
                running = at < task.schedule.steps
                rate = jnp.where(running, task.schedule.learning_rate, 0.0)
                params = jax.tree.map(lambda value, d: jnp.where(rate != 0, value - rate * d, value), params, slope)
                return params, (jnp.where(running, loss, jnp.nan), jnp.mean(own))

            params, (losses, size) = jax.lax.scan(step, state.shared, jnp.arange(self.local_steps))
            return params, losses, jnp.mean(size)

        def one_round(state: Averaged, _: None) -> tuple[Averaged, Float[Array, " l"]]:
            params, losses, size = jax.vmap(site, (0, None))(jnp.arange(len(cohort.shares)), state)
            mean = jax.tree.map(lambda leaf: jnp.tensordot(size, leaf, 1), params)
            finite = jnp.isfinite(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(mean)))
            accept = finite & (state.diverged_at == NOT_DIVERGED) & (state.step < task.schedule.steps)
            shared: Any = jax.tree.map(lambda new, old: jnp.where(accept, new, old), mean, state.shared)
            diverged_at = jnp.where(finite | (state.diverged_at != NOT_DIVERGED), state.diverged_at, state.step)
            return Averaged(shared, state.step + self.local_steps, diverged_at), size @ losses

        state, losses = jax.lax.scan(one_round, state, length=self.rounds)
        return state, losses.ravel()

    def params(self, state: Averaged) -> Params:
        """The parameters after the last round."""
        return state.shared
