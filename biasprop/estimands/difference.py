"""The difference between two arms, in one subgroup."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from biasprop.estimands.one_subgroup import OneSubgroup
from biasprop.statistics.estimand import MARGIN, PATIENTS, Arm, Inputs, RefersTo, Values


class Difference(OneSubgroup):
    """difference: level of a subgroup at the arm - its level at another arm."""

    kind: Literal["difference"] = "difference"
    """What is measured."""

    minus: Annotated[Arm, Field(min_length=1), RefersTo("arm")]  # pyright: ignore[reportGeneralTypeIssues]: required here
    """The other arm, which is subtracted: factor -> level. A factor left out is that of the arm itself."""

    default_margin, margin_reason = MARGIN, PATIENTS
    phrase = (
        "{measure} in {subgroup}{place} [is higher by {number} than|is lower by {number} than|differs by {number} from "
        "that] with {minus}"
    )

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm itself."""
        return [inputs.arm]

    def values(self, inputs: Inputs) -> Values:
        """Return the levels of the arm."""
        return Values(inputs.values.sel(inputs.arm))
