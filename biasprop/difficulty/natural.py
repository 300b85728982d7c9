"""Mode ``natural``: image physics alone."""

from __future__ import annotations

from typing import Literal

from biasprop.difficulty.mode import Mode


class Natural(Mode):
    """Unadjusted difficulty: subgroups differ as the physics makes them differ."""

    kind: Literal["natural"] = "natural"

    @property
    def words(self) -> str:
        """The mode's line in a plan."""
        return "natural: unadjusted, so image physics may make one subgroup harder than another"
