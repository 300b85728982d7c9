"""The gap in excess of that at a reference level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from biasprop.estimands.between import BetweenSubgroups
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, FactorName, Inputs, Level, LevelName, Values


class ExcessGap(BetweenSubgroups):
    """excess_gap: g - g(reference level)."""

    kind: Literal["excess_gap"] = "excess_gap"
    """What is measured."""

    factor: FactorName
    """The factor that has the reference level, usually the pretraining mix."""

    reference: LevelName
    """Its level that gaps are compared with, usually the balanced mix."""

    @property
    def compared_with(self) -> tuple[str, Level]:
        """The factor and its reference level."""
        return self.factor, self.reference

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.at.get(self.factor) == self.reference:
            yield f"at must not fix {self.factor} to the reference: compared with itself it is 0 by definition"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is at the reference level."""
        return arm.get(self.factor) == self.reference

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm and the same arm at the reference level."""
        return [inputs.arm, inputs.arm | {self.factor: self.reference}]

    def values(self, inputs: Inputs) -> Values:
        """Return the gaps minus those at the reference level."""
        excess = contrasts.excess_gap(inputs.values.sel(inputs.without(self.factor)), self.factor, self.reference)
        return Values(excess.sel({self.factor: inputs.arm[self.factor]}))
