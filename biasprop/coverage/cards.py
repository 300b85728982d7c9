"""Operating characteristics of an adoption card: how often it flags and clears a model whose gap is known.

The scores of simulated people are binormal, and the model is audited in two groups of as many people; what is said of
the gap on z is decided as in a card (:func:`biasprop.statistics.verdict.decision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biasprop.coverage import ERRORS, TOLERANCE
from biasprop.coverage.simulated import normal_values
from biasprop.coverage.verdicts import margin_of
from biasprop.metrics import z_of_auc
from biasprop.statistics.extreme_groups import resolvable
from biasprop.statistics.group_intervals import Spread, difference, z_of_area
from biasprop.statistics.tests import ALPHA
from biasprop.statistics.verdict import CLEAR, FLAG, decision

PEOPLE = (50, 100, 200, 500, 1_000, 4_000)
"""People in each group; the last number shows what it takes to clear a model."""
DISEASED = 0.3
"""Share of them who are diseased."""
BETTER = 1.47
"""True z of the better group: an AUC of 0.85."""
MARGINS = (1.0, 3.0)
"""In default margins of a gap."""
GAPS = (0.0, 1.0, 2.0)
"""True gaps, in margins."""
FEWER = 2
"""Areas of many people take time, so one study in so many is used, but at least 100."""
MAX_PEOPLE = 5_000_000
"""People of a group in all studies; of more, fewer studies are used."""
BLOCK = 500
"""Studies whose areas are computed at a time."""


@dataclass(frozen=True)
class CardRate:
    """What a card says in simulated studies with one true gap."""

    people: int
    """In each group."""
    margin: float
    gap: float
    """The truth, in margins."""
    flag: float
    """Share of studies in which the gap is flagged."""
    clear: float
    """Share in which it is cleared."""
    coverage: float
    """Share of those with an interval in which it contains the truth."""
    given: float
    """Share in which there is an interval."""
    shown: float
    """Median gap that would have been found with a probability of 80 %."""
    studies: int
    offered: bool = True

    @property
    def passes(self) -> bool:
        """Whether a gap of the margin or less is flagged, and one of the margin or more cleared, in at most 5 % of the
        studies, and the interval covers; within :data:`ERRORS`."""
        error = (ALPHA * (1 - ALPHA) / self.studies) ** 0.5
        wrong = max(self.flag if self.gap <= 1 else 0.0, self.clear if self.gap >= 1 else 0.0)
        return wrong <= ALPHA + ERRORS * error and self.coverage >= 1 - ALPHA - TOLERANCE - ERRORS * error


def rates(seed: int, studies: int, people: Sequence[int] = PEOPLE) -> list[CardRate]:
    """Count what a card says of gaps.

    Args:
        seed: of the simulated people.
        studies: how many; of these, one in :data:`FEWER` is used, and fewer of many people.
        people: numbers of people in each group.
    """
    unit = margin_of("gap")
    found = []
    for n in people:
        count = max(min(studies // FEWER, MAX_PEOPLE // n), 100)
        normal = normal_values(seed, (count, 2, n))
        diseased = round(DISEASED * n)
        better = _spread(normal[:, 0], diseased, BETTER)
        for margin in MARGINS:
            for gap in GAPS:
                worse = _spread(normal[:, 1], diseased, BETTER - gap * margin * unit)
                found.append(_rate(better, worse, n, margin * unit, gap))
    return sorted(found, key=lambda rate: (rate.margin, rate.gap, rate.people))


def lines(found: Sequence[CardRate]) -> list[str]:
    """A table: what is said by margin and true gap, one column for each number of people."""
    counts = sorted({rate.people for rate in found})
    text = [
        f"What an adoption card says of a gap on z between two groups, % of {found[0].studies} simulated models",
        f"({found[-1].studies} of most people): binormal scores, AUC 0.85 in the better group, {100 * DISEASED:g} %",
        "diseased. At most 5 % may be flagged at a gap of the margin or less, and cleared at the margin or more; ! =",
        "it fails. Last line: the gap that would have shown with a probability of 80 %, median.",
        f"{'people in each group':<60}" + "".join(f"{n:>10,}" for n in counts),
    ]
    for margin in sorted({rate.margin for rate in found}):
        for gap in sorted({rate.gap for rate in found}):
            group = [rate for rate in found if (rate.margin, rate.gap) == (margin, gap)]
            name = f"margin {margin:g}, true gap {gap * margin:g}"
            for word in ("flag", "clear", "coverage"):
                cells = (f"{100 * getattr(rate, word):.1f}{'' if rate.passes else '!'}" for rate in group)
                text.append(f"{f'{name}: {word}':<60}" + "".join(f"{cell:>10}" for cell in cells))
    least = [next(rate for rate in found if rate.people == n) for n in counts]
    return [*text, f"{'gap that would have shown':<60}" + "".join(f"{rate.shown:>10.2f}" for rate in least)]


def _rate(better: Spread, worse: Spread, people: int, margin: float, gap: float) -> CardRate:
    first, second = ((spread.value, *z_of_area(spread, ALPHA)) for spread in (better, worse))
    value = better.value - worse.value
    low, high = difference(first, second, np.zeros(len(value)))
    size = resolvable(value, low, high, ALPHA)
    said = [decision(a, b, margin, least) for a, b, least in zip(low, high, size, strict=True)]
    known = low <= high
    inside = (low <= gap * margin) & (gap * margin <= high)
    return CardRate(
        people=people,
        margin=margin,
        gap=gap,
        flag=said.count(FLAG) / len(said),
        clear=said.count(CLEAR) / len(said),
        coverage=float(inside[known].mean()),
        given=float(known.mean()),
        shown=float(np.median(size[known])),
        studies=len(said),
    )


def _spread(normal: NDArray[np.float64], diseased: int, z: float) -> Spread:
    """The z of each study, with DeLong's variance of its AUC: standard normal values [study, person] of one group, of
    whom the first so many are diseased, with a true ``z``."""
    blocks = [
        areas(np.sort(part[:, :diseased] + z, axis=1), np.sort(part[:, diseased:], axis=1))
        for part in np.split(normal, range(BLOCK, len(normal), BLOCK))
    ]
    area, variance = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    n = np.full(len(area), float(normal.shape[1]))
    value, _ = z_of_auc(area, n, np.full(len(area), diseased))
    return Spread(value, variance, np.eye(1), n, n, np.full(len(area), np.inf))


def areas(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """AUC and DeLong's variance of many studies at once.

    Args:
        positive, negative: [study, person] scores without ties, in increasing order within a study.

    Returns:
        Areas and variances [study].
    """
    beaten = _share_below(negative, positive)
    beaten_by = 1.0 - _share_below(positive, negative)
    p, m = positive.shape[1], negative.shape[1]
    return beaten.mean(axis=1), beaten.var(axis=1, ddof=1) / p + beaten_by.var(axis=1, ddof=1) / m


def _share_below(ordered: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the ordered values of a study that lie below each value [study, value]."""
    # One search for all studies: each is moved beyond the one before.
    apart = 2.0 * max(np.abs(ordered).max(), np.abs(values).max()) + 1.0
    place = apart * np.arange(len(ordered))[:, None]
    ranks = np.searchsorted((ordered + place).ravel(), (values + place).ravel()).reshape(values.shape)
    return (ranks - ordered.shape[1] * np.arange(len(ordered))[:, None]) / ordered.shape[1]
