"""Fine-tuning: adapt the encoders of a batch of cells to labels, one arm and draw at a time.

Shapes: ``w`` cells of the batch, ``n`` subjects of the label pool, ``m`` validation subjects, ``d`` features. The label
pool of a draw has as many subjects as the largest label budget of the study trains on; a smaller budget uses its first
rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from biasprop import keys
from biasprop.interfaces import (
    Example,
    FrozenMethod,
    Labelled,
    Params,
    ReadOut,
    Recipe,
    RefitsHead,
    StoppingRule,
    Task,
    ValidatedTask,
)
from biasprop.keys import Stream
from biasprop.nn import optimisation
from biasprop.nn.stopping import Course
from biasprop.population.rosters import Roster
from biasprop.study.conditions import Evaluation, Finetuning
from biasprop.training.batching import Batch, broadcast, over_cells, stream
from biasprop.training.pretrain import Report, diverged
from biasprop.training.rendering import Chunks, ExampleSets, encoded, labelled_key, render_sets, rendered


class Adapted(NamedTuple):
    """Encoders and heads fine-tuned on one draw of labels, with their features of the labelled and validation sets."""

    encoder: Params
    head: ReadOut
    selection: np.ndarray
    """[w, m, d] features of the validation set."""
    selection_count: int
    """Number of validation subjects used by the arm."""
    train: np.ndarray
    """[w, n, d] features of the label pool; only the first ``train_count`` rows are trained on."""
    train_count: int
    """Number of labelled subjects that are trained on."""
    diverged: list[str]
    """For each cell, why training diverged (:func:`biasprop.training.pretrain.diverged`); empty if it did not."""


class Finetuner:
    """Fine-tunes the encoders of one batch under any number of arms; examples and frozen features are computed once.

    Args:
        batch: the cells.
        params: their pretrained encoder parameters.
        rosters: subjects of every set.
        evaluation: sizes of the evaluation sets.
        sets: examples of ``rosters``; rendered here if None.
    """

    def __init__(
        self,
        batch: Batch,
        params: Params,
        rosters: dict[str, Roster],
        evaluation: Evaluation,
        sets: ExampleSets | None = None,
    ):
        self.batch, self.params, self.rosters, self.evaluation = batch, params, rosters, evaluation
        self.sets = sets or render_sets(batch, rosters)
        self._selection_features: np.ndarray | None = None
        self._pool_features: dict[int, np.ndarray] = {}

    def adapt(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        """Fine-tune on one draw of labels.

        Draws have disjoint subjects. Within a draw, a smaller label budget is a subset of a larger one. Subjects are
        the same for every pretraining condition.
        """
        fine_tune = self._train_encoder if finetuning.protocol.adapts_encoder else self._fit_frozen
        return fine_tune(finetuning, draw, report)

    def _counts(self, finetuning: Finetuning) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of labelled subjects to train on and to validate on, repeated for every cell."""
        return broadcast(self.batch, tuple(np.int32(count) for count in self.evaluation.split(int(finetuning.labels))))

    def _fit_frozen(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        if self._selection_features is None:
            self._selection_features = self._encoded(self.params, self.sets.selection, "selection")
        report("probe", draw, finetuning.protocol.draws)
        selection, train = self._selection_features, self._labelled_features(finetuning, draw)
        count, selection_count = self._counts(finetuning)
        head = over_cells(_fit)(
            broadcast(self.batch, finetuning.protocol),
            broadcast(self.batch, finetuning.task),
            train.inputs,
            train.labels,
            count,
            selection,
            self.rosters["selection"].recorded_in(len(self.batch.key)),
            selection_count,
            _weight(train),
        )
        head = self._retrained(finetuning, head, selection)
        not_diverged = [""] * len(self.batch.key)
        return Adapted(self.params, head, selection, int(selection_count[0]), train.inputs, int(count[0]), not_diverged)

    def _train_encoder(self, finetuning: Finetuning, draw: int, report: Report) -> Adapted:
        encoder, protocol = self.batch.condition.encoder, broadcast(self.batch, finetuning.protocol)
        chunks = self._train_examples(draw)
        task, state, best = self.train(finetuning, draw, chunks, report)
        adapted = jax.vmap(lambda method, *rest: method.merge(*rest))(protocol, encoder, self.params, best["encoder"])
        features = self._encoded(adapted, self.sets.selection, "selection")
        head = self._retrained(finetuning, best["head"], features)
        # Unlabelled subjects of the pool are not encoded; their rows stay 0, so that one program scores every budget.
        labels, selection_count = (int(count[0]) for count in self._counts(finetuning))
        chunk = jax.tree.leaves(chunks[0])[0].shape[1]
        train = np.zeros((len(features), len(chunks) * chunk, features.shape[-1]), features.dtype)
        train[:, :labels] = self._encoded(adapted, chunks[: -(-labels // chunk)], "train")[:, :labels]
        return Adapted(adapted, head, features, selection_count, train, labels, diverged(task, state))

    def train(
        self, finetuning: Finetuning, draw: int, chunks: Chunks, report: Report
    ) -> tuple[ValidatedTask, optimisation.State, Params]:
        """Run gradient fine-tuning; returns the task, the final state, and the parameters that are kept."""
        encoder, objective = self.batch.condition.encoder, self.batch.condition.pretraining.objective
        protocol = broadcast(self.batch, finetuning.protocol)
        count, selection_count = self._counts(finetuning)
        order_key, head_key = (
            keys.at_batched(stream(self.batch, name), draw) for name in (Stream.FINETUNE_ORDER, Stream.HEAD)
        )
        examples, selection_examples = (
            jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *set_chunks)
            for set_chunks in (chunks, self.sets.selection)
        )
        train = self._mitigated(finetuning, self._labelled(examples, "train", count))
        selection = self._labelled(selection_examples, "selection", selection_count)
        mitigation = broadcast(self.batch, finetuning.mitigation)
        predicted = broadcast(self.batch, finetuning.task)
        task = mitigation.training(
            protocol.training(predicted, encoder, self.params, objective.trains, train, selection, order_key)
        )
        recipe = protocol.recipe(objective.trains)
        head = self._initial_head(finetuning, recipe, draw)
        params = jax.vmap(lambda method, *rest: method.start(*rest))(protocol, head_key, encoder, self.params, head)
        params |= jax.vmap(lambda method, *rest: method.start(*rest))(mitigation, train)
        labels = broadcast(self.batch, np.int32(finetuning.labels))
        run = over_cells(_started)(task, recipe, labels, params)
        step, end = 0, int(np.max(recipe.schedule.steps))
        while True:
            report("finetune", step, end)
            run = jax.block_until_ready(over_cells(_finetuning_segment)(task, recipe.stopping, run))
            step, end = int(np.max(run.state.step)), int(np.max(run.course.cooldown.end))
            if step >= end:
                return task, run.state, run.best

    def _initial_head(self, finetuning: Finetuning, recipe: Recipe, draw: int) -> ReadOut:
        """The head before gradient fine-tuning: fitted to frozen features, or at chance."""
        if recipe.head_first:
            task, train = broadcast(self.batch, finetuning.task), self._labelled_features(finetuning, draw)
            rest = (train.labels, train.count, recipe.head_penalty, _weight(train))
            return over_cells(_fit_head)(task, train.inputs, *rest)
        head = finetuning.task.head(self.batch.condition.encoder.features(self.batch.condition.generator.spec))
        return broadcast(self.batch, head)

    def _labelled_features(self, finetuning: Finetuning, draw: int) -> Labelled:
        """Features of the label pool by the pretrained encoder, with labels and the weights of the mitigation."""
        count, _ = self._counts(finetuning)
        return self._mitigated(finetuning, self._labelled(self._frozen_features(draw), "train", count))

    def _frozen_features(self, draw: int) -> np.ndarray:
        """Features of the label pool by the pretrained encoder."""
        if draw not in self._pool_features:
            self._pool_features[draw] = self._encoded(self.params, self._train_examples(draw), "train")
        return self._pool_features[draw]

    def _train_examples(self, draw: int) -> Chunks:
        if not draw:
            return self.sets.train
        return rendered(self.batch, labelled_key(self.batch, draw), self.rosters["train"].of_draw(draw))

    def _labelled(self, inputs: Example | ArrayLike, name: str, count: Any) -> Labelled:
        """Examples, or their features, with recorded labels."""
        recorded, rows = self.rosters[name].recorded_in(len(self.batch.key)), jax.tree.leaves(inputs)[0].shape[1]
        labels: Any = np.take(recorded, range(rows), axis=1, mode="wrap")
        return Labelled(inputs, labels, count)

    def _with_subgroups(self, labelled: Labelled, name: str) -> Labelled:
        """Add one-hot subgroups, which only mitigations see."""
        one_hot = np.eye(len(self.batch.condition.generator.subgroups), dtype=np.float32)
        subgroup = one_hot[np.resize(self.rosters[name].subgroup, labelled.labels.shape[1])]
        return labelled._replace(subgroup=broadcast(self.batch, subgroup))

    def _mitigated(self, finetuning: Finetuning, train: Labelled) -> Labelled:
        """The labelled set with the loss or sampling weights of the mitigation."""
        if not finetuning.mitigation.needs_groups:
            return train
        mitigation = broadcast(self.batch, finetuning.mitigation)
        return jax.vmap(lambda method, labelled: method.labelled(labelled))(
            mitigation, self._with_subgroups(train, "train")
        )

    def _retrained(self, finetuning: Finetuning, head: ReadOut, features: np.ndarray) -> ReadOut:
        """The trained head, or the one a mitigation refits on the validation set."""
        if not isinstance(finetuning.mitigation, RefitsHead):
            return head
        _, count = self._counts(finetuning)
        selection = self._with_subgroups(self._labelled(features, "selection", count), "selection")
        return over_cells(_refit)(*broadcast(self.batch, (finetuning.mitigation, finetuning.task)), selection)

    def _encoded(self, params: Params, examples: Chunks, name: str) -> np.ndarray:
        return encoded(self.batch, params, examples, len(self.rosters[name].label))


class FinetuningRun(NamedTuple):
    """A run of gradient fine-tuning between two segments."""

    state: optimisation.State
    course: Course
    best: Params
    """Parameters of lowest validation loss; the last ones where validation does not decide."""
    best_loss: Float[Array, ""]
    """Their validation loss."""


def _started(task: ValidatedTask, recipe: Recipe, labels: Int[Array, ""], params: Params) -> FinetuningRun:
    """A run before the first step."""
    course = recipe.stopping.start(jnp.asarray(task.schedule.steps), labels)
    return FinetuningRun(optimisation.start(task, params), course, params, jnp.float32(jnp.inf))


def _finetuning_segment(task: ValidatedTask, stopping: StoppingRule, run: FinetuningRun) -> FinetuningRun:
    """Train one segment."""
    state, _ = optimisation.segment(task, run.state, run.course.cooldown)
    loss = task.validation_loss(state.params)
    better = (loss < run.best_loss) | ~run.course.validated
    best, best_loss = jax.tree.map(
        lambda a, b: jnp.where(better, a, b), (state.params, loss), (run.best, run.best_loss)
    )
    return FinetuningRun(state, stopping.follow(run.course, state.step, loss), best, best_loss)


def _weight(train: Labelled) -> Any:
    """Weight of each subject in a fit to the whole labelled set; None for equal weights."""
    return train.weight if train.sampling_weight is None else train.sampling_weight


def _fit_head(task: Task, features: Float[Array, "n d"], *labelled: Any) -> ReadOut:
    """The fitted head, or one at chance if the fit failed."""
    fitted, chance = task.fit(features, *labelled), task.head(features.shape[1])
    failed = jnp.stack([jnp.isnan(leaf).any() for leaf in jax.tree.leaves(fitted)]).any()
    return jax.tree.map(lambda a, b: jnp.where(failed, b, a), fitted, chance)


def _fit(protocol: FrozenMethod, *sets: Any) -> ReadOut:
    return protocol.fit(*sets)


def _refit(mitigation: RefitsHead, task: Task, selection: Labelled) -> ReadOut:
    return mitigation.retrained(task, selection.inputs, selection)
