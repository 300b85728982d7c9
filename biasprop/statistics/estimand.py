"""Estimands: the contrasts that a study file states before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from biasprop.component import Definition

Level = str | int | float
"""The name or the number of one level of a factor, as it stands in the cube's coord."""


class Kind(NamedTuple):
    """Fields that a kind of estimand needs, and how its values are read."""

    needs: tuple[str, ...] = ()
    """Required fields; all other fields of ``OPTIONAL`` are forbidden."""
    over: tuple[str, ...] = ("factor", "budget")
    """Required fields whose factor the contrast runs over, so that ``at`` cannot fix a level of it."""
    sign: Literal["positive", "either"] = "either"
    """Expected sign unless the estimand gives another."""
    unit: str = ""
    """Unit of its values; empty for a difference on the estimand's scale."""
    of_gaps: bool = True
    """Whether it is a function of gaps between A and B, or of B's level alone."""
    digits: int = 3
    """Decimals of its values in tables."""
    tested: bool = True
    """Whether it is compared with 0 and with a margin."""


KINDS: dict[str, Kind] = {
    "gap": Kind(),
    "interaction": Kind(("versus",), over=()),
    "excess_gap": Kind(("factor", "reference"), over=()),
    "swap_contrast": Kind(("factor", "skewed"), sign="positive"),
    "common_gap": Kind(("factor", "skewed")),
    "retention": Kind(("factor", "skewed", "denominator"), sign="positive", unit="ratio of swap contrasts"),
    "halving_budget": Kind(("factor", "skewed", "budget"), unit="labels", digits=0, tested=False),
    "amplification": Kind(("factor", "skewed", "budget"), over=("factor",), sign="positive"),
    "exchange_rate": Kind(
        ("factor", "budget"), over=("factor",), sign="positive", unit="labels per image", of_gaps=False
    ),
    "label_efficiency": Kind(
        ("factor", "reference", "budget"), over=(), unit="times the labels", of_gaps=False, digits=2, tested=False
    ),
}
OPTIONAL = ("versus", "factor", "skewed", "reference", "budget", "denominator")


class Estimand(Definition):
    """One contrast that a study measures: its kind, subgroups, arm, scale and margin."""

    name: Annotated[str, Field(min_length=1)]
    """Name in tables and figures."""

    kind: Literal[
        "gap",
        "interaction",
        "excess_gap",
        "swap_contrast",
        "common_gap",
        "retention",
        "halving_budget",
        "amplification",
        "exchange_rate",
        "label_efficiency",
    ]
    """gap g = z(AUC_A) - z(AUC_B); interaction = g minus the gap between the subgroups of ``versus``, such as a gap of
    tone at one site minus that at another; excess_gap = g - g(reference level); swap_contrast = half of g(skewed to A)
    - g(skewed to B), and common_gap half of their sum, which is 0 if the two are equal and opposite; retention = swap
    contrast / swap contrast of the denominator arm; halving_budget = first budget at which the swap contrast falls
    below half of its maximum over the budgets and stays there; amplification = swap contrast - swap contrast at the
    largest budget, which is positive where few labels amplify the effect of the mix; exchange_rate = labels of B that
    raise z(AUC_B) as much as one pretraining image of B in the place of one of A; label_efficiency = labels with which
    the reference level reaches the AUC of B, divided by the labels with which a level reaches it."""

    subgroups: Annotated[tuple[str, str], Field(min_length=2, max_length=2)]
    """A and B, the two subgroups a gap is taken between; a positive gap favours A. An exchange_rate and a
    label_efficiency are of B alone."""

    versus: Annotated[tuple[str, str], Field(min_length=2, max_length=2)] | None = None
    """The two subgroups whose gap is subtracted (interaction)."""

    factor: str | None = None
    """The factor the contrast runs over, usually the pretraining mix (all kinds but gap and
    interaction)."""

    skewed: tuple[Level, Level] | None = None
    """Its level skewed to A and its level skewed to B (kinds made of swap contrasts, and common_gap)."""

    reference: Level | None = None
    """Its level that gaps are compared with, usually the balanced mix (excess_gap), or whose learning curve is read,
    usually scratch (label_efficiency)."""

    budget: str | None = None
    """The factor that holds the label budgets (halving_budget, amplification, exchange_rate, label_efficiency)."""

    denominator: Annotated[dict[str, Level], Field(min_length=1)] | None = None
    """The arm that retention divides by, usually the linear probe at the largest budget: factor -> level. A factor left
    out is that of the arm itself (retention)."""

    at: dict[str, Level] = Field(default={})
    """The arm: factor -> level. A factor left out gives one estimate for each of its levels."""

    scale: Literal["z", "auc"] = "z"
    """z = sqrt(2) * inverse normal CDF of the AUC, or the AUC itself."""

    margin: Annotated[float, Field(gt=0)] = 0.10
    """Equivalence margin: a value this close to 0 counts as erased. On the estimand's scale (0.10 on z is about 0.016
    AUC at an AUC of 0.85); for retention a share of the denominator, for exchange_rate labels per image."""

    sign: Literal["positive", "negative", "either"] | None = None
    """The expected sign. Left out: positive for swap_contrast and retention (a mix skewed to A favours A),
    amplification and exchange_rate, either for the others."""

    primary: bool = False
    """The one estimand that is tested unadjusted at 5 %; Holm's procedure covers the others."""

    @model_validator(mode="after")
    def _fields_of_the_kind(self) -> Estimand:
        needed = KINDS[self.kind].needs
        problems = [f"{self.kind} needs {name}" for name in needed if getattr(self, name) is None]
        problems += [
            f"{self.kind} takes no {name}"
            for name in OPTIONAL
            if name not in needed and getattr(self, name) is not None
        ]
        if self.subgroups[0] == self.subgroups[1]:
            problems.append("subgroups must be two different subgroups")
        if self.versus is not None and self.versus[0] == self.versus[1]:
            problems.append("versus must be two different subgroups")
        if self.versus is not None and set(self.versus) == set(self.subgroups):
            problems.append("versus must not be the subgroups themselves")
        if self.skewed is not None and self.skewed[0] == self.skewed[1]:
            problems.append("skewed must be two different levels")
        for name in self._contrasted():
            for table in ("at", "denominator"):
                if name in (getattr(self, table) or {}):
                    problems.append(f"{table} must not fix {name}: the contrast runs over it")
        if self.reference is not None and self.at.get(self.factor or "") == self.reference:
            problems.append(
                f"at must not fix {self.factor} to the reference: compared with itself it is 0 or 1 by definition"
            )
        if self.primary and not KINDS[self.kind].tested:
            problems.append(f"a {self.kind} has no test, so it cannot be primary")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contrasted(self) -> tuple[str, ...]:
        """The factors the contrast runs over; not those with one level that all others are compared with (a reference,
        the largest budget)."""
        names = (getattr(self, field) for field in KINDS[self.kind].over)
        return tuple(name for name in names if name is not None)

    @property
    def expected(self) -> int:
        """The expected sign of the value: 1, -1, or 0 for either."""
        return {"positive": 1, "negative": -1, "either": 0}[self.sign or KINDS[self.kind].sign]

    def free(self, factors: Sequence[str]) -> tuple[str, ...]:
        """Return the factors that give one estimate for each of their levels.

        Args:
            factors: names of the study's factors.

        Returns:
            Factors that ``at`` does not fix and the contrast does not run over, in the study's order.
        """
        return tuple(name for name in factors if name not in {*self.at, *self._contrasted()})
