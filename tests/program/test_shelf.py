"""A cohort that is kept is what it is when members are rendered as they are drawn."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.hardware import memory
from biasprop.objectives import OBJECTIVES
from biasprop.training import pretrain, pretraining_task, rendering
from biasprop.training.batching import over_cells
from tests.members import batch, condition, one_of_each, same
from tests.program.small_experiment import finetuner, scores

TRAINED: dict[str, Any] = {kind: cls for kind, cls in OBJECTIVES.items() if getattr(cls, "trains", True)}


def test_kept_images_are_the_cohorts() -> None:
    cells = batch((condition(cohort=20), 0), (condition(cohort=40), 1))
    kept = pretraining_task.cached_cohort(cells)
    assert kept is not None and kept.images.shape[1] >= 40
    rows = jnp.array([[3, 19, 0], [39, 7, 7]])
    drawn = over_cells(lambda one, those: pretraining_task._objective_inputs(one.condition, one.key, those))(
        cells, rows
    )
    taken = jax.vmap(lambda images, those: images[those])(kept.images, rows)
    np.testing.assert_allclose(taken, drawn.images, atol=1e-5)


@pytest.mark.parametrize("objective", one_of_each(TRAINED, lambda cls: cls.reads))
def test_a_step_is_the_same_with_what_is_kept(objective: str) -> None:
    cells = batch((condition(objective, cohort=24), 0))
    params, shelf = pretrain.untrained(cells), pretraining_task.cached_cohort(cells)
    assert shelf is not None and set(shelf.additional) == set(TRAINED[objective].reads)
    loss = over_cells(lambda task, own, step: task.loss(own, step))
    tasks = [pretraining_task.PretrainingTask(*cells, shown) for shown in (shelf, None)]
    for step in (0, 5):
        kept, drawn = (loss(task, params, jnp.array([step])) for task in tasks)
        np.testing.assert_allclose(kept, drawn, rtol=1e-5)


def test_a_cohort_beyond_the_shelf_is_rendered_as_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = batch((condition(cohort=40), 0))
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", 4 * 40 * math.prod(cells.condition.generator.shape))
    fits = pretraining_task.cached_cohort(cells, largest=1_000)
    assert fits is not None and fits.images.shape[1] < 40 + rendering.CHUNK, "no more room than there is"
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", memory.IMAGE_CACHE_BYTES - 1)
    assert pretraining_task.cached_cohort(cells) is None


@pytest.mark.parametrize("kind", ["linear_probe", "full"])
def test_judges_beyond_the_shelf_are_scored_as_those_who_are_kept(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = batch((condition(), 0))
    encoder = pretrain.untrained(cells)["encoder"]
    kept = finetuner(cells, encoder)
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", 0)
    rendered = finetuner(cells, encoder)
    assert isinstance(kept.sets.calibration, list) and isinstance(rendered.sets.calibration, rendering.RerenderedImages)
    assert same(scores(kept, kind), scores(rendered, kind))
