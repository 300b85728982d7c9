"""Flag, clear or cannot tell: what an audit says of each gap that has a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from biasprop.report.tables import number
from biasprop.statistics.audit_result import OVERALL, Audit
from biasprop.statistics.estimand import MARGIN
from biasprop.statistics.verdict import CANNOT_TELL, CLEAR, FLAG, MATERIAL, NEGLIGIBLE, decision, zone

DEFAULT_MEASURE, DEFAULT_MARGIN = "z", MARGIN
"""The measure that has a margin where none is stated, and the margin."""
MAX_UNKNOWN = 0.05
"""Share of rows that may lack a group, or of a group's rows that may lack a score or label, before they are listed:
those without need not be like the others."""
NOT_THERE = "has no rows in the table"
"""Why a group without rows is not tested."""
NO_GROUP = "(no group)"
"""Name of the rows of an attribute whose group is not known."""


@dataclass(frozen=True)
class Flag:
    """A gap between two groups, and what is said of it."""

    attribute: str
    group: str
    against: str
    metric: str
    value: float
    """Of ``group`` minus ``against``; NaN = undefined."""
    low: float
    high: float
    """The interval that decides; it holds for all gaps of the measure at once."""
    margin: float
    resolvable: float
    """Size of a true gap that would have been found with a probability of 80 %; NaN = unknown."""
    n: tuple[int, int]
    """Entries of both groups that count."""
    n_positive: tuple[int, int]
    """Those with disease."""
    decision: str
    """"flag", "clear" or "cannot tell"."""
    why: str


@dataclass(frozen=True)
class Untested:
    """A group of which no gap could be measured, or of which none could be told from the margin, or many rows of which
    could not be used; or the rows without a group (:data:`NO_GROUP`)."""

    attribute: str
    group: str
    n: int
    n_positive: int
    why: str


def flags(audit: Audit) -> list[Flag]:
    """Return what is said of every gap that has a margin, flagged ones first.

    Args:
        audit: result of ``biasprop.audit_scores``.
    """
    counts = _counts(audit)
    found = []
    rows: Any = audit.contrasts.to_dict("records")
    for row in rows:
        if not row["margin"] > 0:
            continue
        first, second = (counts[row["attribute"], row[name]] for name in ("group", "against"))
        low, high, margin, resolvable = (row[k] for k in ("adjusted_low", "adjusted_high", "margin", "resolvable"))
        found.append(
            Flag(
                **{name: row[name] for name in ("attribute", "group", "against", "metric", "value", "margin")},
                low=low,
                high=high,
                resolvable=resolvable,
                n=(first.n, second.n),
                n_positive=(first.n_positive, second.n_positive),
                decision=decision(low, high, margin, resolvable),
                why=_why(low, high, margin, resolvable, row["reason"]),
            )
        )
    order = {FLAG: 0, CANNOT_TELL: 1, CLEAR: 2}
    return sorted(found, key=lambda flag: order[flag.decision])


def untested(audit: Audit, said: list[Flag], expected: Mapping[str, set[str]]) -> list[Untested]:
    """Return the groups that are not tested, are too small to tell a gap of the margin, or lack many scores or labels;
    and the rows without a group, if they are many (more than :data:`MAX_UNKNOWN`).

    Args:
        audit: result of ``biasprop.audit_scores``.
        said: from :func:`flags`.
        expected: attribute -> groups that are expected (in the stated population, or among stated data), of all
            attributes but the intersection.
    """
    counts, undefined = _counts(audit), _undefined(audit, {flag.metric for flag in said})
    found = []
    for (attribute, group), count in counts.items():
        if attribute == OVERALL:
            continue
        reasons = [_unknown(count)] if count.n else []
        if count.n == 0:
            reasons.append("none of its rows has both a score and a label" if count.missing else NOT_THERE)
        elif (attribute, group) in undefined:
            reasons.append(undefined[attribute, group])
        else:
            own = [flag for flag in said if flag.attribute == attribute and group in (flag.group, flag.against)]
            unmeasured = "is in no gap that was measured" if attribute in expected else ""
            reasons.append(_too_few(own, group) if own else unmeasured)
        if why := "; ".join(filter(None, reasons)):
            found.append(Untested(attribute, group, count.n, count.n_positive, why))
    found += _without_group(audit, counts)
    named = [(attribute, group) for attribute, groups in expected.items() for group in sorted(groups)]
    missing = [key for key in named if key not in counts]
    return [*found, *(Untested(*key, 0, 0, f"is stated, and {NOT_THERE}") for key in missing)]


def overall(said: list[Flag], missing: list[Untested]) -> str:
    """Return what is said of all gaps together: cleared only if every gap is, and no group is untested."""
    if any(flag.decision == FLAG for flag in said):
        return FLAG
    return CLEAR if said and not missing and all(flag.decision == CLEAR for flag in said) else CANNOT_TELL


def counted(said: list[Flag]) -> dict[str, int]:
    """Return how many gaps are flagged, cleared and open."""
    return {word: sum(flag.decision == word for flag in said) for word in (FLAG, CLEAR, CANNOT_TELL)}


def _smaller(flag: Flag) -> tuple[str, ...]:
    """The group with fewer entries, which limits what a comparison can show; both if they have as many."""
    a, b = flag.n
    return (flag.group, flag.against) if a == b else ((flag.group,) if a < b else (flag.against,))


def _too_few(own: Sequence[Flag], group: str) -> str:
    """Why none of a group's gaps in which it is the smaller group could be told from its margin; empty if one could."""
    limiting = [flag for flag in own if group in _smaller(flag)]
    if not limiting or any(flag.resolvable <= flag.margin or flag.decision == FLAG for flag in limiting):
        return ""
    sizes = [(flag.resolvable, flag.margin) for flag in limiting if flag.resolvable > 0]
    size, margin = min(sizes, key=lambda pair: pair[0] / pair[1], default=(math.nan, math.nan))
    return f"too few: it could have resolved a gap of {number(size)}, and the margin is {margin:g}"


