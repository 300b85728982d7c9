"""The stages that are timed: those of one cell, by the functions that a run calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import keys
from biasprop.bench.operations import Counts, Program, products, recorded
from biasprop.component import replace_nested
from biasprop.interfaces import Params
from biasprop.keys import Stream
from biasprop.nn.heads import Head
from biasprop.nn.optimisation import SEGMENT, Schedule
from biasprop.observers import calibration_cache
from biasprop.population import rosters
from biasprop.study import design
from biasprop.study.conditions import Finetuning, PretrainingCondition, augmentations
from biasprop.study.design import Cell
from biasprop.study.study import Study
from biasprop.training import adapt, pretrain, rendering, score
from biasprop.training.batching import Batch, stream

FINETUNED = 4 * SEGMENT
"""Steps of the timed fine-tuning: enough to make the joining of its images at the start negligible."""


class Stage(NamedTuple):
    """A stage of a run."""

    name: str
    unit: str
    """What work is counted in: ``image`` or ``fit``."""
    work: int
    """Number of units in one run."""
    run: Callable[[], Any]
    count: Callable[[], Counts]
    """Returns the matrix products of one run."""


class Workload:
    """One cell of a study, or ``width`` replicates of it as a batch, with untrained networks."""

    def __init__(self, study: Study, width: int = 1):
        self.study, self.width = study, width
        cells = design.cells(study)
        self.cell: Cell = next((cell for cell in cells if cell.condition.pretraining.objective.trains), cells[0])
        self.batch = batch(self.cell.condition, study.seed, width)
        self.params: Params = pretrain.untrained(self.batch)["encoder"]
        self.programs: dict[Any, Program] = {}

    def stages(self) -> Iterator[Stage]:
        """The stages that the study has, in the order of a run."""
        yield from (self._render(), *self._augment(), *self.pretrain(), *self._adapt(), self._evaluate())

    @functools.cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all trained arrays, with and without the axis of the batch of cells."""
        leaves = [leaf.shape for leaf in jax.tree.leaves(pretrain.untrained(self.batch))]
        return [shape for leaf in leaves for shape in (leaf, leaf[1:])]

    @functools.cached_property
    def roster(self) -> dict[str, rosters.Roster]:
        """Subjects of fine-tuning and evaluation, by set."""
        first = self.cell.arms[0].condition
        pool = max(arm.condition.train_count for arm in self.cell.arms)
        generator = self.study.generator
        return rosters.rosters(first.finetuning, first.evaluation, list(generator.subgroups), pool, generator.diseases)

    @functools.cached_property
    def sets(self) -> rendering.ExampleSets:
        """Examples of the subjects."""
        return rendering.render_sets(self.batch, self.roster)

    def pretrain(self) -> Iterator[Stage]:
        """A segment of the first stage of pretraining, if the study has any."""
        schedule = self.cell.condition.pretraining.schedule
        if self.cell.condition.pretraining.objective.trains:
            _, first = pretrain.stages(self.batch)[0]
            task = pretrain.prepared(first)

            def run() -> Any:
                over_cells = pretrain.over_cells  # not from batching, because this one is recorded
                state = over_cells(pretrain.start)(task, pretrain.untrained(first))
                return over_cells(pretrain.run_segment, donate=1)(task, state)

            work = task.loop.segment_steps * schedule.batch * self.width
            yield self._stage("pretraining step", "image", work, run)

    def _stage(self, name: str, unit: str, work: int, run: Callable[[], Any]) -> Stage:
        def count() -> Counts:
            with recorded(self.shapes) as found:
                jax.block_until_ready(run())
            self.programs |= found.programs
            return found.counts

        return Stage(name, unit, work, run, count)

    def _finetuner(self) -> adapt.Finetuner:
        """A new fine-tuner of the untrained encoder."""
        return adapt.Finetuner(self.batch, self.params, self.roster, self.study.evaluation, self.sets)

    def _render(self) -> Stage:
        selection = self.roster["selection"]
        key = stream(self.batch, Stream.SELECTION)
        work = -(-len(selection.label) // rendering.CHUNK) * rendering.CHUNK * self.width
        return self._stage("render", "image", work, lambda: rendering.rendered(self.batch, key, selection))

    def _augment(self) -> Iterator[Stage]:
        conditions = [self.cell.condition, *(arm.condition for arm in self.cell.arms)]
        augmentation = next((views for one in conditions for _, views in augmentations(one)), None)
        if augmentation is not None:
            images = self.sets.selection[0]["image"][0]
            view_keys = keys.at_each(keys.replicate(self.study.seed, 0), jnp.arange(len(images)))
            run = jax.jit(jax.vmap(augmentation.view_image))
            yield Stage(
                "view", "image", len(images), lambda: run(view_keys, images), lambda: products(run, view_keys, images)
            )

    def _adapt(self) -> Iterator[Stage]:
        arms = [arm.condition for arm in self.cell.arms]
        largest = sorted(arms, key=lambda arm: -int(arm.finetuning.labels))
        trained = next((arm for arm in largest if arm.finetuning.protocol.adapts_encoder), None)
        if trained is not None:
            finetuning = shortened(trained, FINETUNED).finetuning
            recipe = finetuning.protocol.recipe(self.cell.condition.pretraining.objective.trains)
            work = FINETUNED * recipe.schedule.batch * self.width
            chunks = self.sets.train
            yield self._stage(
                "fine-tuning step", "image", work, lambda: self._finetuner().train(finetuning, 0, chunks, _silent)[1:]
            )
        fitted = [arm.finetuning for arm in arms if not arm.finetuning.protocol.adapts_encoder]
        if fitted:
            yield self._stage("probe", "fit", len(fitted) * self.width, functools.partial(self._adapted, fitted))

    def _adapted(self, arms: list[Finetuning]) -> list[adapt.Adapted]:
        """The first draw of some arms, from an untrained encoder."""
        finetuner = self._finetuner()
        return [finetuner.adapt(arm, 0, _silent) for arm in arms]

    def _scorer(self) -> score.Scorer:
        """A new scorer, without cached features."""
        return score.Scorer(self.batch, self.params, self.roster, self.sets)

    def _evaluate(self) -> Stage:
        features = self.cell.condition.encoder.features(self.cell.condition.generator.spec)
        head = Head(jnp.zeros((self.width, features)), jnp.zeros(self.width))
        empty = np.zeros((self.width, 1, features), np.float32), 1
        adapted = adapt.Adapted(self.params, head, *empty, *empty, [""] * self.width)
        sizes = (len(self.roster["calibration"].label), *(len(self.roster["test"].label) for _ in self.study.subgroups))
        work = sum(-(-n // rendering.CHUNK) * rendering.CHUNK for n in sizes) * self.width
        return self._stage("evaluation", "image", work, lambda: self._scorer().score(adapted))


def batch(condition: PretrainingCondition, seed: int, width: int) -> Batch:
    """The first ``width`` replicates of a condition."""
    calibrated = calibration_cache.with_calibration(condition)
    stacked = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * width), calibrated)
    return Batch(stacked, jnp.stack([keys.replicate(seed, replicate) for replicate in range(width)]))


def shortened(part: Any, steps: int) -> Any:
    """A copy of a definition in which every training takes ``steps`` steps."""
    return replace_nested(part, (Schedule,), lambda schedule: schedule.model_copy(update={"steps": steps}))


def _silent(stage: str, step: int, steps: int) -> None:
    """Report nothing."""
