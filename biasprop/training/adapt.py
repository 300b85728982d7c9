"""Fine-tuning: adapting the encoders of a batch of cells to labels, arm by arm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from biasprop import keys
from biasprop.interfaces import Labelled, Params, ReadOut
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.population.rosters import Roster
from biasprop.study.conditions import Evaluation, Finetuning
from biasprop.training.batching import Batch, broadcast, over_cells, stream
from biasprop.training.pretrain import Report, diverged
from biasprop.training.rendering import Chunks, ImageSets, encoded, labelled_key, render_sets, rendered


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
        self,
        batch: Batch,
        params: Params,
        who: dict[str, Roster],
        evaluation: Evaluation,
        sets: ImageSets | None = None,
    ):
        self.batch, self.params, self.who, self.evaluation = batch, params, who, evaluation
        self.sets = sets or render_sets(batch, who)
        self._selection: np.ndarray | None = None
        self._pools: dict[int, np.ndarray] = {}

    def adapt(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        """Learn from one draw of labels.

        Every draw labels other subjects; budgets are nested within a draw and subjects are the same for every
        pretraining condition.
        """
        learn = self._train if finetuning.protocol.adapts_encoder else self._probe
        return learn(finetuning, draw, report)

    def _counts(self, finetuning: Finetuning) -> tuple[np.ndarray, np.ndarray]:
        labels = int(finetuning.labels)
        return broadcast(self.batch, (np.int32(labels), np.int32(min(labels, self.evaluation.selection))))

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
            broadcast(self.batch, finetuning.protocol),
            train.images,
            train.labels,
            count,
            self._selection,
            broadcast(self.batch, self.who["selection"].recorded),
            selection_count,
            train.weight if train.chance is None else train.chance,
        )
        head = self._retrained(finetuning, head, self._selection)
        counted = int(selection_count[0]), self._pools[draw], int(count[0])
        return Adapted(self.params, head, self._selection, *counted, [""] * len(self.batch.key))

    def _train(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        encoder, protocol = self.batch.condition.encoder, broadcast(self.batch, finetuning.protocol)
        chunks = self._train_images(draw)
        task, state, best = self.train(finetuning, draw, chunks, report)
        adapted = jax.vmap(lambda adapter, *rest: adapter.merge(*rest))(protocol, encoder, self.params, best["encoder"])
        features = self._encoded(adapted, self.sets.selection, "selection")
        head = self._retrained(finetuning, best["head"], features)
        # Whoever was not labelled is not looked at, but has a place: one program reads every budget.
        known, selected = (int(count[0]) for count in self._counts(finetuning))
        places = sum(chunk.shape[1] for chunk in chunks)
        labelled = np.zeros((len(features), places, features.shape[-1]), features.dtype)
        labelled[:, :known] = self._encoded(adapted, chunks[: -(-known // chunks[0].shape[1])], "train")[:, :known]
        return Adapted(adapted, head, features, selected, labelled, known, diverged(task, state))

    def train(self, finetuning: Finetuning, draw: int, chunks: Chunks, report: Report) -> tuple[Any, Any, Params]:
        """Train what a protocol trains: the task, the state at its end, and the best parameters on the way."""
        encoder, objective = self.batch.condition.encoder, self.batch.condition.pretraining.objective
        protocol = broadcast(self.batch, finetuning.protocol)
        count, selection_count = self._counts(finetuning)
        order, begin = (
            keys.at_batched(stream(self.batch, name), draw) for name in (Stream.FINETUNE_ORDER, Stream.HEAD)
        )
        images, judging = (jnp.concatenate(some, axis=1) for some in (chunks, self.sets.selection))
        train = self._mitigated(finetuning, self._labelled(images, "train", count))
        selection = self._labelled(judging, "selection", selection_count)
        mitigation = broadcast(self.batch, finetuning.mitigation)
        task = mitigation.task(protocol.task(encoder, self.params, objective.trains, train, selection, order))
        params = jax.vmap(lambda adapter, *rest: adapter.start(*rest))(protocol, begin, encoder, self.params)
        params |= jax.vmap(lambda against, *rest: against.start(*rest))(mitigation, train)
        state = over_cells(optimisation.start)(task, params)
        best, steps = (params, jnp.full(len(self.batch.key), jnp.inf)), int(np.max(task.schedule.steps))
        for done in range(optimisation.segment_count(steps)):
            report("finetune", min(done * optimisation.SEGMENT, steps), steps)
            state, best = over_cells(_finetuning_segment)(task, state, best)
            best[1].block_until_ready()
        return task, state, best[0]

    def _train_images(self, draw: int) -> Chunks:
        return rendered(self.batch, labelled_key(self.batch, draw), self.who["train"]) if draw else self.sets.train

    def _labelled(self, images: Any, name: str, count: Any) -> Labelled:
        """Images, or their features, with what is on record about them."""
        label = np.resize(self.who[name].recorded, images.shape[1])
        return Labelled(images, broadcast(self.batch, label), count)

    def _told(self, labelled: Labelled, name: str) -> Labelled:
        """With the subgroups, which only mitigations see."""
        subgroups = np.eye(len(self.batch.condition.generator.subgroups), dtype=np.float32)
        own = subgroups[np.resize(self.who[name].subgroup, labelled.labels.shape[1])]
        return labelled._replace(subgroup=broadcast(self.batch, own))

    def _mitigated(self, finetuning: Finetuning, train: Labelled) -> Labelled:
        """The labelled subjects as a mitigation would have them."""
        if not finetuning.mitigation.needs_groups:
            return train
        mitigation = broadcast(self.batch, finetuning.mitigation)
        return jax.vmap(lambda against, those: against.labelled(those))(mitigation, self._told(train, "train"))

    def _retrained(self, finetuning: Finetuning, head: ReadOut, features: np.ndarray) -> ReadOut:
        """The head of training, or a mitigation's own."""
        if not finetuning.mitigation.retrains:
            return head
        _, count = self._counts(finetuning)
        selection = self._told(self._labelled(features, "selection", count), "selection")
        return over_cells(_refit)(broadcast(self.batch, finetuning.mitigation), selection)

    def _encoded(self, params: Params, images: Chunks, name: str) -> np.ndarray:
        return encoded(self.batch, params, images, len(self.who[name].label))


def _finetuning_segment(task: optimisation.ValidatedTask, state: optimisation.State, best: tuple[Params, Array]) -> Any:
    """A segment, then the better of its end and the best so far by selection loss."""
    state, _ = optimisation.segment(task, state)
    judged = task.validation_loss(state.params)
    better = judged < best[1]
    kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), (state.params, judged), best)
    return state, kept


def _fit(protocol: Any, *sets: Any) -> ReadOut:
    return protocol.fit(*sets)


def _refit(mitigation: Any, selection: Labelled) -> ReadOut:
    return mitigation.retrained(selection.images, selection)
