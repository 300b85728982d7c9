"""The difference between the swap contrasts of two arms: where the mix matters more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import Arm, Inputs, Level, RefersTo, Values


class SwapDifference(BetweenSkewedLevels):
    """swap_difference: swap contrast at the arm - swap contrast at another arm, such as one protocol minus another."""

    kind: Literal["swap_difference"] = "swap_difference"
    """What is measured."""

    minus: Annotated[Arm, Field(min_length=1), RefersTo("arm")]
    """The other arm, which is subtracted: factor -> level. A factor left out is that of the arm itself."""

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.minus.items() <= self.at.items():
            yield "at must not be the arm that is subtracted: the difference from itself is 0 by definition"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is the one that is subtracted."""
        return self.minus.items() <= arm.items()

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return both arms, at both skewed levels."""
        return self.both_levels(inputs.arm, inputs.arm | self.minus)

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences of swap contrasts."""
        beta = self.swap_contrasts(inputs)
        return Values(beta.sel(inputs.arm).values - beta.sel(inputs.arm | self.minus).values)