class _Count(NamedTuple):
    """Entries of a group that count, those of them with disease, and rows that lack a score or label."""

    n: int
    n_positive: int
    missing: int


def _counts(audit: Audit) -> dict[tuple[str, str], _Count]:
    """Attribute and group -> its counts."""
    rows: Any = audit.estimates.to_dict("records")
    names = ("n", "n_positive", "n_missing")
    return {(row["attribute"], row["group"]): _Count(*(int(row[name]) for name in names)) for row in rows}


def _unknown(count: _Count) -> str:
    """What many rows of a group lack; empty if they are few."""
    share = _share(count.missing, count.n)
    return f"{100 * share:.0f} % of its rows have no score or no label" if share > MAX_UNKNOWN else ""


def _without_group(audit: Audit, counts: Mapping[tuple[str, str], _Count]) -> list[Untested]:
    """The rows without a group of each attribute where they are many, with those that have a score and a label."""
    found = []
    for attribute, lacking in audit.without_group.items():
        groups = [count for (name, _), count in counts.items() if name == attribute]
        share = _share(lacking, sum(count.n + count.missing for count in groups))
        if share > MAX_UNKNOWN:
            whole = next(count for (name, _), count in counts.items() if name == OVERALL)
            n = whole.n - sum(count.n for count in groups)
            n_positive = whole.n_positive - sum(count.n_positive for count in groups)
            why = f"{100 * share:.0f} % of all rows have no {attribute}, and are in no gap of it"
            found.append(Untested(attribute, NO_GROUP, n, n_positive, why))
    return found


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part else 0.0


def _undefined(audit: Audit, metrics: set[str]) -> dict[tuple[str, str], str]:
    """Attribute and group -> why one of the measures is undefined or has no interval."""
    rows: Any = audit.estimates.to_dict("records")
    return {
        (row["attribute"], row["group"]): row["reason"] or "no interval"
        for row in rows
        if row["metric"] in metrics and not row["low"] <= row["high"]
    }


def _why(low: float, high: float, margin: float, resolvable: float, reason: str) -> str:
    """What decides, in words."""
    if not low <= high:
        return reason or "no interval"
    found = zone(low, high, margin)
    if found == MATERIAL:
        return "wholly beyond the margin"
    if found == NEGLIGIBLE and resolvable <= margin:
        return f"within the margin; a gap of {number(resolvable)} is detectable with 80 %"
    if found == NEGLIGIBLE:
        return f"within the margin, but only a gap of {number(resolvable)} or more is detectable with 80 %"
    return f"interval crosses the margin; a gap of {number(resolvable)} is detectable with 80 %"
