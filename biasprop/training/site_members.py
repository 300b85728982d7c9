"""Subgroups of a pretraining cohort as drawn, and which of its members belong to which site."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from biasprop.hardware import memory
from biasprop.interfaces import HasSites
from biasprop.population.sites import of_subgroups
from biasprop.training.batching import Batch, broadcast, over_cells
from biasprop.training.pretraining_task import SiteMembers, pool_of

COUNT_CHUNK = 10_000
"""Cohort members per compiled call."""


def cohort_subgroups(batch: Batch, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Consecutive indices of cohort members, at least ``count`` in all, and their subgroups in every cell: [w, rows].

    Indices beyond the size of a cell's cohort have subgroups as well.
    """
    for first in range(0, count, COUNT_CHUNK):
        rows = np.arange(first, first + COUNT_CHUNK)
        yield rows, np.asarray(over_cells(_subgroups_of)(batch, broadcast(batch, rows)))


def _subgroups_of(batch: Batch, rows: Int[Array, " n"]) -> Int[Array, " n"]:
    return pool_of(batch.condition, batch.key).subgroup_of(rows)


def site_members(batch: Batch, largest: int = 0) -> SiteMembers | None:
    """The members of every cell's sites, or None for a loop without sites.

    Args:
        batch: the cells, of one stage.
        largest: see :func:`biasprop.hardware.memory.cached_members`.
    """
    if not isinstance(batch.condition.pretraining.loop, HasSites):
        return None
    sizes = np.asarray(batch.condition.pretraining.cohort)
    count = max(memory.cached_members(batch.condition, largest), int(sizes.max()))
    sites = batch.condition.sites().values()
    of_subgroup = of_subgroups(sites)
    drawn = np.concatenate([of_subgroup[subgroups] for _, subgroups in cohort_subgroups(batch, count)], axis=1)
    drawn = np.where(np.arange(count) < sizes[:, None], drawn[:, :count], len(sites))
    return SiteMembers(
        jnp.asarray(np.argsort(drawn, axis=1, kind="stable").astype(np.int32)),
        jnp.asarray(np.stack([(drawn == site).sum(axis=1) for site in range(len(sites))], axis=1).astype(np.int32)),
    )
