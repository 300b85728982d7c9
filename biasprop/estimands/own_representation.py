"""What a subgroup gains when pretraining saw it instead of the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, RefersTo, Values

if TYPE_CHECKING:
    import xarray as xr


class OwnRepresentation(BetweenSkewedLevels):
    """own_representation: level of a subgroup at the level skewed to it - its level at the one skewed to the other, for
    each of the two. The swap contrast is half of the sum of both."""

    kind: Literal["own_representation"] = "own_representation"
    """What is measured."""

    subgroup: Annotated[str | None, RefersTo("subgroup")] = None
    """A or B; left out, there is one estimate for each."""

    favours_a = True
    of_level = True
    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = "{subgroup} [gains|loses|changes by] {number} where {factor} is skewed to it and not to the other{place}"

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.subgroup not in (None, *self.subgroups):
            yield "subgroup must be one of subgroups"

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroup, or A and B, one estimate for each."""
        return [(name,) for name in self.subgroups if self.subgroup in (None, name)]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the levels of the subgroup."""
        return values.sel(subgroup=subgroups[0], drop=True)

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at both skewed levels."""
        return self.both_levels(inputs.arm)

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences of the subgroup."""
        (subgroup,) = inputs.subgroups
        own, other = self.skewed if subgroup == self.subgroups[0] else self.skewed[::-1]
        levels = [inputs.values.sel(inputs.arm | {self.factor: level}).values for level in (own, other)]
        return Values(levels[0] - levels[1])
