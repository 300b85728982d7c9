"""With how many times the labels a reference reaches the same AUC."""

from __future__ import annotations

from typing import Literal

from biasprop.estimands.against_reference import AgainstReference
from biasprop.estimands.between import OfB
from biasprop.estimands.curve_reading import ReadOffCurve
from biasprop.statistics.estimand import Arm, Inputs, LevelName, Values


class LabelEfficiency(AgainstReference, OfB, ReadOffCurve):
    """label_efficiency: labels with which the reference level reaches the AUC of B, divided by the labels with which a
    level reaches it."""

    kind: Literal["label_efficiency"] = "label_efficiency"
    """What is measured."""

    reference: LevelName
    """Its level whose learning curve is read, usually scratch."""

    of_reference = 1
    unit = "times the labels"
    digits = 2
    phrase = "to reach the {measure} in {subgroups[1]} that {level} reaches{place}, {reference} needs {number}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm, and the reference level at all budgets."""
        reference = inputs.arm | {self.factor: self.reference}
        return [inputs.arm, *(reference | {self.budget: level} for level in inputs.levels(self.budget))]

    def values(self, inputs: Inputs) -> Values:
        """Return the learning curve of the reference minus what the level reaches, [replicate, budget]."""
        labels = inputs.arm[self.budget]
        reached = self.curve(inputs, inputs.arm).sel({self.budget: labels}, drop=True)
        reference = self.curve(inputs, inputs.arm | {self.factor: self.reference})
        return Values(reference - reached, budgets=self.budgets(inputs), labels_per_unit=float(labels))
