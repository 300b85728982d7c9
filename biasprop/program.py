"""The whole experiment on one page: pretrain, fine-tune, score.

Every function runs a *batch* of cells of one structure: each array has a leading axis over cells (written ``w`` in
shapes), one cell wide on a CPU, as wide as memory allows on an accelerator. What one cell computes never depends on
its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys, population, training
from biasprop.batching import Batch, each, over_cells, stream
from biasprop.condition import Evaluation, Finetuning, PretrainingCondition
from biasprop.heads import Head, solve
from biasprop.interfaces import Labelled, Params, Subjects
from biasprop.keys import Stream
from biasprop.shifts import in_order
from biasprop.solved import solved
from biasprop.subjects import Chunks, Roster, Sets, joined, pool, render_sets, rendered

COUNTED = 10_000
"""Members of a cohort counted at once."""

Report = Callable[[str, int, int], None]
"""Called between segments with (stage, step, steps)."""


class PretrainingTask(NamedTuple):
    """One pretraining run (a :class:`biasprop.training.Task`)."""

    condition: PretrainingCondition
    key: Key[Array, ""]

    @property
    def schedule(self) -> training.Schedule:
        """The condition's schedule."""
        return self.condition.pretraining.schedule

    def loss(self, params: Params, step: Int[Array, ""]) -> Float[Array, ""]:
        """The objective on a random batch of the cohort, rendered here and now."""
        generator, encoder, pretraining = self.condition.generator, self.condition.encoder, self.condition.pretraining
        order = keys.at(keys.stream(self.key, Stream.ORDER), step)
        rows = jax.random.randint(order, (self.schedule.batch,), 0, pretraining.cohort)
        images = jax.vmap(generator.render)(cohort_members(self.condition, self.key, rows))
        views = keys.at(keys.stream(self.key, Stream.AUGMENT), step)
        return pretraining.objective.loss(encoder, params["encoder"], params["extra"], images, views)


