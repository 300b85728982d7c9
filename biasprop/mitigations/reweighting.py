"""Reweighting: members of rare groups get larger loss weights (importance weighting, Shimodaira 2000)."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Float, Int

from biasprop.interfaces import Labelled
from biasprop.mitigations import groups
from biasprop.mitigations.erm import Erm, UniformSampling


class Reweighting(Erm):
    """Weights labelled subjects in inverse proportion to their group's share of the labelled set."""

    kind: Literal["reweighting"] = "reweighting"
    balanced: groups.Grouping = "subgroup_and_label"
    """Groups that get equal total weight: pairs of subgroup and recorded label, or subgroups."""

    needs_groups: ClassVar[bool] = True

    def labelled(self, train: Labelled) -> Labelled:
        """The labelled set with loss weights."""
        return train._replace(weight=groups.balanced_weights(train, self.balanced))


class CohortReweighting(UniformSampling):
    """Weights images in the pretraining loss in inverse proportion to their subgroup's share of the cohort."""

    kind: Literal["reweighting"] = "reweighting"

    needs_subjects: ClassVar[bool] = True

    def weights(self, subgroup: Int[Array, " n"], shares: Float[Array, " g"]) -> Float[Array, " n"] | None:
        """Loss weights of a batch: 1 on average, and all 1 if shares are equal."""
        return groups.inverse_share_weights(shares)[subgroup]
