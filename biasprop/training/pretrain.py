"""Pretrain a batch of cells, and measure the encoders and cohorts (pretext loss, realised shares)."""

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
"""Cohort members counted per compiled call."""

Report = Callable[[str, int, int], None]
"""Called between segments with (stage, step, steps)."""


class Checkpoint(Protocol):
    """Stores states of a pretraining run, so that an interrupted run can resume."""

    def restored(self, fresh: optimisation.State, stage: str) -> optimisation.State:
        """The stored state of a stage, or ``fresh`` if there is none."""
        ...

    def keep(self, state: optimisation.State, stage: str, now: bool = False) -> None:
        """Store a state between two segments if it is due, or unconditionally with ``now``."""
        ...


def pretrain(
    batch: Batch, report: Report, checkpoint: Checkpoint | None = None, largest: int = 0
) -> tuple[Params, list[str]]:
    """Pretrain every cell, including a second stage if the mitigation has one.

    Args:
        batch: the cells.
        report: called between segments.
        checkpoint: resumes from a stored state and stores new ones; None for neither.
        largest: see :func:`biasprop.training.pretraining_task.cached_cohort`; changes no bit.

    Returns:
        Parameters ``encoder`` and ``extra`` of every cell, and why each cell diverged (empty if it did not).
    """
    params, pretraining = untrained(batch), batch.condition.pretraining
    if not pretraining.objective.trains:
        return params, [""] * len(batch.key)
    second = pretraining.mitigation.continuation(pretraining)
    cohort = cached_cohort(batch, largest)
    task = PretrainingTask(*batch, cohort)
    params, reasons = _run_stage(task, params, "pretrain", report, checkpoint, last=second is None)
    if second is not None:
        condition = batch.condition.model_copy(update={"pretraining": second})
        second_batch = Batch(condition, stream(batch, Stream.CONTINUED))
        task = PretrainingTask(*second_batch, cached_cohort(second_batch))
        params, second_reasons = _run_stage(task, params, "continue", report, checkpoint, last=True)
        reasons = [one or other for one, other in zip(reasons, second_reasons, strict=True)]
    return params, reasons


def _run_stage(
    task: PretrainingTask, params: Params, stage: str, report: Report, checkpoint: Checkpoint | None, last: bool
) -> tuple[Params, list[str]]:
    """Run one stage; returns all parameters, and why each cell diverged."""
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
    """A message per cell that says at which step training diverged; empty if it did not."""
    steps = np.asarray(state.diverged_at)
    if (steps == optimisation.NOT_DIVERGED).all():
        return [""] * len(steps)
    losses = np.asarray(over_cells(optimisation.loss_at_divergence)(task, state))
    return [
        ""
        if step == optimisation.NOT_DIVERGED
        else f"{'the update' if np.isfinite(loss) else 'the loss'} of step {step} is not finite"
        for step, loss in zip(steps, losses, strict=True)
    ]


def untrained(batch: Batch) -> Params:
    """Initial parameters of every cell: ``encoder``, and ``extra``, which is discarded after pretraining."""
    return over_cells(_initial_parameters)(batch)


def _initial_parameters(batch: Batch) -> Params:
    condition, key = batch
    init = keys.stream(key, Stream.INIT)
    spec = condition.generator.spec
    objective = condition.pretraining.objective
    return {
        "encoder": condition.encoder.init(keys.at(init, 0), spec),
        "extra": objective.init(keys.at(init, 1), condition.encoder, spec),
    }


def pretext_losses(batch: Batch, params: Params, count: int) -> np.ndarray:
    """Pretraining loss of each subgroup on held-out subjects: [w, subgroup]; NaN if no subject was evaluated.

    Batches have the size of pretraining batches and equal shares of all subgroups, whatever the mix was, so that all
    encoders are evaluated on the same batches. An image counts towards its own subgroup; the other subgroups' images
    stay in the batch (as negatives, for example).

    Args:
        batch: the cells.
        params: ``encoder`` and ``extra``.
        count: least number of subjects, rounded up to whole batches; 0 evaluates none.
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
        one_hot = jax.nn.one_hot(members.subgroup, subgroups, axis=0)
        weights = one_hot / jnp.mean(one_hot, axis=1, keepdims=True)  # NaN for a subgroup that is not in the batch
        return jax.vmap(lambda weight: task.loss_on(params, members, step, weight))(weights)

    return jnp.nanmean(jax.lax.map(losses, steps), axis=0)


def realised_shares(batch: Batch) -> np.ndarray:
    """Share of each subgroup in every cell's cohort as drawn: [w, subgroup]; NaN without a cohort."""
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
