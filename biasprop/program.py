"""The whole experiment on one page: pretrain, fine-tune, score.

Every function runs a *batch* of cells of one structure: each array has a leading axis over cells (written ``w`` in
shapes), one cell wide on a CPU, several on an accelerator. What one cell computes never depends on
its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from biasprop import keys, training
from biasprop.batching import Batch, each, over_cells, stream
from biasprop.checkpoint import Checkpoint
from biasprop.condition import Evaluation, Finetuning, PretrainingCondition
from biasprop.heads import solve
from biasprop.interfaces import Labelled, Params, ReadOut
from biasprop.keys import Stream
from biasprop.pretraining import PretrainingTask, cohort_members, shelved
from biasprop.solved import solved
from biasprop.subjects import Anew, Chunks, Roster, Sets, joined, pool, render_sets, rendered

COUNTED = 10_000
"""Members of a cohort counted at once."""

Report = Callable[[str, int, int], None]
"""Called between segments with (stage, step, steps)."""


def ready(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition with whatever its generator's difficulty has to solve for first."""
    return condition.model_copy(update={"generator": solved(condition.generator)})


# --- pretraining -----------------------------------------------------------------------------------------------------


def pretrain(
    batch: Batch, report: Report, checkpoint: Checkpoint | None = None, largest: int = 0
) -> tuple[Params, list[str]]:
    """All parameters of every cell, ``encoder`` and ``extra``, and why each diverged, with the step (empty where it did
    not).

    Args:
        batch: the cells.
        report: is told between segments.
        checkpoint: where it goes on from, if a state was kept there, and keeps its own.
        largest: see :func:`biasprop.pretraining.shelved`; changes no bit.
    """
    params, pretraining = untrained(batch), batch.condition.pretraining
    if not pretraining.objective.trains:
        return params, [""] * len(batch.key)
    second = pretraining.mitigation.continuation(pretraining)
    shelf = shelved(batch, largest)
    params, why = _pretrained(PretrainingTask(*batch, shelf), params, "pretrain", report, checkpoint, second is None)
    if second is not None:
        condition = batch.condition.model_copy(update={"pretraining": second})
        again = Batch(condition, stream(batch, Stream.CONTINUED))
        task = PretrainingTask(*again, shelved(again))
        params, late = _pretrained(task, params, "continue", report, checkpoint, last=True)
        why = [first or then for first, then in zip(why, late, strict=True)]
    return params, why


