"""How far apart the best and the worst of several subgroups are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Arm, Estimand, Inputs, RefersTo, Values
from biasprop.statistics.simultaneous import mean_range

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate


class BestMinusWorst(Estimand):
    """best_minus_worst: mean of the best subgroup - mean of the worst, never negative; biased upwards, because which
    they are is read off the same replicates.

    Its interval covers the true range: it comes from simultaneous intervals of the differences of all pairs
    (:func:`biasprop.statistics.simultaneous.mean_range`).
    """

    kind: Literal["best_minus_worst"] = "best_minus_worst"
    """What is measured."""

    subgroups: Annotated[tuple[str, ...] | None, Field(min_length=2), RefersTo("subgroup")] = None
    """The subgroups that are compared, at least two; left out, all subgroups, without groups of several."""

    interval = "simultaneous"
    tested = False
    of_groups = False
    phrase = "{measure} of the best and of the worst subgroup{place} differ by {number}"
    default_margin: ClassVar[float | None] = None
    margin_reason: ClassVar[str] = "its value is never below 0 and biased upwards, so that it is not tested"

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        named = self.subgroups or ()
        if twice := [name for i, name in enumerate(named) if name in named[:i]]:
            yield f"subgroups must be different; {', '.join(dict.fromkeys(twice))} is named more than once"

    def subgroup_sets(self, known: Sequence[str]) -> list[tuple[str, ...]]:
        """Return all subgroups that are compared, one estimate per arm."""
        return [tuple(known) if self.subgroups is None else self.subgroups]

    def reduce(self, values: xr.DataArray, subgroups: tuple[str, ...]) -> xr.DataArray:
        """Return the levels of the subgroups, [factors, replicate, subgroup], larger where better."""
        return (SCALES[self.scale].direction or 1) * values.sel(subgroup=list(subgroups))

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm itself."""
        return [inputs.arm]

    def values(self, inputs: Inputs) -> Values:
        """Return the levels of the arm, [replicate, subgroup]."""
        return Values(inputs.values.sel(inputs.arm).transpose("replicate", "subgroup"))

    def untested(self, contrast: Paired, empty: Estimate) -> Estimate:
        """Return the range of the means over the replicates that have all subgroups, with its simultaneous interval.

        The subgroups of the estimate are the best and the worst; the reason names them.
        """
        empty = replace(empty, method="simultaneous t", verdict="")
        if len(contrast.subgroups) < 2:
            return replace(empty, reason="there is only one subgroup")
        values = contrast.values.reshape(len(contrast.values), -1)
        values = values[~np.isnan(values).any(axis=1)]
        if not len(values):
            return empty
        found = mean_range(values)
        best, worst = (contrast.subgroups[int(k)] for k in (found.largest, found.smallest))
        reasons = [contrast.reason, f"best {best}, worst {worst}; biased upwards: which they are is read off the data"]
        if len(values) < 2:
            reasons.append("an interval needs 2 replicates, there is 1")
        return replace(
            empty,
            subgroups=(best, worst),
            value=float(found.value),
            low=float(found.low),
            high=float(found.high),
            reason="; ".join(part for part in reasons if part),
        )
