"""The pretext loss of each subgroup."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.training import pretrain
from biasprop.training.batching import Batch, over_cells
from biasprop.training.pretraining_task import PretrainingTask
from tests.members import batch, condition


def first_batch(one: Batch, params: Any) -> Any:
    """Subgroups of the held-out subjects of the first batch, and the objective on all of them."""
    task = PretrainingTask(*one)
    members = task.held_out_subjects(jnp.int32(0))
    return members.subgroup, task.loss_on(params, members, jnp.int32(0))


@pytest.mark.parametrize("objective", ["contrastive", "denoising"])
def test_losses_of_subgroups_average_to_the_objective(objective: str) -> None:
    """Weighted by their shares of the batch, they average to the objective."""
    one = batch((condition(objective=objective, batch=32), 0))
    params = pretrain.untrained(one)
    losses = pretrain.pretext_losses(one, params, 1)
    subgroup, mean = over_cells(first_batch)(one, params)
    share = np.bincount(np.asarray(subgroup)[0], minlength=losses.shape[1]) / subgroup.shape[1]
    assert losses.shape == (1, 2) and (share > 0).all()
    np.testing.assert_allclose(losses[0] @ share, mean[0], rtol=2e-5)


def test_held_out_subjects_are_the_same_for_every_mix() -> None:
    light, dark = (batch((condition(shares=(share, 1 - share)), 0)) for share in (1.0, 0.0))
    params = pretrain.untrained(light)
    np.testing.assert_array_equal(pretrain.pretext_losses(light, params, 1), pretrain.pretext_losses(dark, params, 1))
    assert not np.array_equal(
        pretrain.pretext_losses(light, params, 1), pretrain.pretext_losses(batch((condition(), 1)), params, 1)
    )
