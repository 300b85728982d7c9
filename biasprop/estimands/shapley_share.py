"""What one of several mechanisms contributes to a gap, whatever the order in which they are switched on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from biasprop.estimands.between import BetweenSubgroups
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, FactorName, Inputs, Level, RefersTo, Values

MAX_MECHANISMS = 6
"""Mechanisms of one estimand, which needs 2 to that power arms."""
Switches = Annotated[dict[str, Level], Field(min_length=2, max_length=MAX_MECHANISMS), RefersTo("arm")]


class ShapleyShare(BetweenSubgroups):
    """shapley_share: Shapley value of a mechanism (Shapley 1953), where v(S) is the gap with the mechanisms S on: what
    it adds to the gap, averaged over all orders in which the mechanisms can be switched on.

    The values of all mechanisms sum to the gap with all on minus the gap with none, to rounding. With ``minus`` they
    are those of the difference of the two gaps, such as an excess gap.
    """

    kind: Literal["shapley_share"] = "shapley_share"
    """What is measured."""

    mechanism: FactorName
    """The factor that switches the mechanism."""

    off: Switches
    """Factor -> its level without the mechanism, for each of 2 to 6 mechanisms."""

    on: Switches
    """Factor -> its level with the mechanism, for the same factors."""

    runs_over = ("off", "on")
    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "of the change of the gap in {measure} of {subgroups[0]} over {subgroups[1]}{place} from {off} to {on}, "
        "{mechanism} accounts for {number}"
    )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if set(self.off) != set(self.on):
            yield f"off and on must name the same factors; {', '.join(sorted(set(self.off) ^ set(self.on)))} is in one"
        elif same := [name for name in self.off if self.off[name] == self.on[name]]:
            yield f"off and on must be different levels of every factor; those of {', '.join(same)} are the same"
        elif self.mechanism not in self.off:
            yield f"mechanism must be one of the factors of off and on; allowed: {', '.join(self.off)}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm with every subset of the mechanisms on."""
        return [inputs.arm | switches for switches in contrasts.coalitions(self.off, self.on)]

    def values(self, inputs: Inputs) -> Values:
        """Return the Shapley values at the arm."""
        return Values(contrasts.shapley_value(inputs.values.sel(inputs.arm), self.mechanism, self.off, self.on))
