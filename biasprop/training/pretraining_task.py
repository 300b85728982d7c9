"""The pretraining loss of one step, and the batches it is computed on."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.hardware import memory
from biasprop.interfaces import Cohort, Example, Params, Subjects
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.population import sampling
from biasprop.population.shifts import in_order
from biasprop.study.conditions import PretrainingCondition
from biasprop.training import rendering
from biasprop.training.batching import Batch, broadcast, over_cells


class ObjectiveInputs(NamedTuple):
    """Inputs of an objective, one row per cohort member."""

    examples: Example
    additional: dict[str, Any]
    """The inputs named by the objective's ``reads``."""


class PretrainingTask(NamedTuple):
    """One pretraining run (a :class:`biasprop.nn.optimisation.TrainingTask`)."""

    condition: PretrainingCondition
    key: Key[Array, ""]
    cached: ObjectiveInputs | None = None
    """Inputs of the whole cohort; None if it does not fit in memory and is rendered batch by batch."""

    @property
    def schedule(self) -> optimisation.Schedule:
        """The condition's schedule."""
        return self.condition.pretraining.schedule

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on a random batch of the cohort."""
        encoder, pretraining = self.condition.encoder, self.condition.pretraining
        order_key = keys.at(keys.stream(self.key, Stream.ORDER), step)
        view_key = keys.at(keys.stream(self.key, Stream.AUGMENT), step)
        draw_batch = self._cohort_batch if pretraining.source.shows_subjects else self._non_medical_batch
        (examples, additional), weight = draw_batch(order_key)
        loss = pretraining.objective.loss
        return loss(encoder, params["encoder"], params["extra"], examples, view_key, **additional, weight=weight)

    def held_out_subjects(self, step: Int[Array, ""]) -> Subjects:
        """A batch of held-out subjects, with equal shares of all subgroups; no other stage uses them."""
        subgroups = self.condition.generator.subgroups
        rows = step * self.schedule.batch + jnp.arange(self.schedule.batch)
        key = keys.at(keys.stream(self.key, Stream.PRETEXT), 0)
        return sampling.cohort(
            key, rows, dict.fromkeys(subgroups, 1 / len(subgroups)), self.condition.pretraining.prevalence
        )

    def loss_on(
        self, params: Params, members: Subjects, step: Int[Array, ""], weight: Float[Array, " n"] | None = None
    ) -> Float[Array, ""]:
        """The objective on a batch of given subjects."""
        generator, objective = self.condition.generator, self.condition.pretraining.objective
        view_key = keys.at(keys.at(keys.stream(self.key, Stream.PRETEXT), 1), step)
        examples, additional = jax.vmap(generator.observe)(members), additional_inputs(objective, generator, members)
        encoder = self.condition.encoder
        return objective.loss(
            encoder, params["encoder"], params["extra"], examples, view_key, **additional, weight=weight
        )

    def _cohort_batch(self, key: Key[Array, ""]) -> tuple[ObjectiveInputs, Any]:
        """Members of the cohort, and their loss weights."""
        generator, pretraining = self.condition.generator, self.condition.pretraining
        shares = jnp.stack([jnp.asarray(pretraining.shares.get(name, 0.0)) for name in generator.subgroups])
        cohort = Cohort(
            pretraining.cohort, shares, lambda rows: cohort_members(self.condition, self.key, rows).subgroup
        )
        rows = pretraining.mitigation.rows(key, self.schedule.batch, cohort)
        return self._inputs(rows), pretraining.mitigation.weights(cohort.subgroup_of(rows), shares)

    def _non_medical_batch(self, key: Key[Array, ""]) -> tuple[ObjectiveInputs, None]:
        """A batch from a pool of examples without subjects, which is as large as the cohort."""
        rows = jax.random.randint(key, (self.schedule.batch,), 0, self.condition.pretraining.cohort)
        return self._inputs(rows), None

    def _inputs(self, rows: Int[Array, " n"]) -> ObjectiveInputs:
        if self.cached is None:
            return _objective_inputs(self.condition, self.key, rows)
        return jax.tree.map(lambda leaf: leaf[rows], self.cached)


def cached_cohort(batch: Batch, largest: int = 0) -> ObjectiveInputs | None:
    """Objective inputs of every cell's whole cohort, or None if they exceed the image cache.

    Args:
        batch: the cells.
        largest: see :func:`biasprop.hardware.memory.cached_members`.
    """
    count, chunk = memory.cached_members(batch.condition, largest), rendering.CHUNK
    if not count:
        return None
    rows = np.arange(-(-count // chunk) * chunk).reshape(-1, chunk)
    return over_cells(_rendered_cohort)(Batch(_rendering_condition(batch.condition), batch.key), broadcast(batch, rows))


def _rendering_condition(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition without the parts that rendering does not depend on, so that they cause no recompilation.

    The objective stays if it reads more than examples.
    """
    pretraining = condition.pretraining
    unused = ("schedule", "mitigation") if pretraining.objective.reads else ("schedule", "mitigation", "objective")
    reduced = pretraining.model_copy(update=dict.fromkeys(unused))
    return condition.model_copy(update={"encoder": None, "pretraining": reduced})


def _rendered_cohort(batch: Batch, rows: Int[Array, "k 250"]) -> ObjectiveInputs:
    chunks = jax.lax.map(lambda chunk: _objective_inputs(batch.condition, batch.key, chunk), rows)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), chunks)


def _objective_inputs(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> ObjectiveInputs:
    """Inputs of some members of the cohort, or of examples without subjects if the source has none."""
    source, generator = condition.pretraining.source, condition.generator
    if not source.shows_subjects:
        example_keys = keys.at_each(keys.stream(key, Stream.SOURCE), rows)
        return ObjectiveInputs(
            jax.vmap(lambda example_key: source.observe(example_key, generator.spec))(example_keys), {}
        )
    members = cohort_members(condition, key, rows)
    return ObjectiveInputs(
        jax.vmap(generator.observe)(members), additional_inputs(condition.pretraining.objective, generator, members)
    )


def additional_inputs(objective: Any, generator: Any, members: Subjects) -> dict[str, Any]:
    """Inputs that an objective needs besides examples (its ``reads``), by name; empty without an objective."""

    def attribute() -> Float[Array, " n"]:
        names = list(generator.attribute_names)
        index = names.index(objective.attribute) if objective.attribute else 0
        return jax.vmap(generator.attributes)(members)[:, index]

    def follow_up() -> Example:
        months = jnp.full(members.label.shape, objective.months, jnp.float32)
        return jax.vmap(generator.observe)(members._replace(months=months))

    inputs = {"attribute": attribute, "follow_up": follow_up}
    return {name: inputs[name]() for name in (objective.reads if objective else ())}


def cohort_members(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> Subjects:
    """Members of a replicate's pretraining cohort, by index."""
    pretraining = condition.pretraining
    shares = {name: pretraining.shares.get(name, 0.0) for name in condition.generator.subgroups}
    shifts = in_order(pretraining.shifts, list(shares))
    return sampling.cohort(keys.stream(key, Stream.PRETRAIN_SUBJECTS), rows, shares, pretraining.prevalence, shifts)
