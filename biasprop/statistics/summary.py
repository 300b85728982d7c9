"""All numbers of a study as plain records that JSON can hold. Heavy libraries are imported only where they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.decomposition import Place
    from biasprop.statistics.estimand import Estimand, Level, Role

NAN = math.nan


@dataclass(frozen=True)
class Estimate:
    """One estimate with its intervals and verdict. NaN where the reason says so.

    ``low`` and ``high`` bound the plain 95 % interval, ``zone_low`` and ``zone_high`` the one that decides the verdict:
    for the primary estimand the same; for secondary ones at level 1 - 5 % / (number of all secondary estimates), so
    that all of them hold at once; NaN for exploratory estimates, which have no verdict.
    """

    name: str
    kind: str
    subgroups: tuple[str, ...]
    """A and B, or the one subgroup it is of, or the best and the worst of several."""
    arm: dict[str, Level]
    """Factor -> level of the arm it belongs to."""
    scale: str
    margin: float
    """The margin of its estimand, in the unit of the value; NaN without one."""
    role: Role
    replicates: int
    """How many replicates have every value the contrast needs."""
    value: float = NAN
    low: float = NAN
    high: float = NAN
    zone_low: float = NAN
    zone_high: float = NAN
    se: float = NAN
    """Monte Carlo standard error over replicates."""
    method: str = ""
    verdict: str = ""
    """Zone of a primary or secondary estimate (:func:`biasprop.statistics.verdict.zone`)."""
    reason: str = ""
    """What to know beside the numbers: why one is missing, or what the verdict leaves open."""

    @property
    def primary(self) -> bool:
        """Whether it is the primary estimate."""
        return self.role == "primary"

    def _repr_html_(self) -> str:
        """Name, value, intervals and verdict, for a notebook."""
        from biasprop.html.blocks import DescriptionList
        from biasprop.html.templates import fragment

        facts = {
            "estimand": f"{self.name} ({self.role}, {self.kind})",
            "of": place(self.subgroups, self.arm) or "the whole study",
            "value": f"{self.value:.4g} ({self.scale})",
            "95 % interval": f"[{self.low:.4g}, {self.high:.4g}]",
            "interval that decides": f"[{self.zone_low:.4g}, {self.zone_high:.4g}]",
            "margin": f"{self.margin:g}",
            "verdict": self.verdict,
            "replicates": str(self.replicates),
            "note": self.reason,
        }
        numbers = {"value": self.value, "95 % interval": self.low, "interval that decides": self.zone_low}
        left_out = {name for name, number in (numbers | {"margin": self.margin}).items() if math.isnan(number)}
        return fragment(
            [DescriptionList({name: text for name, text in facts.items() if text and name not in left_out})]
        )


class Mean(NamedTuple):
    """Mean over replicates with its 95 % t interval, and from how many replicates."""

    value: float
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class LevelRow:
    """Levels of one arm: measures of each subgroup and of the arm as a whole, and counts of missing replicates."""

    arm: dict[str, Level]
    """Factor -> level."""
    replicates: int
    """Number of replicates whose planned draws are all there."""
    missing: dict[str, int]
    """Replicates with a draw that diverged, failed, or has not run."""
    moved: int
    """Number of AUCs of 0 or 1 that were moved by half a pair before z was taken."""
    subgroups: dict[str, dict[str, Mean]]
    """Subgroup -> measure -> mean."""
    compared: tuple[str, ...]
    """A and B of the gaps; empty if there is only one subgroup."""
    across: dict[str, Mean]
    """Measure -> mean; gaps are A - B."""
    levelling_down: bool | None
    """Whether the gap is smaller than at the reference only because the better subgroup lost; None: no reference."""


@dataclass(frozen=True)
class AgainstMean:
    """One subgroup against the mean of all subgroups that an estimand compares, at one arm."""

    name: str
    """Of the estimand."""
    arm: dict[str, Level]
    """Factor -> level."""
    scale: str
    subgroup: str
    mean: Mean
    """Value of the subgroup minus the mean of all, positive if it is better; the intervals of all subgroups of an arm
    hold at once in 95 % of studies, at least."""


@dataclass(frozen=True)
class OnScales:
    """One estimate on every scale of its metric."""

    name: str
    """Of the estimand."""
    subgroups: tuple[str, ...]
    arm: dict[str, Level]
    """Factor -> level."""
    scales: dict[str, Mean]
    """Scale -> value with its plain 95 % interval; NaN where the scale is not defined."""
    reasons: dict[str, str]
    """Scale -> why there is no value; scales that have one are left out."""
    disagree: bool
    """Whether intervals that leave out 0 have different signs."""


@dataclass(frozen=True)
class Parts:
    """Terms of a gap on z: means over the replicates that have all of them."""

    arm: dict[str, Level]
    swap: Mean
    """Swap contrast of the arm's budget and protocol; NaN from 0 replicates where no estimand has one."""
    terms: dict[str, Mean]
    """Term -> mean; NaN from 0 replicates where it is not known."""
    bracket: tuple[float, float]
    """Lowest and highest possible value of the term ``physics``."""
    reason: str
    """Source of the term ``learner``, and why a term is missing."""


@dataclass(frozen=True)
class Summary:
    """Estimates, the levels they are read beside, and the terms of gaps."""

    estimates: list[Estimate]
    levels: list[LevelRow]
    target_specificity: float
    parts: list[Parts] = field(default_factory=list)
    against_mean: list[AgainstMean] = field(default_factory=list)
    """Subgroups of the estimands that compare all of them."""
    scales: list[OnScales] = field(default_factory=list)
    """Differences on z, again on the other scales of the AUC."""

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON object, NaN as null."""
        return plain(asdict(self))


def summary_of(measures: xr.Dataset, estimands: Sequence[Estimand], places: Sequence[Place] = ()) -> Summary:
    """Compute everything in a summary from measures.

    Args:
        measures: from ``statistics.measures.measure``; its cube may be partly filled.
        estimands: of the study.
        places: arms whose gap is decomposed.
    """
    from biasprop.statistics.against_mean import against_mean
    from biasprop.statistics.decomposition import decompose
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.levels import compared, levels
    from biasprop.statistics.scales import on_scales

    pair = compared(measures, estimands)
    parts = decompose(measures, places, pair, estimands) if pair else []
    target_specificity = measures.attrs["target_specificity"]
    return Summary(
        estimates(measures, estimands),
        levels(measures, estimands),
        target_specificity,
        parts,
        against_mean(measures, estimands),
        on_scales(measures, estimands),
    )


def where(arm: Mapping[str, Level]) -> str:
    """Return an arm in words: names of levels as they are, numbers with their factor."""
    return ", ".join(level if isinstance(level, str) else f"{name} {level:g}" for name, level in arm.items())


def place(subgroups: Sequence[str], arm: Mapping[str, Level]) -> str:
    """Return what an estimate is of in words: its arm, and before it the subgroup if it is of a single one."""
    return ", ".join([*subgroups[: len(subgroups) == 1], *filter(None, [where(arm)])])


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinity as null, tuples as lists, NumPy numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
