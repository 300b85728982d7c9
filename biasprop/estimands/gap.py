"""The gap between two subgroups."""

from __future__ import annotations

from typing import Literal

from biasprop.estimands.between import BetweenSubgroups
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, Values


class Gap(BetweenSubgroups):
    """gap: g = z(AUC_A) - z(AUC_B), or the same difference of another metric."""

    kind: Literal["gap"] = "gap"
    """What is measured."""

    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = "the gap in {measure} of {subgroups[0]} over {subgroups[1]}{place} is {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm itself."""
        return [inputs.arm]

    def values(self, inputs: Inputs) -> Values:
        """Return the gaps of the arm."""
        return Values(inputs.values.sel(inputs.arm))
