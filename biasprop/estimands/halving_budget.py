"""The label budget that halves the swap contrast."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, BudgetName, Inputs, Values
from biasprop.statistics.tests import ALPHA, difference_p
from biasprop.statistics.verdict import NOT_REACHED, REACHED

if TYPE_CHECKING:
    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate


class HalvingBudget(BetweenSkewedLevels):
    """halving_budget: first budget at which the swap contrast falls below half of its maximum over the budgets and
    stays there."""

    kind: Literal["halving_budget"] = "halving_budget"
    """What is measured."""

    budget: BudgetName
    """The factor that holds the label budgets."""

    runs_over = ("factor", "budget")
    unit = "labels"
    digits = 0
    interval = "none"
    tested = False
    phrase = "the swap contrast{place} has halved with {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at all budgets and both skewed levels."""
        return self.both_levels(*(inputs.arm | {self.budget: level} for level in inputs.levels(self.budget)))

    def values(self, inputs: Inputs) -> Values:
        """Return the swap contrasts of all budgets, [replicate, budget]."""
        curve = self.swap_contrasts(inputs).sel(inputs.arm).transpose("replicate", self.budget)
        return Values(curve, budgets=tuple(float(level) for level in curve[self.budget].values))

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate:
        """Return the halving budget of the mean curve, without an interval, because none with nominal coverage is
        known.

        The value is NaN unless the largest swap contrast of the curve differs from 0, tested at 5 % / number of
        budgets, because the largest of several passes a test at 5 % too easily. The reason lists the halving budgets of
        single replicates.
        """
        empty = replace(empty, method="means")
        curves = contrast.values.reshape(len(contrast.values), -1)
        curves = curves[~np.isnan(curves).any(axis=1)]
        if not len(curves) or not contrast.budgets:
            return empty
        value, budget_of_largest = contrasts.halving_budget(curves.mean(axis=0), contrast.budgets)
        largest = curves[:, contrast.budgets.index(budget_of_largest)]
        if not difference_p(largest) < ALPHA / len(contrast.budgets):
            reason = f"the largest swap contrast, at {budget_of_largest:g} labels, is not distinguishable from 0"
            return replace(empty, reason="; ".join(part for part in (contrast.reason, reason) if part))
        counts = Counter(contrasts.halving_budget(curve, contrast.budgets)[0] for curve in curves)
        reached_at = ", ".join(
            f"{count} at {budget:g}" for budget, count in sorted((b, c) for b, c in counts.items() if not np.isnan(b))
        )
        reached = sum(count for budget, count in counts.items() if not np.isnan(budget))
        reason = f"halving budgets of single replicates: {reached_at or 'none'}"
        reason += f", {len(curves) - reached} not reached"
        return replace(
            empty,
            value=value,
            verdict=NOT_REACHED if np.isnan(value) else REACHED,
            reason="; ".join(part for part in (contrast.reason, reason) if part),
        )
