"""Resampling: members of rare groups are sampled more often (Idrissi et al. 2022, RWG)."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from biasprop.interfaces import Cohort, Labelled
from biasprop.keys import at
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm, UniformSampling

CANDIDATES_PER_PLACE = 64
"""Candidate cohort members per place of a batch; a subgroup with share .05 has none among them in 1 of 27 places,
one with share .1 in 1 of 850."""


class Resampling(Erm):
    """Samples labelled subjects in inverse proportion to their group's share of the labelled set.

    A protocol with a frozen encoder samples no batches; it uses the sampling weights as loss weights, which is the
    limit of infinitely many samples.
    """

    kind: Literal["resampling"] = "resampling"
    balanced: groups.Grouping = "subgroup_and_label"
    """Groups that are sampled equally often: pairs of subgroup and recorded label, or subgroups."""

    needs_groups: ClassVar[bool] = True

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled set with sampling weights."""
        return train._replace(sampling_weight=groups.balanced_weights(train, self.balanced))


class CohortResampling(UniformSampling):
    """Each place of a batch gets a uniformly random subgroup, whatever its share, and a random member of it."""

    kind: Literal["resampling"] = "resampling"

    needs_subjects: ClassVar[bool] = True

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Indices of a batch, with uniformly random subgroups."""
        edges = jnp.cumsum(groups.equal_shares(cohort.shares))[:-1]
        uniforms = jax.random.uniform(at(key, 0), (n,))
        return _random_members(at(key, 1), jnp.sum(uniforms[:, None] >= edges, axis=1), cohort)


class BalancedBatches(UniformSampling):
    """Every batch has the same number of members of each subgroup, to within one."""

    kind: Literal["balanced_batches"] = "balanced_batches"

    needs_subjects: ClassVar[bool] = True

    def rows(self, key: Key[Array, ""], n: int, cohort: Cohort) -> Int[Array, " n"]:
        """Indices of a batch, cycling through the subgroups."""
        has_members = groups.equal_shares(cohort.shares) > 0
        order = jnp.argsort(~has_members, stable=True)  # subgroups with members first
        return _random_members(at(key, 1), order[jnp.arange(n) % jnp.sum(has_members)], cohort)


def _random_members(key: Key[Array, ""], subgroup: Int[Array, " n"], cohort: Cohort) -> Int[Array, " n"]:
    """Index of a random member of each given subgroup, or of any member if no candidate is in it.

    Members are found by rejection (:data:`CANDIDATES_PER_PLACE`) without listing the cohort, which may have any size.
    """
    rows = jax.random.randint(key, (len(subgroup), CANDIDATES_PER_PLACE), 0, cohort.size)
    matches = cohort.subgroup_of(rows.ravel()).reshape(rows.shape) == subgroup[:, None]
    return rows[jnp.arange(len(subgroup)), jnp.argmax(matches, axis=1)]
