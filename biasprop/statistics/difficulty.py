"""The difficulty ledger: how hard each subgroup is before anything is pretrained, as rows that state what they rest on.

A row is the AUC of one observer in one subgroup. Rows are made by ``biasprop.observers``, kept as JSON, and read,
compared and printed without JAX; nothing that renders or trains is imported here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.special import ndtr, ndtri

from biasprop.statistics.summary import NAN, plain
from biasprop.statistics.verdict import NEGLIGIBLE, NOT_RESOLVED, leaves_out_zero, zone

if TYPE_CHECKING:
    from biasprop.statistics.areas import Areas

Kind = Literal["exact", "model", "lower", "upper", "learner", "separability"]
"""Type of a row's AUC: ``exact``, that of the ideal observer; ``lower`` or ``upper``, a bound on it; ``model``, that of
the ideal observer of a simplified model of the images; ``learner``, that of a trained network (a bound from below,
never called ideal); ``separability``, that of telling two subgroups apart."""

KINDS: tuple[str, ...] = get_args(Kind)
"""All of them, in the order of tables."""

MARGIN = 0.02
"""Difference of AUC within which two subgroups count as equally hard."""


@dataclass(frozen=True)
class Row:
    """AUC of one observer in one subgroup."""

    observer: str
    kind: Kind
    subgroups: tuple[str, ...]
    """The subgroup; for a separability, the two subgroups that are told apart."""
    auc: float
    low: float = NAN
    """95 % interval of an estimated AUC; NaN of an exact one."""
    high: float = NAN
    subjects: int = 0
    """Number of subjects it was estimated from, each rendered in every state; 0 of an exact one."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of row; {', '.join(KINDS)} are")

    @property
    def z(self) -> float:
        """sqrt(2) * inverse normal CDF of the AUC."""
        return z_of(self.auc)


@dataclass(frozen=True)
class Comparison:
    """Difference of one observer's AUC between two subgroups."""

    observer: str
    kind: Kind
    subgroups: tuple[str, str]
    value: float
    """AUC of the first minus AUC of the second."""
    low: float
    """95 % interval; the value itself where it is exact."""
    high: float
    distance: float = NAN
    """Kolmogorov-Smirnov distance between the distributions of the log-likelihood ratio, the larger of both labels;
    only of exact rows."""

    @property
    def verdict(self) -> str:
        """The zone of the difference, with the margin :data:`MARGIN`."""
        return zone(self.low, self.high, MARGIN)


@dataclass(frozen=True)
class Ledger:
    """Rows and comparisons of one generator."""

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.rows + other.rows, self.comparisons + other.comparisons)

    def bracket(self, subgroup: str) -> tuple[float, float]:
        """Lowest and highest AUC the ideal observer of a subgroup can have; equal where it is exact, [0.5, 1] at worst.

        The AUC of any observer, learners included, is a lower bound; an estimated one counts with the lower end of its
        interval.
        """
        own = [row for row in self.rows if row.subgroups == (subgroup,)]
        for row in own:
            if row.kind == "exact":
                return row.auc, row.auc
        reached = [row.auc if math.isnan(row.low) else row.low for row in own if row.kind in ("lower", "learner")]
        bounds = [row.auc for row in own if row.kind == "upper"]
        return max([0.5, *reached]), min([1.0, *bounds])

    def physics(self, pair: tuple[str, str]) -> tuple[float, float]:
        """Lowest and highest gap z(AUC of A) - z(AUC of B) of the ideal observer; equal where exact."""
        (a_low, a_high), (b_low, b_high) = (tuple(map(z_of, self.bracket(name))) for name in pair)
        return a_low - b_high, a_high - b_low

    def learner(self, pair: tuple[str, str]) -> float:
        """The trained network's gap z(AUC of A) - z(AUC of B); NaN without one."""
        found = {row.subgroups: row.z for row in self.rows if row.kind == "learner"}
        return found.get(pair[:1], NAN) - found.get(pair[1:], NAN)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, NaN as null."""
        return plain(asdict(self))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ledger:
        """Inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        return cls(
            tuple(Row(**_numbers(row)) for row in value["rows"]),
            # Ledgers of earlier versions also hold the verdict, in other words; it follows from the interval.
            tuple(Comparison(**_numbers(row, without=("verdict",))) for row in value["comparisons"]),
        )


