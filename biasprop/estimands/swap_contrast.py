"""The swap contrast: what swapping the skew does to the gap."""

from __future__ import annotations

from typing import Literal

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import HALF_OF, MARGIN, Arm, Inputs, Values


class SwapContrast(BetweenSkewedLevels):
    """swap_contrast: half of g(skewed to A) - g(skewed to B)."""

    kind: Literal["swap_contrast"] = "swap_contrast"
    """What is measured."""

    favours_a = True
    default_margin, margin_reason = MARGIN / 2, HALF_OF
    phrase = (
        "the swap contrast, half the change of the gap in {measure} of {subgroups[0]} over {subgroups[1]}{place} "
        "from {skewed[1]} to {skewed[0]} in {factor}, is {number}"
    )

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at both skewed levels."""
        return self.both_levels(inputs.arm)

    def values(self, inputs: Inputs) -> Values:
        """Return the swap contrasts of the arm."""
        return Values(self.swap_contrasts(inputs).sel(inputs.arm))
