"""Reweighting: members of rare groups count more in the loss (importance weighting, Shimodaira 2000)."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Float, Int

from biasprop.interfaces import Labelled
from biasprop.mitigations import groups
from biasprop.mitigations.erm import AsDrawn, Erm


class Reweighting(Erm):
    """Each labelled subject counts by one over its group's share of the budget."""

    kind: Literal["reweighting"] = "reweighting"
    balanced: groups.Balanced = "subgroup_and_label"
    """What counts alike: every pair of subgroup and recorded label, or every subgroup."""

    needs_groups: ClassVar[bool] = True

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled subjects, weighted."""
        return train._replace(weight=groups.balancing(train, self.balanced))


class CohortReweighting(AsDrawn):
    """Each image counts in the pretraining loss by one over its subgroup's share of the cohort."""

    kind: Literal["reweighting"] = "reweighting"

    needs_subjects: ClassVar[bool] = True

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """How much each member of a batch counts: 1 on average, and always where shares are equal."""
        return groups.over_shares(shares)[subgroup]
