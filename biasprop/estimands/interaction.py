"""The interaction of two attributes: the gap between two subgroups minus that between two others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from biasprop.estimands.between import BetweenSubgroups
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, RefersTo, Values

if TYPE_CHECKING:
    import xarray as xr


class Interaction(BetweenSubgroups):
    """interaction: g minus the gap between the subgroups of ``versus``, such as a gap of tone at one site minus that at
    another."""

    kind: Literal["interaction"] = "interaction"
    """What is measured."""

    versus: Annotated[tuple[str, str], Field(min_length=2, max_length=2), RefersTo("subgroup")]
    """The two subgroups whose gap is subtracted."""

    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "the gap in {measure} of {subgroups[0]} over {subgroups[1]}{place} [is larger by {number} than|is smaller by "
        "{number} than|differs by {number} from] that of {versus[0]} over {versus[1]}"
    )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.versus[0] == self.versus[1]:
            yield "versus must be two different subgroups"
        elif set(self.versus) == set(self.subgroups):
            yield "versus must not be the subgroups themselves"

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return differences of gaps."""
        return contrasts.interaction(values, (subgroups[0], subgroups[1]), self.versus)

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm itself."""
        return [inputs.arm]

    def values(self, inputs: Inputs) -> Values:
        """Return the interactions of the arm."""
        return Values(inputs.values.sel(inputs.arm))