def _pretrained(
    task: PretrainingTask, params: Params, stage: str, report: Report, checkpoint: Checkpoint | None, last: bool
) -> tuple[Params, list[str]]:
    """All parameters after a run of the objective, and why each cell diverged."""
    steps = int(np.max(task.schedule.steps))
    state = over_cells(training.start)(task, params)
    if checkpoint:
        state = checkpoint.restored(state, stage)
    for done in range(int(np.max(state.step)) // training.SEGMENT, training.segments(steps)):
        report(stage, min(done * training.SEGMENT, steps), steps)
        state, losses = over_cells(training.segment, donate=1)(task, state)
        losses.block_until_ready()
        if checkpoint:
            checkpoint.keep(state, stage)
    if checkpoint and not last:
        checkpoint.keep(state, stage, now=True)
    return state.params, diverged(task, state)


def diverged(task: training.Task, state: training.State) -> list[str]:
    """Why each cell's training stopped moving, with the step, for people; empty where it did not."""
    at = np.asarray(state.diverged_at)
    if (at == training.NEVER).all():
        return [""] * len(at)
    losses = np.asarray(over_cells(training.loss_where_it_stopped)(task, state))
    what = ["the update" if np.isfinite(loss) else "the loss" for loss in losses]
    return ["" if k == training.NEVER else f"{what[i]} of step {k} is not finite" for i, k in enumerate(at)]


def untrained(batch: Batch) -> Params:
    """Initial parameters of every cell: ``encoder``, and ``extra`` for what is thrown away after pretraining."""
    return over_cells(_initial)(batch)


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
    return np.asarray(over_cells(_pretext_losses)(batch, params, each(batch, steps)))


def _pretext_losses(batch: Batch, params: Params, steps: Int[Array, " k"]) -> Float[Array, " g"]:
    task, subgroups = PretrainingTask(*batch), len(batch.condition.generator.subgroups)

    def losses(step: Int[Array, ""]) -> Float[Array, " g"]:
        members = task.strangers(step)
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
    head: ReadOut
    selection: np.ndarray
    """[w, m, d] features of those who selected."""
    selection_count: int
    """How many of them the arm was allowed to see."""
    train: np.ndarray
    """[w, n, d] features of those who could be labelled; only the first ``train_count`` are known."""
    train_count: int
    """How many of them were."""
    diverged: list[str]
    """See :func:`diverged`."""


class Scores(NamedTuple):
    """What an arm leaves behind for one draw; everything is log-odds."""

    test: np.ndarray
    train: np.ndarray
    """Of the labelled subjects themselves."""
    selection: np.ndarray
    calibration: np.ndarray
    separability: np.ndarray
    diverged: list[str]
    selection_count: int
    """How many selection subjects the arm was allowed to see."""

    def unusable(self, i: int) -> str:
        """Why the i-th cell has no result: it diverged, or its scores are no numbers; empty where it has one."""
        return self.diverged[i] or ("" if np.isfinite(self.test[i]).all() else "scores are not finite")


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
            np.asarray(read(adapted.head, adapted.train))[:, : adapted.train_count],
            np.asarray(read(adapted.head, adapted.selection)),
            np.asarray(read(adapted.head, features.calibration)),
            features.separability,
            adapted.diverged,
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
        train = self._mitigated(finetuning, self._labelled(self._pools[draw], "train", count))
        head = over_cells(_fit)(
            each(self.batch, finetuning.protocol),
            train.images,
            train.labels,
            count,
            self._selection,
            each(self.batch, self.who["selection"].recorded),
            selection_count,
            train.weight if train.chance is None else train.chance,
        )
        head = self._retrained(finetuning, head, self._selection)
        counted = int(selection_count[0]), self._pools[draw], int(count[0])
        return Adapted(self.params, head, self._selection, *counted, [""] * len(self.batch.key))

    def _train(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        encoder, protocol = self.batch.condition.encoder, each(self.batch, finetuning.protocol)
        chunks = self._train_images(draw)
        task, state, best = self.moved(finetuning, draw, chunks, report)
        adapted = jax.vmap(lambda adapter, *rest: adapter.whole(*rest))(protocol, encoder, self.params, best["encoder"])
        features = self._encoded(adapted, self.sets.selection, "selection")
        head = self._retrained(finetuning, best["head"], features)
        # Whoever was not labelled is not looked at, but has a place: one program reads every budget.
        known, selected = (int(count[0]) for count in self._counts(finetuning))
        places = sum(chunk.shape[1] for chunk in chunks)
        labelled = np.zeros((len(features), places, features.shape[-1]), features.dtype)
        labelled[:, :known] = self._encoded(adapted, chunks[: -(-known // chunks[0].shape[1])], "train")[:, :known]
        return Adapted(adapted, head, features, selected, labelled, known, diverged(task, state))

    def moved(self, finetuning: Finetuning, draw: int, chunks: Chunks, report: Report) -> tuple[Any, Any, Params]:
        """Train what a protocol trains: the task, the state at its end, and the best parameters on the way."""
        encoder, objective = self.batch.condition.encoder, self.batch.condition.pretraining.objective
        protocol = each(self.batch, finetuning.protocol)
        count, selection_count = self._counts(finetuning)
        order, begin = (keys.inside(stream(self.batch, name), draw) for name in (Stream.FINETUNE_ORDER, Stream.HEAD))
        images, judging = (jnp.concatenate(some, axis=1) for some in (chunks, self.sets.selection))
        train = self._mitigated(finetuning, self._labelled(images, "train", count))
        selection = self._labelled(judging, "selection", selection_count)
        mitigation = each(self.batch, finetuning.mitigation)
        task = mitigation.task(protocol.task(encoder, self.params, objective.trains, train, selection, order))
        params = jax.vmap(lambda adapter, *rest: adapter.start(*rest))(protocol, begin, encoder, self.params)
        params |= jax.vmap(lambda against, *rest: against.start(*rest))(mitigation, train)
        state = over_cells(training.start)(task, params)
        best, steps = (params, jnp.full(len(self.batch.key), jnp.inf)), int(np.max(task.schedule.steps))
        for done in range(training.segments(steps)):
            report("finetune", min(done * training.SEGMENT, steps), steps)
            state, best = over_cells(_finetuning_segment)(task, state, best)
            best[1].block_until_ready()
        return task, state, best[0]

    def _train_images(self, draw: int) -> Chunks:
        return rendered(self.batch, pool(self.batch, draw), self.who["train"]) if draw else self.sets.train

    def _labelled(self, images: Any, name: str, count: Any) -> Labelled:
        """Images, or their features, with what is on record about them."""
        label = np.resize(self.who[name].recorded, images.shape[1])
        return Labelled(images, each(self.batch, label), count)

    def _told(self, labelled: Labelled, name: str) -> Labelled:
        """With the subgroups, which only mitigations see."""
        subgroups = np.eye(len(self.batch.condition.generator.subgroups), dtype=np.float32)
        own = subgroups[np.resize(self.who[name].subgroup, labelled.labels.shape[1])]
        return labelled._replace(subgroup=each(self.batch, own))

    def _mitigated(self, finetuning: Finetuning, train: Labelled) -> Labelled:
        """The labelled subjects as a mitigation would have them."""
        if not finetuning.mitigation.needs_groups:
            return train
        mitigation = each(self.batch, finetuning.mitigation)
        return jax.vmap(lambda against, those: against.labelled(those))(mitigation, self._told(train, "train"))

    def _retrained(self, finetuning: Finetuning, head: ReadOut, features: np.ndarray) -> ReadOut:
        """The head of training, or a mitigation's own."""
        if not finetuning.mitigation.retrains:
            return head
        _, count = self._counts(finetuning)
        selection = self._told(self._labelled(features, "selection", count), "selection")
        return over_cells(_refit)(each(self.batch, finetuning.mitigation), selection)

    def _encoded(self, params: Params, images: Chunks | Anew, name: str) -> np.ndarray:
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


def _fit(protocol: Any, *sets: Any) -> ReadOut:
    return protocol.fit(*sets)


def _refit(mitigation: Any, selection: Labelled) -> ReadOut:
    return mitigation.retrained(selection.images, selection)


def _read(head: ReadOut, features: Float[Array, "*s d"]) -> Float[Array, "*s"]:
    return head(features)


def _separate(
    features: Float[Array, "n d"], subgroup: Int[Array, " n"], twins: Float[Array, "g t d"]
) -> Float[Array, "g t"]:
    """Log-odds of being in the last subgroup rather than the first, by a linear probe of the features."""
    last = twins.shape[0] - 1
    ends = jnp.argsort((subgroup != 0) & (subgroup != last), stable=True)  # first and last subgroup to the front
    count = jnp.sum((subgroup == 0) | (subgroup == last))
    return _read(solve(features[ends], (subgroup[ends] == last).astype(jnp.int32), count, 1e-2), twins)
