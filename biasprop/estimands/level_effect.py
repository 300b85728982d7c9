"""What the skew does to both subgroups together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from biasprop.estimands.between import BetweenSkewedLevels
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, Values

if TYPE_CHECKING:
    import xarray as xr


class LevelEffect(BetweenSkewedLevels):
    """level_effect: mean level of A and B at the level skewed to A - at the one skewed to B, which is positive where
    the images of A teach both subgroups more. It is half of the difference of the two own-representation effects."""

    kind: Literal["level_effect"] = "level_effect"
    """What is measured."""

    of_level = True
    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "with {skewed[0]} instead of {skewed[1]} in {factor}, the mean {measure} of {subgroups[0]} and {subgroups[1]}"
        "{place} [rises|falls|changes] by {number}"
    )

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return means of A and B."""
        a, b = (values.sel(subgroup=name, drop=True) for name in subgroups)
        return (a + b) / 2

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at both skewed levels."""
        return self.both_levels(inputs.arm)

    def values(self, inputs: Inputs) -> Values:
        """Return the paired differences of the means."""
        to_a, to_b = (inputs.values.sel(inputs.arm | {self.factor: level}).values for level in self.skewed)
        return Values(to_a - to_b)
