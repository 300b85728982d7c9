"""The difference between two arms, in one subgroup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from biasprop.estimands.one_subgroup import OneSubgroup
from biasprop.statistics.estimand import Arm, Inputs, Level, RefersTo, Values


class Difference(OneSubgroup):
    """difference: level of a subgroup at the arm - its level at another arm."""

    kind: Literal["difference"] = "difference"
    """What is measured."""

    minus: Annotated[Arm, Field(min_length=1), RefersTo("arm")]
    """The other arm, which is subtracted: factor -> level. A factor left out is that of the arm itself."""

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        if self.minus.items() <= self.at.items():
            yield "at must not be the arm that is subtracted: the difference from itself is 0 by definition"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is the one that is subtracted."""
        return self.minus.items() <= arm.items()

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return both arms."""
        return [inputs.arm, inputs.arm | self.minus]

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences."""
        return Values(inputs.values.sel(inputs.arm).values - inputs.values.sel(inputs.arm | self.minus).values)
