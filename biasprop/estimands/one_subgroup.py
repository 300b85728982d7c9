"""What kinds of estimands share that contrast the level of one subgroup between arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from biasprop.statistics.estimand import Estimand, RefersTo

if TYPE_CHECKING:
    import xarray as xr


class OneSubgroup(Estimand):
    """An estimand made of levels of one subgroup."""

    subgroup: Annotated[str | None, RefersTo("subgroup")] = None
    """The subgroup; left out, there is one estimate for each subgroup."""

    of_level = True

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the subgroup, or every subgroup by itself."""
        return [(self.subgroup,)] if self.subgroup is not None else [(name,) for name in known]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the levels of the subgroup."""
        return values.sel(subgroup=subgroups[0], drop=True)
