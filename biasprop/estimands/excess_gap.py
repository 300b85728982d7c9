"""The gap in excess of that at a reference level."""

from __future__ import annotations

from typing import Literal

from biasprop.estimands.against_reference import AgainstReference
from biasprop.estimands.between import BetweenSubgroups
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, LevelName, Values


class ExcessGap(AgainstReference, BetweenSubgroups):
    """excess_gap: g - g(reference level)."""

    kind: Literal["excess_gap"] = "excess_gap"
    """What is measured."""

    reference: LevelName
    """Its level that gaps are compared with, usually the balanced mix."""

    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "with {level} instead of {reference} in {factor}, the gap in {measure} of "
        "{subgroups[0]} over {subgroups[1]}{place} [grows|shrinks|changes] by {number}"
    )

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm and the same arm at the reference level."""
        return [inputs.arm, inputs.arm | {self.factor: self.reference}]

    def values(self, inputs: Inputs) -> Values:
        """Return the gaps minus those at the reference level."""
        excess = contrasts.excess_gap(inputs.values.sel(inputs.without(self.factor)), self.factor, self.reference)
        return Values(excess.sel({self.factor: inputs.arm[self.factor]}))
