"""A cohort whose images are kept is what it is when members are rendered as they are drawn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from biasprop import pretraining, program
from biasprop.batching import over_cells
from tests.members import batch, condition


def test_kept_images_are_the_cohorts() -> None:
    cells = batch((condition(cohort=20, steps=30), 0), (condition(cohort=40, steps=30), 1))
    kept = pretraining.shelved(cells)
    assert kept is not None and kept.shape[1] >= 40
    rows = jnp.array([[3, 19, 0], [39, 7, 7]])
    drawn = over_cells(lambda one, those: pretraining._cohort_images(one.condition, one.key, those))(cells, rows)
    np.testing.assert_allclose(jax.vmap(lambda images, those: images[those])(kept, rows), drawn, atol=1e-5)


def test_a_step_is_the_same_with_kept_images() -> None:
    cells = batch((condition(cohort=24, steps=30), 0))
    params = program.untrained(cells)
    loss = over_cells(lambda task, own, step: task.loss(own, step))
    tasks = [pretraining.PretrainingTask(*cells, images) for images in (pretraining.shelved(cells), None)]
    for step in (0, 5):
        kept, drawn = (loss(task, params, jnp.array([step])) for task in tasks)
        np.testing.assert_allclose(kept, drawn, rtol=1e-5)


def test_no_shelf_for_more_images_than_a_run_looks_at() -> None:
    assert pretraining.shelved(batch((condition(cohort=4_000, steps=2), 0))) is None
