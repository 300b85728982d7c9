"""The share of a swap contrast that another arm retains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import Arm, Inputs, Level, RefersTo, Values


class Retention(BetweenSkewedLevels):
    """retention: swap contrast / swap contrast of the denominator arm."""

    kind: Literal["retention"] = "retention"
    """What is measured."""

    denominator: Annotated[Arm, Field(min_length=1), RefersTo("arm")]
    """The arm that it divides by, usually the linear probe at the largest budget: factor -> level. A factor left out is
    that of the arm itself."""

    favours_a = True
    unit = "ratio of swap contrasts"
    interval = "Fieller"
    tested = False
    default_margin = 0.10
    margin_reason = "a tenth of the contrast that is retained in full by the denominator"
    phrase = "the swap contrast{place} divided by that with {denominator} is {number}"

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.denominator.items() <= self.at.items():
            yield "at must not be the denominator: divided by itself it is 1 by definition"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is the denominator."""
        return self.denominator.items() <= arm.items()

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm and the denominator at both skewed levels."""
        return self.both_levels(inputs.arm, inputs.arm | self.denominator)

    def values(self, inputs: Inputs) -> Values:
        """Return swap contrasts of the arm and of the denominator, in replicates that have both."""
        beta = self.swap_contrasts(inputs)
        denominator = beta.sel(inputs.arm | self.denominator)
        numerator = beta.sel(inputs.arm).where(denominator.notnull())
        return Values(numerator, denominator.where(numerator.notnull()))