def ready(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition with whatever its generator's difficulty has to solve for first."""
    return condition.model_copy(update={"generator": solved(condition.generator)})


def cohort_members(condition: PretrainingCondition, key: Key[Array, ""], rows: Int[Array, " n"]) -> Subjects:
    """Members of a replicate's pretraining cohort."""
    pretraining = condition.pretraining
    shares = {name: pretraining.shares.get(name, 0.0) for name in condition.generator.subgroups}
    shifts = in_order(pretraining.shifts, list(shares))
    return population.cohort(keys.stream(key, Stream.PRETRAIN_SUBJECTS), rows, shares, pretraining.prevalence, shifts)


# --- pretraining -----------------------------------------------------------------------------------------------------


def pretrain(batch: Batch, report: Report) -> tuple[Params, np.ndarray]:
    """Encoder parameters of every cell, and the step at which each diverged (``training.NEVER`` if it did not)."""
    params = untrained(batch)
    if not batch.condition.pretraining.objective.trains:
        return params["encoder"], np.full(len(batch.key), training.NEVER)
    task = PretrainingTask(*batch)
    state = over_cells(training.start)(task, params)
    steps = int(np.max(batch.condition.pretraining.schedule.steps))
    for done in range(training.segments(steps)):
        report("pretrain", min(done * training.SEGMENT, steps), steps)
        state, losses = over_cells(training.segment, donate=1)(task, state)
        losses.block_until_ready()
    return state.params["encoder"], np.asarray(state.diverged_at)


def untrained(batch: Batch) -> Params:
    """Initial parameters of every cell: ``encoder``, and ``extra`` for what is thrown away after pretraining."""
    return over_cells(_initial)(batch)


def realised_shares(batch: Batch) -> np.ndarray:
    """Share of each subgroup in every cell's cohort as it was drawn: [w, subgroup], NaN without pretraining."""
    condition = batch.condition
    subgroups = len(condition.generator.subgroups)
    if not condition.pretraining.objective.trains:
        return np.full((len(batch.key), subgroups), np.nan, np.float32)
    sizes = np.asarray(condition.pretraining.cohort)
    counts = np.zeros((len(batch.key), subgroups))
    for first in range(0, int(sizes.max()), COUNTED):
        rows = np.arange(first, first + COUNTED)
        drawn = np.asarray(over_cells(_subgroups_of)(batch, each(batch, rows)))
        for g in range(subgroups):
            counts[:, g] += ((drawn == g) & (rows < sizes[:, None])).sum(axis=1)
    return (counts / sizes[:, None]).astype(np.float32)


def _subgroups_of(batch: Batch, rows: Int[Array, " n"]) -> Int[Array, " n"]:
    return cohort_members(batch.condition, batch.key, rows).subgroup


def _initial(batch: Batch) -> Params:
    condition, key = batch
    init = keys.stream(key, Stream.INIT)
    shape = condition.generator.shape
    objective = condition.pretraining.objective
    return {
        "encoder": condition.encoder.init(keys.at(init, 0), shape),
        "extra": objective.init(keys.at(init, 1), condition.encoder, shape),
    }


# --- fine-tuning and scoring -----------------------------------------------------------------------------------------


class Features(NamedTuple):
    """Features of those who calibrate and test under one encoder, and how they tell subgroups apart."""

    calibration: np.ndarray
    """[w, k, d]"""
    test: np.ndarray
    """[w, subgroup, t, d]"""
    separability: np.ndarray
    """[w, subgroup, t] log-odds of being in the last subgroup, by a probe of the calibration subjects' features."""


class Adapted(NamedTuple):
    """Encoders and heads adapted to one draw of labels, before anyone is evaluated."""

    encoder: Params
    head: Head
    selection: np.ndarray
    """[w, m, d] features of those who selected."""
    selection_count: int
    """How many of them the arm was allowed to see."""
    diverged_at: np.ndarray


class Scores(NamedTuple):
    """What an arm leaves behind for one draw; everything is log-odds."""

    test: np.ndarray
    selection: np.ndarray
    calibration: np.ndarray
    separability: np.ndarray
    diverged_at: np.ndarray
    selection_count: int
    """How many selection subjects the arm was allowed to see."""

    def usable(self, i: int) -> bool:
        """Whether the i-th cell's training neither diverged nor ended in scores that are no numbers."""
        return bool(self.diverged_at[i] == training.NEVER and np.isfinite(self.test[i]).all())


class Finetuner:
    """Adapts the encoders of one batch under any number of arms, sharing what arms have in common.

    Args:
        batch: the cells.
        params: their encoders.
        who: everyone who is looked at.
        evaluation: who judges.
        sets: images of ``who``; rendered here where there are none.
    """

    def __init__(
        self, batch: Batch, params: Params, who: dict[str, Roster], evaluation: Evaluation, sets: Sets | None = None
    ):
        self.batch, self.params, self.who, self.evaluation = batch, params, who, evaluation
        self.sets = sets or render_sets(batch, who)
        self._frozen: Features | None = None
        self._selection: np.ndarray | None = None
        self._pools: dict[int, np.ndarray] = {}

    def adapt(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        """Learn from one draw of labels.

        Every draw labels other subjects; budgets are nested within a draw and subjects are the same for every
        pretraining condition.
        """
        learn = self._train if finetuning.protocol.adapts_encoder else self._probe
        return learn(finetuning, draw, report)

    def score(self, adapted: Adapted) -> Scores:
        """Evaluate on everyone who calibrates and tests."""
        features, read = self._features(adapted.encoder), over_cells(_read)
        return Scores(
            np.asarray(read(adapted.head, features.test)),
            np.asarray(read(adapted.head, adapted.selection)),
            np.asarray(read(adapted.head, features.calibration)),
            features.separability,
            adapted.diverged_at,
            adapted.selection_count,
        )

    def _counts(self, finetuning: Finetuning) -> tuple[np.ndarray, np.ndarray]:
        labels = int(finetuning.labels)
        return each(self.batch, (np.int32(labels), np.int32(min(labels, self.evaluation.selection))))

    def _probe(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        if self._selection is None:
            self._selection = self._encoded(self.params, self.sets.selection, "selection")
        if draw not in self._pools:
            report("probe", draw, finetuning.protocol.draws)
            images = self._train_images(draw)
            self._pools[draw] = self._encoded(self.params, images, "train")
        count, selection_count = self._counts(finetuning)
        head = over_cells(_fit)(
            each(self.batch, finetuning.protocol),
            self._pools[draw],
            each(self.batch, self.who["train"].recorded),
            count,
            self._selection,
            each(self.batch, self.who["selection"].recorded),
            selection_count,
        )
        solved = np.full(len(self.batch.key), training.NEVER)
        return Adapted(self.params, head, self._selection, int(selection_count[0]), solved)

    def _train(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        encoder, objective = self.batch.condition.encoder, self.batch.condition.pretraining.objective
        protocol = each(self.batch, finetuning.protocol)
        count, selection_count = self._counts(finetuning)
        task = protocol.task(
            encoder,
            objective.trains,
            self._labelled(self._train_images(draw), "train", count),
            self._labelled(self.sets.selection, "selection", selection_count),
            jax.vmap(lambda key: keys.at(key, draw))(stream(self.batch, Stream.FINETUNE_ORDER)),
        )
        params = jax.vmap(lambda leaf: finetuning.protocol.start(leaf, encoder.features))(self.params)
        state = over_cells(training.start)(task, params)
        best, steps = (params, jnp.full(len(self.batch.key), jnp.inf)), int(np.max(task.schedule.steps))
        for done in range(training.segments(steps)):
            report("finetune", min(done * training.SEGMENT, steps), steps)
            state, best = over_cells(_finetuning_segment)(task, state, best)
            best[1].block_until_ready()
        adapted = best[0]["encoder"]
        selection = self._encoded(adapted, self.sets.selection, "selection")
        return Adapted(adapted, best[0]["head"], selection, int(selection_count[0]), np.asarray(state.diverged_at))

    def _train_images(self, draw: int) -> Chunks:
        return rendered(self.batch, pool(self.batch, draw), self.who["train"]) if draw else self.sets.train

    def _labelled(self, images: Chunks, name: str, count: Any) -> Labelled:
        joined = jnp.concatenate(images, axis=1)
        label = np.resize(self.who[name].recorded, joined.shape[1])
        return Labelled(joined, each(self.batch, label), count)

    def _encoded(self, params: Params, images: Chunks, name: str) -> np.ndarray:
        encoder = self.batch.condition.encoder
        return joined([over_cells(_encode)(encoder, params, chunk) for chunk in images], len(self.who[name].label))

    def _features(self, params: Params) -> Features:
        """Kept for the encoder as it was pretrained, which all arms of frozen features share."""
        if params is self.params and self._frozen is not None:
            return self._frozen
        twins = np.stack([self._encoded(params, chunks, "test") for chunks in self.sets.test], axis=1)
        calibration = self._encoded(params, self.sets.calibration, "calibration")
        subgroup = each(self.batch, self.who["calibration"].subgroup)
        features = Features(calibration, twins, np.asarray(over_cells(_separate)(calibration, subgroup, twins)))
        if params is self.params:
            self._frozen = features
        return features


def _finetuning_segment(task: training.JudgedTask, state: training.State, best: tuple[Params, Array]) -> Any:
    """A segment, then the better of its end and the best so far by selection loss."""
    state, _ = training.segment(task, state)
    judged = task.judge(state.params)
    better = judged < best[1]
    kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), (state.params, judged), best)
    return state, kept


def _encode(encoder: Any, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
    return encoder.apply(params, images)


def _fit(protocol: Any, *sets: Any) -> Head:
    return protocol.fit(*sets)


def _read(head: Head, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
    return features @ head.weights + head.intercept


def _separate(
    features: Float[Array, "n d"], subgroup: Int[Array, " n"], twins: Float[Array, "g t d"]
) -> Float[Array, "g t"]:
    """Log-odds of being in the last subgroup rather than the first, by a linear probe of the features."""
    last = twins.shape[0] - 1
    ends = jnp.argsort((subgroup != 0) & (subgroup != last), stable=True)  # first and last subgroup to the front
    count = jnp.sum((subgroup == 0) | (subgroup == last))
    return _read(solve(features[ends], (subgroup[ends] == last).astype(jnp.int32), count, 1e-2), twins)
