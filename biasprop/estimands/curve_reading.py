"""What kinds of estimands share that read a number of labels off a monotone learning curve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from biasprop.estimands.between import BetweenSubgroups
from biasprop.metrics import SCALES
from biasprop.statistics import curves
from biasprop.statistics.estimand import BudgetName, Inputs
from biasprop.statistics.tests import ALPHA
from biasprop.statistics.verdict import NOT_REACHED, REACHED

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.estimand import Arm
    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate


class ReadOffCurve(BetweenSubgroups):
    """An estimand that is a number of labels at which a learning curve gets to a height.

    Its ``values`` are heights of a curve above what it has to reach, [replicate, budget], so that they rise.
    """

    budget: BudgetName
    """The factor that holds the label budgets."""

    interval = "inverse t"
    tested = False

    def curve(self, inputs: Inputs, at: Arm) -> xr.DataArray:
        """Return values of an arm at all budgets in increasing order, [replicate, budget], turned so that a learning
        curve rises."""
        found = inputs.values.sel({name: level for name, level in at.items() if name != self.budget})
        rising = (SCALES[self.scale].direction or 1) * found
        return rising.transpose("replicate", self.budget).sortby(self.budget)

    def budgets(self, inputs: Inputs) -> tuple[float, ...]:
        """Return the label budgets in increasing order."""
        return tuple(sorted(float(level) for level in inputs.values[self.budget].values))

    def undefined(self, contrast: Paired) -> str:
        """Return why the curve of these values is not read; empty if it is."""
        return ""

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate:
        """Return what is read off the mean curve, with the interval that :mod:`biasprop.statistics.curves` gives.

        Nothing is extrapolated: the value is NaN where the curve gets there with no budget or with the smallest one
        already, and the interval is open (infinite, or 0 labels) on the sides on which it may. The reason says so.
        """
        empty = replace(empty, method=self.interval, verdict="")
        if not empty.replicates or not contrast.budgets:
            return empty
        if why := self.undefined(contrast):
            return replace(empty, reason="; ".join(part for part in (contrast.reason, why) if part))
        found = curves.labels_needed(contrast.values, contrast.budgets, 1 - ALPHA)
        reasons = [contrast.reason, f"read at {contrast.budgets[0]:g} to {contrast.budgets[-1]:g} labels", found.reason]
        if np.isinf(found.value):
            reasons.append("not reached with the largest budget")
        elif np.isinf(found.high):
            reasons.append("no upper bound: not reached for certain with the largest budget")
        if found.value == 0:
            reasons.append("reached with the smallest budget already")
        elif found.low == 0:
            reasons.append("no lower bound: the smallest budget may be enough")
        value, low, high = (self._in_units(labels, contrast) for labels in found[:3])
        return replace(
            empty,
            value=value if 0 < found.value < np.inf else np.nan,
            low=low,
            high=high,
            verdict=NOT_REACHED if np.isinf(found.value) else REACHED,
            reason="; ".join(part for part in reasons if part),
        )

    @staticmethod
    def _in_units(labels: float, contrast: Paired) -> float:
        """Return the value that labels are; of 0, fewer than were studied, it is the least that it can be."""
        if labels == 0 and contrast.counted_from:
            return -np.inf
        return (labels - contrast.counted_from) / contrast.labels_per_unit
