"""A cached cohort equals one that is rendered batch by batch."""

from __future__ import annotations

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


def test_cached_images_are_those_of_the_cohort() -> None:
    cells = batch((condition(cohort=20), 0), (condition(cohort=40), 1))
    cached = pretraining_task.cached_cohort(cells)
    assert cached is not None and cached.examples["image"].shape[1] >= 40
    rows = jnp.array([[3, 19, 0], [39, 7, 7]])
    drawn = over_cells(lambda one, some: pretraining_task._objective_inputs(one.condition, one.key, some))(cells, rows)
    taken = jax.vmap(lambda images, some: images[some])(cached.examples["image"], rows)
    np.testing.assert_allclose(taken, drawn.examples["image"], atol=1e-5)


@pytest.mark.parametrize("objective", one_of_each(TRAINED, lambda cls: cls.reads))
def test_the_loss_is_the_same_with_and_without_the_cache(objective: str) -> None:
    cells = batch((condition(objective, cohort=24), 0))
    params, cached = pretrain.untrained(cells), pretraining_task.cached_cohort(cells)
    assert cached is not None and set(cached.additional) == set(TRAINED[objective].reads)
    loss = over_cells(lambda task, own, step: task.loss(own, step))
    tasks = [pretraining_task.PretrainingTask(*cells, inputs) for inputs in (cached, None)]
    for step in (0, 5):
        cached, drawn = (loss(task, params, jnp.array([step])) for task in tasks)
        np.testing.assert_allclose(cached, drawn, rtol=1e-5)


def test_a_cohort_beyond_the_cache_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = batch((condition(cohort=40), 0))
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", 40 * memory.example_bytes(cells.condition.generator))
    fits = pretraining_task.cached_cohort(cells, largest=1_000)
    assert fits is not None and fits.examples["image"].shape[1] < 40 + rendering.CHUNK, (
        "more images than the cache holds"
    )
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", memory.IMAGE_CACHE_BYTES - 1)
    assert pretraining_task.cached_cohort(cells) is None


@pytest.mark.parametrize("kind", ["linear_probe", "full"])
def test_re_rendered_subjects_get_the_scores_of_cached_ones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = batch((condition(), 0))
    encoder = pretrain.untrained(cells)["encoder"]
    cached = finetuner(cells, encoder)
    monkeypatch.setattr(memory, "IMAGE_CACHE_BYTES", 0)
    rendered = finetuner(cells, encoder)
    assert isinstance(cached.sets.calibration, list)
    assert isinstance(rendered.sets.calibration, rendering.RerenderedExamples)
    assert same(scores(cached, kind), scores(rendered, kind))
