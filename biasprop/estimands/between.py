"""What kinds of estimands share that compare two subgroups, and those among them that compare two skewed levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from biasprop.statistics import contrasts
from biasprop.statistics.estimand import Arm, Estimand, FactorName, Inputs, Level, RefersTo, TwoLevels

if TYPE_CHECKING:
    import xarray as xr


class BetweenSubgroups(Estimand):
    """An estimand made of gaps between two subgroups."""

    subgroups: Annotated[tuple[str, str], Field(min_length=2, max_length=2), RefersTo("subgroup")]
    """A and B, the two subgroups a gap is taken between; a positive gap favours A on scales where high is good. An
    exchange_rate and a label_efficiency are of B alone."""

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        return ["subgroups must be two different subgroups"] if self.subgroups[0] == self.subgroups[1] else []

    @property
    def pair(self) -> tuple[str, str]:
        """A and B."""
        return self.subgroups

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return A and B, one estimate per arm."""
        return [self.subgroups]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return gaps, A - B."""
        return contrasts.gap(values, (subgroups[0], subgroups[1]))


class OfB(BetweenSubgroups):
    """An estimand of subgroup B alone."""

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the values of B."""
        return values.sel(subgroup=subgroups[1], drop=True)


class BetweenSkewedLevels(BetweenSubgroups):
    """An estimand made of the gaps at two levels of a factor, one skewed to A and one to B."""

    factor: FactorName
    """The factor the contrast runs over, usually the pretraining mix."""

    skewed: TwoLevels
    """Its level skewed to A and its level skewed to B."""

    runs_over = ("factor",)

    @property
    def skew(self) -> tuple[str, tuple[Level, Level]]:
        """The factor, and its levels skewed to A and to B."""
        return self.factor, self.skewed

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.skewed[0] == self.skewed[1]:
            yield "skewed must be two different levels"

    def both_levels(self, *arms: Arm) -> list[Arm]:
        """Return each arm at both skewed levels."""
        return [arm | {self.factor: level} for arm in arms for level in self.skewed]

    def swap_contrasts(self, inputs: Inputs) -> xr.DataArray:
        """Return the swap contrasts of all arms."""
        return contrasts.swap_contrast(inputs.values, self.factor, self.skewed)
