"""What pretraining minimises, and on whom: a batch of the cohort at each step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.hardware import memory
from biasprop.interfaces import Cohort, Params, Subjects
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.population import sampling
from biasprop.population.shifts import in_order
from biasprop.study.conditions import PretrainingCondition
from biasprop.training import rendering
from biasprop.training.batching import Batch, broadcast, over_cells


class ObjectiveInputs(NamedTuple):
    """What an objective is shown of some members of a cohort, a row a member."""

    images: Float[Array, "n h w c"]
    read: dict[str, Array]
    """What it reads beside them, by the names of its ``reads``."""


class PretrainingTask(NamedTuple):
    """One pretraining run (a :class:`biasprop.nn.optimisation.TrainingTask`)."""

    condition: PretrainingCondition
    key: Key[Array, ""]
    cached: ObjectiveInputs | None = None
    """Of the whole cohort; None where it is too large to be kept, and rendered a batch at a time."""

    @property
    def schedule(self) -> optimisation.Schedule:
        """The condition's schedule."""
        return self.condition.pretraining.schedule

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on a random batch of the cohort."""
        encoder, pretraining = self.condition.encoder, self.condition.pretraining
        order = keys.at(keys.stream(self.key, Stream.ORDER), step)
        views = keys.at(keys.stream(self.key, Stream.AUGMENT), step)
        (images, read), weight = self._batch(order) if pretraining.source.shows_subjects else self._others(order)
        loss = pretraining.objective.loss
        return loss(encoder, params["encoder"], params["extra"], images, views, **read, weight=weight)

    def held_out_subjects(self, step: Int[Array, ""]) -> Subjects:
        """A batch of subjects from all subgroups alike, whatever the mix was, whom no other stage ever sees."""
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
        views = keys.at(keys.at(keys.stream(self.key, Stream.PRETEXT), 1), step)
        images, read = jax.vmap(generator.render)(members), objective_reads(objective, generator, members)
        encoder = self.condition.encoder
        return objective.loss(encoder, params["encoder"], params["extra"], images, views, **read, weight=weight)

    def _batch(self, order: Key[Array, ""]) -> tuple[ObjectiveInputs, Any]:
        """Members of the cohort, and how much each counts."""
        generator, pretraining = self.condition.generator, self.condition.pretraining
        shares = jnp.stack([jnp.asarray(pretraining.shares.get(name, 0.0)) for name in generator.subgroups])
        cohort = Cohort(
            pretraining.cohort, shares, lambda rows: cohort_members(self.condition, self.key, rows).subgroup
        )
        rows = pretraining.mitigation.rows(order, self.schedule.batch, cohort)
        return self._shown(rows), pretraining.mitigation.weights(cohort.subgroup_of(rows), shares)

    def _others(self, order: Key[Array, ""]) -> tuple[ObjectiveInputs, None]:
        """As many images as the cohort has members, of nobody."""
        rows = jax.random.randint(order, (self.schedule.batch,), 0, self.condition.pretraining.cohort)
        return self._shown(rows), None

    def _shown(self, rows: Int[Array, " n"]) -> ObjectiveInputs:
        if self.cached is None:
            return _objective_inputs(self.condition, self.key, rows)
        return jax.tree.map(lambda leaf: leaf[rows], self.cached)


def cached_cohort(batch: Batch, largest: int = 0) -> ObjectiveInputs | None:
    """What is shown of every cell's cohort, if it fits on its shelf; None where it does not.

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
    """A condition without what learns, so that one program renders its cohort whatever that is, unless it reads more
    than images."""
    stage = condition.pretraining
    learns = ("schedule", "mitigation") if stage.objective.reads else ("schedule", "mitigation", "objective")
    shown = stage.model_copy(update=dict.fromkeys(learns))
    return condition.model_copy(update={"encoder": None, "pretraining": shown})


def _rendered_cohort(batch: Batch, rows: Int[Array, "k 250"]) -> ObjectiveInputs:
    kept = jax.lax.map(lambda some: _objective_inputs(batch.condition, batch.key, some), rows)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), kept)


def _objective_inputs(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> ObjectiveInputs:
    """Members of the cohort, or, where the source shows no subject, as many others."""
    source, generator = condition.pretraining.source, condition.generator
    if not source.shows_subjects:
        own = keys.at_each(keys.stream(key, Stream.SOURCE), rows)
        return ObjectiveInputs(jax.vmap(lambda one: source.render(one, generator.shape))(own), {})
    members = cohort_members(condition, key, rows)
    return ObjectiveInputs(
        jax.vmap(generator.render)(members), objective_reads(condition.pretraining.objective, generator, members)
    )


def objective_reads(objective: Any, generator: Any, members: Subjects) -> dict[str, Array]:
    """What an objective, if there is one, reads of subjects beside their images, by the names of its ``reads``."""

    def attribute() -> Float[Array, " n"]:
        names = list(generator.attribute_names)
        place = names.index(objective.attribute) if objective.attribute else 0
        return jax.vmap(generator.attributes)(members)[:, place]

    def follow_up() -> Float[Array, "n h w c"]:
        months = jnp.full(members.label.shape, objective.months, jnp.float32)
        return jax.vmap(generator.render)(members._replace(months=months))

    ways = {"attribute": attribute, "follow_up": follow_up}
    return {name: ways[name]() for name in (objective.reads if objective else ())}


def cohort_members(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> Subjects:
    """Members of a replicate's pretraining cohort."""
    pretraining = condition.pretraining
    shares = {name: pretraining.shares.get(name, 0.0) for name in condition.generator.subgroups}
    shifts = in_order(pretraining.shifts, list(shares))
    return sampling.cohort(keys.stream(key, Stream.PRETRAIN_SUBJECTS), rows, shares, pretraining.prevalence, shifts)
