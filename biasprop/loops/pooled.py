"""Pooled training on the batches of all sites: what federated averaging of the same images is compared with."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from biasprop.interfaces import BatchSchedule, Params, SiteSteps
from biasprop.loops.sites import AcrossSites
from biasprop.nn import optimisation
from biasprop.nn.optimisation import State


class Pooled(AcrossSites):
    """One optimiser, whose every step descends the loss of one batch of each site: those of the federated loop."""

    kind: Literal["pooled"] = "pooled"
    negatives: Literal["all", "site"] = "all"
    """Images that the objective sees together: those of all sites, or those of one site at a time, whose losses are
    averaged. For contrastive objectives the second keeps negatives local, as federated training does; for losses that
    add over images the two differ in the views alone."""

    @property
    def segment_steps(self) -> int:
        """Steps per segment."""
        return optimisation.SEGMENT

    def start(self, task: SiteSteps, params: Params) -> State:
        """The state before the first step."""
        return optimisation.start(PooledSteps(task, self), params)

    def segment(self, task: SiteSteps, state: State) -> tuple[State, Float[Array, " s"]]:
        """Take ``segment_steps`` steps; returns the state after them, and the loss of each."""
        return optimisation.segment(PooledSteps(task, self), state)

    def params(self, state: State) -> Params:
        """The parameters after the last step."""
        return state.params


class PooledSteps(NamedTuple):
    """The steps of a stage, each on one batch of every site (a :class:`biasprop.interfaces.TrainingTask`)."""

    task: SiteSteps
    loop: Pooled

    @property
    def schedule(self) -> BatchSchedule:
        """The stage's schedule."""
        return self.task.schedule

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on the batches of a step."""
        task, sizes = self.task, self.task.site_sizes
        n = self.loop.images_per_site(task.schedule.batch, len(sizes))
        sites, weights = jnp.arange(len(sizes)), self.loop.site_weights(sizes)
        rows = jax.vmap(lambda site: task.site_rows(site, step, n))(sites)
        if self.loop.negatives == "site":
            losses = jax.vmap(lambda site, rows: task.site_loss(params, site, rows, step))(sites, rows)
            return jnp.sum(jnp.where(weights > 0, weights * losses, 0))
        own = jax.vmap(task.site_weights)(sites, rows)
        image_weights = len(sizes) * jnp.repeat(weights, n) * (1 if own is None else own.ravel())
        return task.loss_of_rows(params, rows.ravel(), step, image_weights)
