"""The difference between two arms, in one subgroup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from biasprop.statistics.estimand import Arm, Estimand, Inputs, Level, RefersTo, Values

if TYPE_CHECKING:
    import xarray as xr


class Difference(Estimand):
    """difference: level of a subgroup at the arm - its level at another arm."""

    kind: Literal["difference"] = "difference"
    """What is measured."""

    subgroup: Annotated[str | None, RefersTo("subgroup")] = None
    """The subgroup; left out, there is one estimate for each subgroup."""

    minus: Annotated[Arm, Field(min_length=1), RefersTo("arm")]
    """The other arm, which is subtracted: factor -> level. A factor left out is that of the arm itself."""

    phrase = "{measure} in {subgroup}{place} is [higher|lower|other] by {number} than with {minus}"

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        if self.minus.items() <= self.at.items():
            yield "at must not be the arm that is subtracted: the difference from itself is 0 by definition"

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroup, or every subgroup by itself."""
        return [(self.subgroup,)] if self.subgroup is not None else [(name,) for name in known]

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is the one that is subtracted."""
        return self.minus.items() <= arm.items()

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the levels of the subgroup."""
        return values.sel(subgroup=subgroups[0], drop=True)

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return both arms."""
        return [inputs.arm, inputs.arm | self.minus]

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences."""
        return Values(inputs.values.sel(inputs.arm).values - inputs.values.sel(inputs.arm | self.minus).values)
