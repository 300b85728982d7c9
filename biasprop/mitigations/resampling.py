"""Resampling: members of rare groups are drawn more often (Idrissi et al. 2022, RWG)."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from biasprop.interfaces import Cohort, Labelled
from biasprop.keys import at
from biasprop.mitigations import groups
from biasprop.mitigations.erm import AsDrawn, Erm

TRIES = 64
"""Members of the cohort looked at for each place of a batch: a subgroup of a share of .05 is missed once in 27 places,
one of .1 once in 850."""


class Resampling(Erm):
    """Each labelled subject is drawn with a chance of one over its group's share of the budget.

    A protocol that solves its own fit draws nothing; there each subject counts by that much instead, which is the fit
    to infinitely many draws.
    """

    kind: Literal["resampling"] = "resampling"
    balanced: groups.Balanced = "subgroup_and_label"
    """What is drawn equally often: every pair of subgroup and recorded label, or every subgroup."""

    needs_groups: ClassVar[bool] = True

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled subjects, with their chances."""
        return train._replace(chance=groups.balancing(train, self.balanced))


class CohortResampling(AsDrawn):
    """Every place of a batch goes to a subgroup by lot, whatever its share of the cohort, and to a member of it."""

    kind: Literal["resampling"] = "resampling"

    needs_subjects: ClassVar[bool] = True

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Members of a batch, subgroups by equal chances."""
        edges = jnp.cumsum(groups.present(cohort.shares))[:-1]
        lots = jax.random.uniform(at(key, 0), (n,))
        return _members(at(key, 1), jnp.sum(lots[:, None] >= edges, axis=1), cohort)


class BalancedBatches(AsDrawn):
    """Every batch holds equally many members of each subgroup, to within one."""

    kind: Literal["balanced_batches"] = "balanced_batches"

    needs_subjects: ClassVar[bool] = True

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Members of a batch, subgroups in turn."""
        there = groups.present(cohort.shares) > 0
        order = jnp.argsort(~there, stable=True)  # those that have members first
        return _members(at(key, 1), order[jnp.arange(n) % jnp.sum(there)], cohort)


def _members(key: Key[Array, ""], wanted: Int[Array, " n"], cohort: Cohort) -> Int[Array, " n"]:
    """A random member of each wanted subgroup; where none of :data:`TRIES` is one, any member.

    Nothing is listed, so a cohort may be of any size.
    """
    rows = jax.random.randint(key, (len(wanted), TRIES), 0, cohort.size)
    fits = cohort.subgroup_of(rows.ravel()).reshape(rows.shape) == wanted[:, None]
    return rows[jnp.arange(len(wanted)), jnp.argmax(fits, axis=1)]
