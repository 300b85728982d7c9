"""With how many times the labels a reference reaches the same AUC."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from biasprop.estimands.between import AgainstReference, OfB
from biasprop.metrics import SCALES
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, BudgetName, Inputs, LevelName, Values
from biasprop.statistics.tests import ALPHA
from biasprop.statistics.verdict import NOT_REACHED, REACHED

if TYPE_CHECKING:
    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate


class LabelEfficiency(AgainstReference, OfB):
    """label_efficiency: labels with which the reference level reaches the AUC of B, divided by the labels with which a
    level reaches it."""

    kind: Literal["label_efficiency"] = "label_efficiency"
    """What is measured."""

    reference: LevelName
    """Its level whose learning curve is read, usually scratch."""

    budget: BudgetName
    """The factor that holds the label budgets."""

    of_reference = 1
    unit = "times the labels"
    digits = 2
    interval = "order"
    tested = False
    phrase = "to reach the {measure} in {subgroups[1]} that {level} reaches{place}, {reference} needs {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm, and the reference level at all budgets."""
        reference = inputs.arm | {self.factor: self.reference}
        return [inputs.arm, *(reference | {self.budget: level} for level in inputs.levels(self.budget))]

    def values(self, inputs: Inputs) -> Values:
        """Return the ratios of labels; 0 or infinite where the reference reaches the AUC below or beyond its
        budgets."""
        at_reference = inputs.without(self.budget) | {self.factor: self.reference}
        better = (SCALES[self.scale].direction or 1) * inputs.values  # a learning curve rises
        curve = better.sel(at_reference).transpose("replicate", self.budget).sortby(self.budget)
        labels, reached = float(inputs.arm[self.budget]), better.sel(inputs.arm).values
        return Values(contrasts.label_efficiency(reached, labels, curve.values, curve[self.budget].values))

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate:
        """Return the median over replicates, with the interval of a median.

        A median is NaN if the reference reaches the AUC at no budget or already at its smallest; the reason says so,
        and the interval has the finite bound where there is one.
        """
        interval = contrast.interval(1 - ALPHA)
        if not empty.replicates:
            return replace(empty, method=interval.method)
        ratios = contrast.values[~np.isnan(contrast.values)]
        beyond, below, of = int(np.isinf(ratios).sum()), int((ratios == 0).sum()), f"of {len(ratios)} replicates"
        reasons = [contrast.reason, interval.reason]
        if beyond:
            reasons.append(f"the reference never reaches this AUC in {beyond} {of}")
        if below:
            reasons.append(f"the reference reaches this AUC already with its fewest labels in {below} {of}")
        is_number = 0 < interval.value < np.inf
        return replace(
            empty,
            value=interval.value if is_number else np.nan,
            low=interval.low,
            high=interval.high,
            method=interval.method,
            verdict=NOT_REACHED if np.isinf(interval.value) else REACHED,
            reason="; ".join(part for part in reasons if part),
        )
