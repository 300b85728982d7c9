"""Every number a study prints, as plain records that JSON can hold. Nothing heavy is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from biasprop.statistics.verdict import NOT_RESOLVED

if TYPE_CHECKING:
    from biasprop.statistics.estimand import Level

NAN = math.nan


@dataclass(frozen=True)
class Estimate:
    """One number a study claims, with everything needed to judge it. NaN where the reason says so.

    ``low`` and ``high`` bound the plain 95 % interval; the adjusted one has level 1 - 5 % / (factor of Holm's procedure
    in the difference tests), so it excludes 0 exactly if the adjusted difference test does. For the primary estimand,
    which is tested unadjusted, the two are the same.
    """

    name: str
    kind: str
    subgroups: tuple[str, str]
    arm: dict[str, Level]
    """Factor -> level of the arm it belongs to."""
    scale: str
    margin: float
    primary: bool
    replicates: int
    """How many replicates have every value the contrast needs."""
    value: float = NAN
    low: float = NAN
    high: float = NAN
    adjusted_low: float = NAN
    adjusted_high: float = NAN
    se: float = NAN
    """Monte Carlo standard error over replicates."""
    method: str = ""
    p_difference: float = NAN
    p_equivalence: float = NAN
    adjusted_p_difference: float = NAN
    adjusted_p_equivalence: float = NAN
    verdict: str = NOT_RESOLVED
    reason: str = ""


class Mean(NamedTuple):
    """Mean over replicates with its 95 % t interval, and from how many replicates."""

    value: float
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class LevelRow:
    """One arm: what each subgroup gets, what lies between them, and what went missing."""

    arm: dict[str, Level]
    """Factor -> level."""
    replicates: int
    """Replicates all of whose planned draws are there."""
    missing: dict[str, int]
    """Replicates with a draw that diverged, failed, or has not run."""
    moved: int
    """How many AUCs of 0 or 1 were moved in by half a pair before z."""
    subgroups: dict[str, dict[str, Mean]]
    """Subgroup -> measure -> mean."""
    compared: tuple[str, ...]
    """A and B of the gaps; empty with one subgroup."""
    across: dict[str, Mean]
    """Measure -> mean; gaps are A - B."""
    levelling_down: bool | None
    """Whether the gap is narrower than at the reference only because the better subgroup lost; None without one."""


@dataclass(frozen=True)
class Parts:
    """A gap on z taken apart: means over the replicates that have every term there is."""

    arm: dict[str, Level]
    swap: Mean
    """Swap contrast of the arm's budget and protocol; of no replicate where no estimand has one."""
    terms: dict[str, Mean]
    """Term -> mean; of no replicate where it cannot be had."""
    bracket: tuple[float, float]
    """Lowest and highest physics."""
    reason: str
    """Where the learner is from, and why a term is missing."""


@dataclass(frozen=True)
class Summary:
    """The estimates, the levels beside which they are read, and what gaps are made of."""

    estimates: list[Estimate]
    levels: list[LevelRow]
    target_specificity: float
    parts: list[Parts] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object, NaN as null."""
        return plain(asdict(self))


def where(arm: Mapping[str, Level]) -> str:
    """An arm in words: names of levels as they are, numbers with their factor."""
    return ", ".join(level if isinstance(level, str) else f"{name} {level:g}" for name, level in arm.items())


def plain(value: Any) -> Any:
    """A value of JSON: NaN as null, tuples as lists, NumPy numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
