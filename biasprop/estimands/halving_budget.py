"""The label budget that halves the swap contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.estimands.curve_reading import ReadOffCurve
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, Inputs, Values
from biasprop.statistics.intervals import t_interval
from biasprop.statistics.tests import ALPHA

if TYPE_CHECKING:
    from biasprop.statistics.paired import Paired


class HalvingBudget(BetweenSkewedLevels, ReadOffCurve):
    """halving_budget: labels at which the swap contrast has fallen to half of its value at the smallest budget."""

    kind: Literal["halving_budget"] = "halving_budget"
    """What is measured."""

    runs_over = ("factor", "budget")
    unit = "labels"
    digits = 0
    phrase = "the swap contrast{place} has halved with {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at all budgets and both skewed levels."""
        return self.both_levels(*(inputs.arm | {self.budget: level} for level in inputs.levels(self.budget)))

    def values(self, inputs: Inputs) -> Values:
        """Return how far the swap contrast at every budget is below half of that at the smallest, [replicate,
        budget]."""
        beta = self.swap_contrasts(inputs).sel(inputs.arm).transpose("replicate", self.budget).sortby(self.budget)
        return Values(contrasts.below_half(beta.values), budgets=self.budgets(inputs))

    def undefined(self, contrast: Paired) -> str:
        """Return that there is nothing to halve, unless the 95 % interval of the swap contrast at the smallest budget
        leaves out 0."""
        first = t_interval(contrast.values[~np.isnan(contrast.values).any(axis=1), 0], 1 - ALPHA)  # minus half of it
        if first.low > 0 or first.high < 0:
            return ""
        return f"the swap contrast at {contrast.budgets[0]:g} labels is not distinguishable from 0"
