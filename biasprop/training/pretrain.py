"""Pretrain a batch of cells, and measure the encoders and cohorts (pretext loss, realised shares)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from biasprop import keys
from biasprop.interfaces import HasNormalisation, LoopState, Params
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.training.batching import Batch, broadcast, over_cells
from biasprop.training.input_constants import input_constants
from biasprop.training.pretraining_task import PretrainingTask, cached_cohort
from biasprop.training.site_members import cohort_subgroups, site_members

Report = Callable[[str, int, int], None]
"""Called between segments with (stage, step, steps); steps are counted over all stages."""


class Checkpoint(Protocol):
    """Stores states of a pretraining run, so that an interrupted run can resume."""

    def restored(self, fresh: LoopState, stage: str) -> LoopState:
        """The stored state of a stage, or ``fresh`` if there is none."""
        ...

    def keep(self, state: LoopState, stage: str, now: bool = False) -> None:
        """Store a state between two segments if it is due, or unconditionally with ``now``."""
        ...


def stages(batch: Batch) -> list[tuple[str, Batch]]:
    """The stages of pretraining in order, with their names in reports and checkpoints; empty if there are none.

    Every stage has its own condition, and later ones have other keys, so that their subjects, batches and views are
    independent of those before.
    """
    found: list[tuple[str, Batch]] = []
    key = batch.key
    for number, condition in enumerate(batch.condition.stages()):
        if number:
            key = keys.at_batched(key, int(Stream.CONTINUED))
        name = ("pretrain", "continue")[number] if number < 2 else f"continue-{number}"
        found.append((name, Batch(condition, key, batch.key if number else None)))
    return found


def pretrain(
    batch: Batch, report: Report, checkpoint: Checkpoint | None = None, largest: int = 0
) -> tuple[Params, list[str]]:
    """Pretrain every cell, stage by stage, each from the parameters of the one before.

    Args:
        batch: the cells.
        report: called between segments.
        checkpoint: resumes from a stored state and stores new ones; None for neither.
        largest: see :func:`biasprop.training.pretraining_task.cached_cohort`, for the first stage; changes no bit.

    Returns:
        Parameters ``encoder`` and ``extra`` of every cell, and why each cell diverged (empty if it did not).
    """
    sequence, done, reasons = stages(batch), 0, [""] * len(batch.key)
    params = _initial(sequence[0][1] if sequence else batch)
    total = sum(_steps(stage) for _, stage in sequence)
    for number, (name, stage) in enumerate(sequence):
        if number and not _same_objective(stage, sequence[number - 1][1]):
            params = {"encoder": params["encoder"], "extra": over_cells(_initial_parameters)(stage)["extra"]}
        last = number == len(sequence) - 1
        params, own = _run_stage(
            prepared(stage, 0 if number else largest),
            params,
            name,
            lambda stage, step, _, done=done: report(stage, done + step, total),
            checkpoint,
            last,
        )
        reasons = [one or other for one, other in zip(reasons, own, strict=True)]
        done += _steps(stage)
    return params, reasons


def prepared(stage: Batch, largest: int = 0) -> PretrainingTask:
    """The tasks of every cell in one stage, with what is computed once before its first step.

    Args:
        stage: the cells.
        largest: see :func:`biasprop.training.pretraining_task.cached_cohort`.
    """
    return PretrainingTask(*stage, cached_cohort(stage, largest), site_members(stage, largest))


def _steps(batch: Batch) -> int:
    """Steps of one stage; where cells differ, of the longest."""
    return int(np.max(batch.condition.pretraining.schedule.steps))


def _same_objective(one: Batch, other: Batch) -> bool:
    """Whether two stages have the same objective up to its floats, so that its parameters can continue."""
    objectives = (stage.condition.pretraining.objective for stage in (one, other))
    return len({jax.tree.structure(objective) for objective in objectives}) == 1


def _run_stage(
    task: PretrainingTask, params: Params, stage: str, report: Report, checkpoint: Checkpoint | None, last: bool
) -> tuple[Params, list[str]]:
    """Run one stage; returns all parameters, and why each cell diverged."""
    steps, segment = int(np.max(task.schedule.steps)), task.loop.segment_steps
    state = over_cells(start)(task, params)
    if checkpoint:
        state = checkpoint.restored(state, stage)
    for done in range(int(np.max(state.step)), steps, segment):
        report(stage, done, steps)
        state, losses = over_cells(run_segment, donate=1)(task, state)
        jax.block_until_ready(losses)
        if checkpoint:
            checkpoint.keep(state, stage)
    if checkpoint and not last:
        checkpoint.keep(state, stage, now=True)
    return over_cells(_reached)(task, state), diverged(task, state, _loss_at_divergence)


def start(task: PretrainingTask, params: Params) -> LoopState:
    """The state of a stage's loop before its first step."""
    return task.loop.start(task, params)


def run_segment(task: PretrainingTask, state: LoopState) -> tuple[LoopState, Float[Array, " s"]]:
    """One segment of a stage's loop: the state after it, and the loss of each step."""
    return task.loop.segment(task, state)


