"""The pretraining loss of one step, and the batches it is computed on."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.hardware import memory
from biasprop.interfaces import Cohort, Loop, ObjectiveInputs, Params, Pool, Subjects
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.population import pools, sampling
from biasprop.population.sites import of_subgroups
from biasprop.study.conditions import PretrainingCondition
from biasprop.training import rendering
from biasprop.training.batching import Batch, broadcast, over_cells


class SiteMembers(NamedTuple):
    """The members of a cohort in the order of their sites."""

    rows: Int[Array, " n"]
    """Indices of members, site by site and ascending in each; those after the last site are not in the cohort."""
    sizes: Int[Array, " s"]
    """Number of members of each site."""


class PretrainingTask(NamedTuple):
    """One stage of pretraining (a :class:`biasprop.interfaces.PretrainingSteps`, and with ``members`` a
    :class:`biasprop.interfaces.SiteSteps`)."""

    condition: PretrainingCondition
    key: Key[Array, ""]
    replicate: Key[Array, ""] | None = None
    """Key of the replicate in a later stage; None in the first, whose key it is."""
    cached: ObjectiveInputs | None = None
    """Inputs of the whole pool; None if it does not fit in memory and is rendered batch by batch."""
    members: SiteMembers | None = None
    """The members of each site; None for a loop without sites."""

    @property
    def schedule(self) -> optimisation.Schedule:
        """The condition's schedule."""
        return self.condition.pretraining.schedule

    @property
    def loop(self) -> Loop:
        """The condition's loop."""
        return self.condition.pretraining.loop

    @property
    def cohort(self) -> Cohort:
        """The examples, with their subgroups."""
        pool = pool_of(self.condition, self.key, self.replicate)
        return Cohort(self.condition.pretraining.cohort, pool.shares, pool.subgroup_of)

    def rows(self, step: Int[Array, ""]) -> Int[Array, " n"]:
        """The batch of a step: indices of examples, drawn as the mitigation says."""
        key = keys.at(keys.stream(self.key, Stream.ORDER), step)
        return self.condition.pretraining.mitigation.rows(key, self.schedule.batch, self.cohort)

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on the batch of a step."""
        return self.loss_of_rows(params, self.rows(step), step)

    def loss_of_rows(
        self,
        params: Params,
        rows: Int[Array, " n"],
        step: Int[Array, ""],
        weight: Float[Array, " n"] | None = None,
    ) -> Float[Array, ""]:
        """The objective on given examples with the views of a step; without weights, those that the mitigation says."""
        if weight is None:
            cohort = self.cohort
            weight = self.condition.pretraining.mitigation.weights(cohort.subgroup_of(rows), cohort.shares)
        view_key = keys.at(keys.stream(self.key, Stream.AUGMENT), step)
        return self._loss(params, self._inputs(rows), view_key, weight)

    @property
    def site_sizes(self) -> Int[Array, " s"]:
        """Number of members of each site."""
        return self._members.sizes

    def sites_at_random(self, index: Int[Array, ""]) -> Int[Array, " s"]:
        """All sites in a random order, which an index decides; those without members last."""
        key = keys.at(keys.stream(self.key, Stream.SITES), index)
        uniforms = jax.vmap(jax.random.uniform)(keys.at_each(key, self._site_integers))
        return jnp.argsort(jnp.where(self.site_sizes > 0, uniforms, jnp.inf))

    def site_rows(self, site: Int[Array, ""], step: Int[Array, ""], n: int) -> Int[Array, " n"]:
        """A site's batch of a step: indices of its own examples, drawn as the mitigation says."""
        key = keys.at(keys.at(keys.stream(self.key, Stream.ORDER), step), self._site_integers[site])
        own = self._site_cohort(site)
        return self._rows_at(site, self.condition.pretraining.mitigation.rows(key, n, own))

    def site_weights(self, site: Int[Array, ""], rows: Int[Array, " n"]) -> Float[Array, " n"] | None:
        """Loss weights of a site's batch, as the mitigation says of the site's own shares; None for equal weights."""
        shares = self._site_cohort(site).shares
        return self.condition.pretraining.mitigation.weights(self.cohort.subgroup_of(rows), shares)

    def site_loss(
        self, params: Params, site: Int[Array, ""], rows: Int[Array, " n"], step: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The objective on a site's batch, with views of its own."""
        view_key = keys.at(keys.at(keys.stream(self.key, Stream.AUGMENT), step), self._site_integers[site])
        return self._loss(params, self._inputs(rows), view_key, self.site_weights(site, rows))

    @property
    def _members(self) -> SiteMembers:
        assert self.members is not None, "the loop has no sites"
        return self.members

    @property
    def _site_integers(self) -> Int[Array, " s"]:
        """Frozen integer of each site, so that its random numbers do not depend on the other sites."""
        return jnp.array([keys.integer_of(name) for name in self.condition.sites()])

    def _site_cohort(self, site: Int[Array, ""]) -> Cohort:
        """The cohort of a site, whose members are indexed from 0."""
        every = self.cohort
        own = jnp.where(of_subgroups(self.condition.sites().values()) == site, every.shares, 0)
        shares = own / jnp.maximum(jnp.sum(own), 1e-9)
        return Cohort(self.site_sizes[site], shares, lambda rows: every.subgroup_of(self._rows_at(site, rows)))

    def _rows_at(self, site: Int[Array, ""], positions: Int[Array, " n"]) -> Int[Array, " n"]:
        """Indices in the whole cohort of members of a site."""
        first = jnp.sum(jnp.where(jnp.arange(len(self.site_sizes)) < site, self.site_sizes, 0))
        return self._members.rows[first + positions]

    def held_out_subjects(self, step: Int[Array, ""]) -> Subjects:
        """A batch of held-out subjects, with equal shares of all subgroups; no other stage uses them."""
        subgroups = self.condition.generator.subgroups
        rows = step * self.schedule.batch + jnp.arange(self.schedule.batch)
        key = keys.at(keys.stream(self.key, Stream.PRETEXT), 0)
        return sampling.cohort(
            key,
            rows,
            dict.fromkeys(subgroups, 1 / len(subgroups)),
            self.condition.pretraining.prevalence,
            attributes=self.condition.attributes,
        )

    def loss_on(
        self, params: Params, members: Subjects, step: Int[Array, ""], weight: Float[Array, " n"] | None = None
    ) -> Float[Array, ""]:
        """The objective on a batch of given subjects."""
        generator, objective = self.condition.generator, self.condition.pretraining.objective
        view_key = keys.at(keys.at(keys.stream(self.key, Stream.PRETEXT), 1), step)
        inputs = pools.subject_inputs(generator, members, objective, generator.spec)
        return self._loss(params, inputs, view_key, weight)

    def _loss(
        self, params: Params, inputs: ObjectiveInputs, key: Key[Array, ""], weight: Float[Array, " n"] | None
    ) -> Float[Array, ""]:
        encoder, loss = self.condition.encoder, self.condition.pretraining.objective.loss
        examples, additional = inputs
        return loss(encoder, params["encoder"], params["extra"], examples, key, **additional, weight=weight)

    def _inputs(self, rows: Int[Array, " n"]) -> ObjectiveInputs:
        if self.cached is None:
            return _objective_inputs(Batch(self.condition, self.key, self.replicate), rows)
        return jax.tree.map(lambda leaf: leaf[rows], self.cached)


def pool_of(condition: PretrainingCondition, key: Key[Array, ""], replicate: Key[Array, ""] | None = None) -> Pool:
    """The examples of one stage of a replicate's pretraining.

    Args:
        condition: of the stage.
        key: of the stage.
        replicate: key of the replicate, from which the levels of random attributes come; None in the first stage.
    """
    pretraining = condition.pretraining
    return pretraining.source.pool(key, condition.generator, pretraining, condition.attributes, replicate)


def cohort_members(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> Subjects:
    """Members of a replicate's pretraining cohort, by index."""
    generator = condition.generator
    return pools.SubjectPool(key, generator, condition.pretraining, generator.spec, condition.attributes).members(rows)


def cached_cohort(batch: Batch, largest: int = 0) -> ObjectiveInputs | None:
    """Objective inputs of every cell's whole pool, or None if they exceed the image cache.

    Args:
        batch: the cells.
        largest: see :func:`biasprop.hardware.memory.cached_members`.
    """
    count, chunk = memory.cached_members(batch.condition, largest), rendering.CHUNK
    if not count:
        return None
    rows = np.arange(-(-count // chunk) * chunk).reshape(-1, chunk)
    return over_cells(_rendered_cohort)(
        batch._replace(condition=rendering_condition(batch.condition)), broadcast(batch, rows)
    )


def rendering_condition(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition without the parts that rendering does not depend on, so that they cause no recompilation.

    The objective stays if it reads more than examples.
    """
    pretraining = condition.pretraining
    unused = ("schedule", "mitigation", "loop") + (() if pretraining.objective.reads else ("objective",))
    reduced = pretraining.model_copy(update=dict.fromkeys(unused))
    return condition.model_copy(update={"encoder": None, "pretraining": reduced})


def _rendered_cohort(batch: Batch, rows: Int[Array, "k 250"]) -> ObjectiveInputs:
    chunks = jax.lax.map(lambda chunk: _objective_inputs(batch, chunk), rows)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), chunks)


def _objective_inputs(batch: Batch, rows: Int[Array, " n"]) -> ObjectiveInputs:
    """Inputs of some examples of a cell's pool."""
    return pool_of(*batch).inputs(rows, batch.condition.pretraining.objective)
