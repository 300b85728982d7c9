"""Pretraining a batch of cells, and what is known about the encoders it leaves.

Like all of this room, every function runs a *batch* of cells of one structure: each array has a leading axis over cells
(written ``w`` in shapes), one cell wide on a CPU, several on an accelerator. What one cell computes never depends on
its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from biasprop import keys
from biasprop.interfaces import Params
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.training.batching import Batch, broadcast, over_cells, stream
from biasprop.training.pretraining_task import PretrainingTask, cached_cohort, cohort_members

COUNT_CHUNK = 10_000
"""Members of a cohort counted at once."""

Report = Callable[[str, int, int], None]
"""Called between segments with (stage, step, steps)."""


class Checkpoint(Protocol):
    """Where a pretraining that was interrupted goes on from."""

    def restored(self, fresh: optimisation.State, stage: str) -> optimisation.State:
        """The stored state of a stage, or ``fresh`` where there is none."""
        ...

    def keep(self, state: optimisation.State, stage: str, now: bool = False) -> None:
        """Store a state between two segments, when it is time to or ``now``."""
        ...


def pretrain(
    batch: Batch, report: Report, checkpoint: Checkpoint | None = None, largest: int = 0
) -> tuple[Params, list[str]]:
    """All parameters of every cell, ``encoder`` and ``extra``, and why each diverged, with the step (empty where it did
    not).

    Args:
        batch: the cells.
        report: is told between segments.
        checkpoint: where it goes on from, if a state was kept there, and keeps its own.
        largest: see :func:`biasprop.training.pretraining_task.cached_cohort`; changes no bit.
    """
    params, pretraining = untrained(batch), batch.condition.pretraining
    if not pretraining.objective.trains:
        return params, [""] * len(batch.key)
    second = pretraining.mitigation.continuation(pretraining)
    cohort = cached_cohort(batch, largest)
    params, why = _pretrained(PretrainingTask(*batch, cohort), params, "pretrain", report, checkpoint, second is None)
    if second is not None:
        condition = batch.condition.model_copy(update={"pretraining": second})
        again = Batch(condition, stream(batch, Stream.CONTINUED))
        task = PretrainingTask(*again, cached_cohort(again))
        params, late = _pretrained(task, params, "continue", report, checkpoint, last=True)
        why = [first or then for first, then in zip(why, late, strict=True)]
    return params, why


def _pretrained(
    task: PretrainingTask, params: Params, stage: str, report: Report, checkpoint: Checkpoint | None, last: bool
) -> tuple[Params, list[str]]:
    """All parameters after a run of the objective, and why each cell diverged."""
    steps = int(np.max(task.schedule.steps))
    state = over_cells(optimisation.start)(task, params)
    if checkpoint:
        state = checkpoint.restored(state, stage)
    for done in range(int(np.max(state.step)) // optimisation.SEGMENT, optimisation.segment_count(steps)):
        report(stage, min(done * optimisation.SEGMENT, steps), steps)
        state, losses = over_cells(optimisation.segment, donate=1)(task, state)
        losses.block_until_ready()
        if checkpoint:
            checkpoint.keep(state, stage)
    if checkpoint and not last:
        checkpoint.keep(state, stage, now=True)
    return state.params, diverged(task, state)


def diverged(task: optimisation.TrainingTask, state: optimisation.State) -> list[str]:
    """Why each cell's training stopped moving, with the step, for people; empty where it did not."""
    at = np.asarray(state.diverged_at)
    if (at == optimisation.NOT_DIVERGED).all():
        return [""] * len(at)
    losses = np.asarray(over_cells(optimisation.loss_at_divergence)(task, state))
    what = ["the update" if np.isfinite(loss) else "the loss" for loss in losses]
    return ["" if k == optimisation.NOT_DIVERGED else f"{what[i]} of step {k} is not finite" for i, k in enumerate(at)]


def untrained(batch: Batch) -> Params:
    """Initial parameters of every cell: ``encoder``, and ``extra`` for what is thrown away after pretraining."""
    return over_cells(_initial)(batch)


def _initial(batch: Batch) -> Params:
    condition, key = batch
    init = keys.stream(key, Stream.INIT)
    shape = condition.generator.shape
    objective = condition.pretraining.objective
    return {
        "encoder": condition.encoder.init(keys.at(init, 0), shape),
        "extra": objective.init(keys.at(init, 1), condition.encoder, shape),
    }


def pretext_losses(batch: Batch, params: Params, count: int) -> np.ndarray:
    """What the objective comes to on each subgroup: [w, subgroup], NaN where no subject was looked at.

    Batches are as large as in pretraining and hold all subgroups in equal shares, whatever the mix was, so that all
    encoders are asked the same; an image counts for its own subgroup, beside those of all others.

    Args:
        batch: the cells.
        params: ``encoder`` and ``extra``.
        count: subjects, at least; whole batches are read. Nobody is looked at if it is 0.
    """
    pretraining = batch.condition.pretraining
    if not (count and pretraining.sees_subjects):
        return np.full((len(batch.key), len(batch.condition.generator.subgroups)), np.nan, np.float32)
    steps = np.arange(-(-count // pretraining.schedule.batch))
    return np.asarray(over_cells(_pretext_losses)(batch, params, broadcast(batch, steps)))


def _pretext_losses(batch: Batch, params: Params, steps: Int[Array, " k"]) -> Float[Array, " g"]:
    task, subgroups = PretrainingTask(*batch), len(batch.condition.generator.subgroups)

    def losses(step: Int[Array, ""]) -> Float[Array, " g"]:
        members = task.held_out_subjects(step)
        own = jax.nn.one_hot(members.subgroup, subgroups, axis=0)
        weights = own / jnp.mean(own, axis=1, keepdims=True)  # NaN for a subgroup that is not in the batch
        return jax.vmap(lambda weight: task.loss_on(params, members, step, weight))(weights)

    return jnp.nanmean(jax.lax.map(losses, steps), axis=0)


def realised_shares(batch: Batch) -> np.ndarray:
    """Share of each subgroup in every cell's cohort as it was drawn: [w, subgroup], NaN where none was seen."""
    condition = batch.condition
    subgroups = len(condition.generator.subgroups)
    if not condition.pretraining.sees_subjects:
        return np.full((len(batch.key), subgroups), np.nan, np.float32)
    sizes = np.asarray(condition.pretraining.cohort)
    counts = np.zeros((len(batch.key), subgroups))
    for first in range(0, int(sizes.max()), COUNT_CHUNK):
        rows = np.arange(first, first + COUNT_CHUNK)
        drawn = np.asarray(over_cells(_subgroups_of)(batch, broadcast(batch, rows)))
        for g in range(subgroups):
            counts[:, g] += ((drawn == g) & (rows < sizes[:, None])).sum(axis=1)
    return (counts / sizes[:, None]).astype(np.float32)


def _subgroups_of(batch: Batch, rows: Int[Array, " n"]) -> Int[Array, " n"]:
    return cohort_members(batch.condition, batch.key, rows).subgroup
