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
from biasprop.study.conditions import PretrainingCondition
from biasprop.training import rendering
from biasprop.training.batching import Batch, broadcast, over_cells


class PretrainingTask(NamedTuple):
    """One stage of pretraining (a :class:`biasprop.interfaces.PretrainingSteps`)."""

    condition: PretrainingCondition
    key: Key[Array, ""]
    replicate: Key[Array, ""] | None = None
    """Key of the replicate in a later stage; None in the first, whose key it is."""
    cached: ObjectiveInputs | None = None
    """Inputs of the whole pool; None if it does not fit in memory and is rendered batch by batch."""

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

    def loss_of_rows(self, params: Params, rows: Int[Array, " n"], step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on given examples, weighted as the mitigation says, with the views of a step."""
        cohort = self.cohort
        weight = self.condition.pretraining.mitigation.weights(cohort.subgroup_of(rows), cohort.shares)
        view_key = keys.at(keys.stream(self.key, Stream.AUGMENT), step)
        return self._loss(params, self._inputs(rows), view_key, weight)

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
