"""How many labels of a subgroup one of its pretraining images is worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from biasprop.estimands.between import OfB
from biasprop.estimands.curve_reading import ReadOffCurve
from biasprop.statistics.estimand import Arm, FactorName, Inputs, TwoLevels, Values

if TYPE_CHECKING:
    import xarray as xr

SAME = 1e-6
"""Largest difference of shares that are the same."""


class ExchangeRate(OfB, ReadOffCurve):
    """exchange_rate: labels of B that are worth one pretraining image of B in the place of one of A, between two
    mixes."""

    kind: Literal["exchange_rate"] = "exchange_rate"
    """What is measured."""

    factor: FactorName
    """The factor that holds the pretraining mixes."""

    between: TwoLevels
    """Two of its levels, the one with the lower share of B first, with no other share of B between them: what an image
    is worth is not the same from 0 to 0.1 as from 0.5 to 1."""

    runs_over = ("factor",)
    favours_a = True
    unit = "labels per image"
    phrase = "a pretraining image of {subgroups[1]} in place of one of {subgroups[0]}{place} is worth {number}"

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.between[0] == self.between[1]:
            yield "between must be two different levels"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at the higher mix, and at the lower mix and all budgets."""
        lower, higher = ({self.factor: mix} for mix in self.between)
        return [
            inputs.arm | higher,
            *(inputs.arm | lower | {self.budget: level} for level in inputs.levels(self.budget)),
        ]

    def values(self, inputs: Inputs) -> Values:
        """Return the learning curve of the lower mix minus what the higher one reaches, [replicate, budget].

        Labels beyond those of the arm, times the share of B among them, over the images by which the mixes differ are
        the rate.
        """
        measures, arm, b = inputs.measures, inputs.arm, inputs.subgroups[1]
        if why := self._mismatch(inputs):
            return Values(np.full(inputs.values.sizes["replicate"], np.nan), why=why)
        labelled = self._at(arm, measures["label_share"].sel(subgroup=b)).values
        if labelled.ndim or not labelled > 0:
            why = f"the share of {b} among the labelled subjects has to be one number above 0"
            return Values(np.full(inputs.values.sizes["replicate"], np.nan), why=why)
        share = measures["share"].sel(subgroup=b)
        low, high = (float(self._at(arm | {self.factor: mix}, share)) for mix in self.between)
        images = (high - low) * float(self._at(arm | {self.factor: self.between[0]}, measures["cohort_size"]))
        labels = arm[self.budget]
        lower, higher = (self.curve(inputs, arm | {self.factor: mix}) for mix in self.between)
        return Values(
            lower - higher.sel({self.budget: labels}, drop=True),
            budgets=self.budgets(inputs),
            why=f"between shares of {low:g} and {high:g} of {b} in pretraining",
            counted_from=float(labels),
            labels_per_unit=images / float(labelled),
        )

    def _mismatch(self, inputs: Inputs) -> str:
        """Return why a rate between the two mixes has no meaning; empty if it has one."""
        measures, arm, (a, b), mixes = inputs.measures, inputs.arm, inputs.subgroups, list(self.between)
        if "share" not in measures.coords or self.factor not in measures["share"].dims:
            return f"the levels of {self.factor} are no mixes with known shares"
        of = {name: self._at(arm, measures["share"].sel(subgroup=name, drop=True)) for name in (a, b)}
        (a_low, a_high), (b_low, b_high) = (of[name].sel({self.factor: mixes}).values for name in (a, b))
        if not b_high - b_low > SAME:
            return f"{mixes[0]} has to have a lower share of {b} than {mixes[1]}"
        if abs(a_low - a_high - (b_high - b_low)) > SAME:
            return f"{mixes[0]} and {mixes[1]} differ in more than images of {a} in the place of images of {b}"
        inside = (of[b] > b_low + SAME) & (of[b] < b_high - SAME)
        if inside.any():
            names = ", ".join(str(level) for level in measures[self.factor].values[inside.values])
            return f"not two neighbouring mixes: {names} lies between them"
        sizes = self._at(arm, measures["cohort_size"]).sel({self.factor: mixes}).values
        return "" if sizes[0] == sizes[1] else "the pretraining mixes differ in cohort size as well as in shares"

    @staticmethod
    def _at(arm: Arm, coord: xr.DataArray) -> xr.DataArray:
        """Return a coord of the cube at an arm."""
        return coord.sel({name: arm[str(name)] for name in coord.dims if name in arm})
