"""Mean and standard deviation of the images that an encoder is pretrained on, for its normalisation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from biasprop.interfaces import InputConstants
from biasprop.training.batching import Batch, broadcast, over_cells
from biasprop.training.pretraining_task import pool_of, rendering_condition
from biasprop.training.rendering import CHUNK


def input_constants(batch: Batch) -> InputConstants:
    """Mean and sd of every channel over all pixels of the cohort: [w, c] each.

    An encoder whose first stage sees no subjects of the study takes those of a balanced cohort of the study: equal
    shares of all subgroups, and half of them with disease.
    """
    condition = batch.condition
    pretraining = condition.pretraining
    if not pretraining.sees_subjects:
        size = len(batch.key), len(condition.generator.subgroups)
        equal = dict(zip(condition.generator.subgroups, np.full(size, 1 / size[1], np.float32).T, strict=True))
        balanced = {"shares": equal, "prevalence": np.full(size[0], 0.5, np.float32), "shifts": {}}
        pretraining = pretraining.in_domain().model_copy(update=balanced)
        condition = condition.model_copy(update={"pretraining": pretraining})
    chunks = -(-int(np.max(pretraining.cohort)) // CHUNK)
    rows = np.arange(chunks * CHUNK).reshape(chunks, CHUNK)
    mean, sd = over_cells(_moments)(batch._replace(condition=rendering_condition(condition)), broadcast(batch, rows))
    return {"mean": mean, "sd": sd}


def _moments(batch: Batch, rows: Int[Array, "k 250"]) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Moments of one cell's cohort, chunk by chunk in order; sums are of deviations from 1/2, which are small."""
    size = batch.condition.pretraining.cohort

    def add(sums: Float[Array, "2 c"], chunk: Int[Array, " 250"]) -> tuple[Float[Array, "2 c"], None]:
        images = pool_of(*batch).inputs(chunk, None).examples["image"] - 0.5
        counted = (chunk < size)[:, None, None, None]
        means = [jnp.sum(jnp.where(counted, images**power, 0), (0, 1, 2)) / images[0, ..., 0].size for power in (1, 2)]
        return sums + jnp.stack(means) / size, None

    channels = batch.condition.generator.spec["image"].shape[2]
    (first, second), _ = jax.lax.scan(add, jnp.zeros((2, channels)), rows)
    return 0.5 + first, jnp.sqrt(second - first**2)
