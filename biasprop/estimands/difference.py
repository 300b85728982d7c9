"""The difference between two arms, in one subgroup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Estimand, Inputs, RefersTo, Values

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

    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = "{measure} in {subgroup}{place} is [higher|lower|other] by {number} than with {minus}"

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroup, or every subgroup by itself."""
        return [(self.subgroup,)] if self.subgroup is not None else [(name,) for name in known]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the levels of the subgroup."""
        return values.sel(subgroup=subgroups[0], drop=True)

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm itself."""
        return [inputs.arm]

    def values(self, inputs: Inputs) -> Values:
        """Return the levels of the arm."""
        return Values(inputs.values.sel(inputs.arm))
