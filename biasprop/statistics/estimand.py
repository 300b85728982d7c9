"""What a study asks, stated before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from biasprop.component import Definition

Level = str | int | float
"""The name or the number of one level of a factor, as it stands in the cube's coord."""

NEEDS: dict[str, tuple[str, ...]] = {
    "gap": (),
    "excess_gap": ("factor", "reference"),
    "swap_contrast": ("factor", "skewed"),
    "common_gap": ("factor", "skewed"),
    "retention": ("factor", "skewed", "denominator"),
    "halving_budget": ("factor", "skewed", "budget"),
    "amplification": ("factor", "skewed", "budget"),
}
"""The fields a kind needs; every other one of these fields is forbidden to it."""
OPTIONAL = ("factor", "skewed", "reference", "budget", "denominator")


class Estimand(Definition):
    """One contrast a study claims to measure: which, between whom, on which scale, against which margin."""

    name: Annotated[str, Field(min_length=1)]
    """What tables and figures call it."""

    kind: Literal["gap", "excess_gap", "swap_contrast", "common_gap", "retention", "halving_budget", "amplification"]
    """gap g = z(AUC_A) - z(AUC_B); excess_gap = g - g(reference level); swap_contrast = half of g(skewed to A) -
    g(skewed to B), and common_gap half of their sum, which is 0 if the two are equal and opposite; retention = swap
    contrast / swap contrast of the denominator arm; halving_budget = first budget at which the swap contrast falls
    below half of its maximum over the budgets and stays there; amplification = swap contrast - swap contrast at the
    largest budget, which is positive where few labels amplify what the mix did."""

    subgroups: Annotated[tuple[str, str], Field(min_length=2, max_length=2)]
    """A and B, the two subgroups a gap is taken between; a positive gap favours A."""

    factor: str | None = None
    """The factor the contrast runs over, usually the pretraining mix (all kinds but gap)."""

    skewed: tuple[Level, Level] | None = None
    """Its level skewed to A and its level skewed to B (all kinds but gap and excess_gap)."""

    reference: Level | None = None
    """Its level that gaps are compared with, usually the balanced mix (excess_gap)."""

    budget: str | None = None
    """The factor that holds the label budgets (halving_budget, amplification)."""

    denominator: Annotated[dict[str, Level], Field(min_length=1)] | None = None
    """The arm that retention divides by, usually the linear probe at the largest budget: factor -> level. A factor left
    out is that of the arm itself (retention)."""

    at: dict[str, Level] = Field(default={})
    """The arm: factor -> level. A factor left out gives one estimate for each of its levels."""

    scale: Literal["z", "auc"] = "z"
    """z = sqrt(2) * inverse normal CDF of the AUC, or the AUC itself."""

    margin: Annotated[float, Field(gt=0)] = 0.10
    """Equivalence margin: a value this close to 0 counts as erased. On the estimand's scale (0.10 on z is about 0.016
    AUC at an AUC of 0.85); for retention a share of the denominator."""

    sign: Literal["positive", "negative", "either"] | None = None
    """The sign the claim expects. Left out: positive for swap_contrast and retention (a mix skewed to A favours A) and
    for amplification, either for the others."""

    primary: bool = False
    """The one estimand that is tested unadjusted at 5 %; Holm's procedure covers the others."""

    @model_validator(mode="after")
    def _fields_of_the_kind(self) -> Estimand:
        needed = NEEDS[self.kind]
        problems = [f"{self.kind} needs {name}" for name in needed if getattr(self, name) is None]
        problems += [
            f"{self.kind} takes no {name}"
            for name in OPTIONAL
            if name not in needed and getattr(self, name) is not None
        ]
        if self.subgroups[0] == self.subgroups[1]:
            problems.append("subgroups must be two different subgroups")
        if self.skewed is not None and self.skewed[0] == self.skewed[1]:
            problems.append("skewed must be two different levels")
        for name in self._contrasted():
            for table in ("at", "denominator"):
                if name in (getattr(self, table) or {}):
                    problems.append(f"{table} must not fix {name}: the contrast runs over it")
        if self.kind == "excess_gap" and self.factor in self.at and self.at[self.factor] == self.reference:
            problems.append(f"at must not fix {self.factor} to the reference: that excess gap is 0 by definition")
        if self.primary and self.kind == "halving_budget":
            problems.append("a halving_budget has no test, so it cannot be primary")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contrasted(self) -> tuple[str, ...]:
        """The factors the contrast runs over. An excess gap runs over no level of its factor but the reference, an
        amplification over no budget but the largest, so that these factors have levels of their own."""
        names = {"excess_gap": (), "amplification": (self.factor,)}.get(self.kind, (self.factor, self.budget))
        return tuple(name for name in names if name is not None)

    @property
    def expected(self) -> int:
        """The sign a value that bears the claim out would have: 1, -1, or 0 for either."""
        stated = self.sign or ("positive" if self.kind in ("swap_contrast", "retention", "amplification") else "either")
        return {"positive": 1, "negative": -1, "either": 0}[stated]

    def free(self, factors: Sequence[str]) -> tuple[str, ...]:
        """The factors that give one estimate for each of their levels.

        Args:
            factors: the names of the study's factors.

        Returns:
            Those that neither ``at`` fixes nor the contrast runs over, in the study's order.
        """
        return tuple(name for name in factors if name not in {*self.at, *self._contrasted()})