def known(observer: str, kind: Kind, auc: Mapping[str, float], distance: Mapping[Any, float] | None = None) -> Ledger:
    """Make rows of an observer whose AUCs are known exactly, and the comparison of each pair of subgroups.

    Args:
        observer: its name in tables.
        kind: of the rows.
        auc: subgroup -> AUC.
        distance: pair of subgroups -> Kolmogorov-Smirnov distance, see :class:`Comparison`.
    """
    rows = tuple(Row(observer, kind, (name,), area) for name, area in auc.items())
    found = []
    for pair in itertools.combinations(auc, 2):
        value = auc[pair[0]] - auc[pair[1]]
        apart = (distance or {}).get(pair, NAN)
        found.append(Comparison(observer, kind, pair, value, value, value, apart))
    return Ledger(rows, tuple(found))


def estimated(observer: str, kind: Kind, subgroups: Sequence[str], areas: Areas, subjects: int) -> Ledger:
    """Make rows of an observer whose AUCs were estimated on the same subjects, and the comparison of each pair.

    Args:
        observer: its name in tables.
        kind: of the rows.
        subgroups: [k] names.
        areas: of the k subgroups.
        subjects: number of subjects.
    """
    unit = np.eye(len(subgroups))
    rows = []
    for name, weights in zip(subgroups, unit, strict=True):
        value, low, high = areas.interval(weights)
        rows.append(Row(observer, kind, (name,), value, max(low, 0.0), min(high, 1.0), subjects))
    found = []
    for (i, a), (j, b) in itertools.combinations(enumerate(subgroups), 2):
        value, low, high = areas.interval(unit[i] - unit[j])
        found.append(Comparison(observer, kind, (a, b), value, low, high))
    return Ledger(tuple(rows), tuple(found))


def separated(observer: str, pair: tuple[str, str], areas: Areas, subjects: int) -> Ledger:
    """Make the row of an observer that tells two subgroups apart.

    Args:
        observer: its name in tables.
        pair: the subgroups.
        areas: of one row.
        subjects: number of subjects.
    """
    value, low, high = areas.interval([1.0])
    return Ledger((Row(observer, "separability", pair, value, max(low, 0.0), min(high, 1.0), subjects),), ())


def equally_hard(ledger: Ledger, pair: tuple[str, str]) -> tuple[str, str]:
    """Return whether two subgroups are equally hard for the ideal observer, as a zone with the margin :data:`MARGIN`,
    and its basis.

    Exact AUCs are compared directly. Otherwise brackets that do not overlap leave out 0: ``material`` or ``present,
    size unclear``. ``negligible`` takes more than brackets that overlap: both ends must be equal, the lower ones by the
    comparison of the best lower observer. Brackets that overlap although their lower ends differ are ``not resolved``.
    """
    (a_low, a_high), (b_low, b_high) = (ledger.bracket(name) for name in pair)
    if a_low == a_high and b_low == b_high:
        return zone(a_low - b_low, a_low - b_low, MARGIN), "exact"
    lowest, highest = a_low - b_high, a_high - b_low
    if leaves_out_zero(lowest, highest):
        return zone(lowest, highest, MARGIN), "brackets do not overlap"
    tests = [c for c in ledger.comparisons if c.subgroups == pair and c.kind in ("lower", "learner")]
    best = max(tests, key=lambda test: _reached(ledger, test), default=None)
    if best is not None and best.verdict == NEGLIGIBLE and abs(a_high - b_high) < MARGIN:
        return NEGLIGIBLE, f"upper bounds, and the comparison of: {best.observer}"
    return NOT_RESOLVED, "brackets overlap" + (f"; {best.observer}: {best.verdict}" if best else "")


def _reached(ledger: Ledger, test: Comparison) -> float:
    return sum(r.auc for r in ledger.rows if r.observer == test.observer and set(r.subgroups) <= set(test.subgroups))


def normal_distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kolmogorov-Smirnov distance between two normal distributions, each (mean, sd > 0).

    The distance of their CDFs is largest where the densities cross, at the roots of a quadratic.
    """
    (m, s), (n, t) = one, other
    quadratic = [1 / s**2 - 1 / t**2, 2 * (n / t**2 - m / s**2), m**2 / s**2 - n**2 / t**2 + 2 * math.log(s / t)]
    crossings = np.roots(np.trim_zeros(quadratic, "f"))
    x = np.real(crossings[np.isreal(crossings)])
    return float(np.abs(ndtr((x - m) / s) - ndtr((x - n) / t)).max(initial=0.0))


def z_of(auc: float) -> float:
    """sqrt(2) * inverse normal CDF of an AUC; infinite at 0 and 1."""
    return float(math.sqrt(2) * ndtri(auc))


def _numbers(row: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    numbers = {name: NAN if value is None else value for name, value in row.items() if name not in without}
    return numbers | {"subgroups": tuple(row["subgroups"])}
