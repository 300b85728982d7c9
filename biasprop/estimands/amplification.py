"""How much larger the swap contrast is than with the most labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import HALF_OF, MARGIN, Arm, BudgetName, Inputs, Level, Values


class Amplification(BetweenSkewedLevels):
    """amplification: swap contrast - swap contrast at the largest budget, which is positive where few labels amplify
    the effect of the mix."""

    kind: Literal["amplification"] = "amplification"
    """What is measured."""

    budget: BudgetName
    """The factor that holds the label budgets."""

    favours_a = True
    default_margin, margin_reason = MARGIN / 2, HALF_OF
    phrase = (
        "the swap contrast{place} [is larger by {number} than|is smaller by {number} than|differs by {number} from "
        "that] with the most labels"
    )

    def mistakes(self, levels: Mapping[str, Sequence[Level]]) -> Iterable[tuple[tuple[str, ...], str]]:
        """Return an error if ``at`` fixes the largest budget."""
        if self.budget in levels and self.is_reference(self.at, levels):
            fixed = self.at[self.budget]
            yield ("at", self.budget), f"is {fixed}, the largest budget, which is the reference: 0 by definition"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is at the largest budget."""
        return arm.get(self.budget) == max(levels[self.budget])

    def _at_largest(self, inputs: Inputs) -> Arm:
        return inputs.arm | {self.budget: max(inputs.levels(self.budget))}

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm, and the same arm at the largest budget, at both skewed levels."""
        return self.both_levels(inputs.arm, self._at_largest(inputs))

    def values(self, inputs: Inputs) -> Values:
        """Return the differences of swap contrasts."""
        beta = self.swap_contrasts(inputs)
        return Values(beta.sel(inputs.arm).values - beta.sel(self._at_largest(inputs)).values)