def _reached(task: PretrainingTask, state: LoopState) -> Params:
    return task.loop.params(state)


def _loss_at_divergence(task: PretrainingTask, state: LoopState) -> Float[Array, ""]:
    return task.loss(task.loop.params(state), jnp.maximum(state.diverged_at, 0))


def diverged(
    task: Any,
    state: LoopState | optimisation.State,
    loss_at_divergence: Callable[[Any, Any], Float[Array, ""]] = optimisation.loss_at_divergence,
) -> list[str]:
    """A message per cell that says at which step training diverged; empty if it did not.

    Args:
        task: of the cells.
        state: after training.
        loss_at_divergence: of one cell's task and state.
    """
    steps = np.asarray(state.diverged_at)
    if (steps == optimisation.NOT_DIVERGED).all():
        return [""] * len(steps)
    losses = np.asarray(over_cells(loss_at_divergence)(task, state))
    return [
        ""
        if step == optimisation.NOT_DIVERGED
        else f"{'the update' if np.isfinite(loss) else 'the loss'} of step {step} is not finite"
        for step, loss in zip(steps, losses, strict=True)
    ]


def untrained(batch: Batch) -> Params:
    """Initial parameters of every cell, in the form that pretraining returns.

    ``encoder``, and ``extra`` of the last stage, which is discarded after pretraining.
    """
    return _initial(_last_stage(batch))


def _last_stage(batch: Batch) -> Batch:
    """The cells under the condition of their last stage, with the keys of the replicate."""
    return Batch([batch.condition, *batch.condition.stages()][-1], batch.key)


def _initial(batch: Batch) -> Params:
    params = over_cells(_initial_parameters)(batch)
    encoder = batch.condition.encoder
    if isinstance(encoder, HasNormalisation) and encoder.normalisation.of_cohort:
        params["encoder"] = encoder.with_constants(params["encoder"], input_constants(batch))
    return params


def _initial_parameters(batch: Batch) -> Params:
    condition, init = batch.condition, keys.stream(batch.key, Stream.INIT)
    spec = condition.generator.spec
    objective = condition.pretraining.objective
    return {
        "encoder": condition.encoder.init(keys.at(init, 0), spec),
        "extra": objective.init(keys.at(init, 1), condition.encoder, spec),
    }


def pretext_losses(batch: Batch, params: Params, count: int) -> np.ndarray:
    """Pretraining loss of each subgroup on held-out subjects: [w, subgroup]; NaN if the last stage saw no subjects.

    The objective is that of the last stage. Batches have the size of its batches and equal shares of all subgroups,
    whatever the mix was, so that all encoders are evaluated on the same batches. An image counts towards its own
    subgroup; the other subgroups' images stay in the batch (as negatives, for example).

    Args:
        batch: the cells.
        params: ``encoder`` and ``extra``.
        count: least number of subjects, rounded up to whole batches; 0 evaluates none.
    """
    last = _last_stage(batch)
    pretraining = last.condition.pretraining
    if not (count and pretraining.sees_subjects):
        return np.full((len(batch.key), len(batch.condition.generator.subgroups)), np.nan, np.float32)
    steps = np.arange(-(-count // pretraining.schedule.batch))
    return np.asarray(over_cells(_pretext_losses)(last, params, broadcast(last, steps)))


def _pretext_losses(batch: Batch, params: Params, steps: Int[Array, " k"]) -> Float[Array, " g"]:
    task, subgroups = PretrainingTask(*batch), len(batch.condition.generator.subgroups)

    def losses(step: Int[Array, ""]) -> Float[Array, " g"]:
        members = task.held_out_subjects(step)
        one_hot = jax.nn.one_hot(members.subgroup, subgroups, axis=0)
        weights = one_hot / jnp.mean(one_hot, axis=1, keepdims=True)  # NaN for a subgroup that is not in the batch
        return jax.vmap(lambda weight: task.loss_on(params, members, step, weight))(weights)

    return jnp.nanmean(jax.lax.map(losses, steps), axis=0)


def realised_shares(batch: Batch) -> np.ndarray:
    """Share of each subgroup in every cell's cohort as drawn: [w, subgroup]; NaN without a cohort.

    If several stages have a cohort, it is that of the first of them.
    """
    subgroups = len(batch.condition.generator.subgroups)
    cohort = next((stage for _, stage in stages(batch) if stage.condition.pretraining.sees_subjects), None)
    if cohort is None:
        return np.full((len(batch.key), subgroups), np.nan, np.float32)
    sizes = np.asarray(cohort.condition.pretraining.cohort)
    counts = np.zeros((len(batch.key), subgroups))
    for rows, drawn in cohort_subgroups(cohort, int(sizes.max())):
        for g in range(subgroups):
            counts[:, g] += ((drawn == g) & (rows < sizes[:, None])).sum(axis=1)
    return (counts / sizes[:, None]).astype(np.float32)
