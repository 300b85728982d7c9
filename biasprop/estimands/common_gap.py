"""The part of the gap that two skewed levels have in common."""

from __future__ import annotations

from typing import Literal

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import HALF_OF, MARGIN, Arm, Inputs, Values


class CommonGap(BetweenSkewedLevels):
    """common_gap: half of g(skewed to A) + g(skewed to B), which is 0 if the two are equal and opposite."""

    kind: Literal["common_gap"] = "common_gap"
    """What is measured."""

    default_margin, margin_reason = MARGIN / 2, HALF_OF
    phrase = (
        "the gap in {measure} of {subgroups[0]} over {subgroups[1]}{place}, averaged over {skewed[0]} and "
        "{skewed[1]} in {factor}, is {number}"
    )

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at both skewed levels."""
        return self.both_levels(inputs.arm)

    def values(self, inputs: Inputs) -> Values:
        """Return half of the sums."""
        return Values(contrasts.common_gap(inputs.values, self.factor, self.skewed).sel(inputs.arm))
