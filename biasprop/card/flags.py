"""Flag, clear or cannot tell: what an audit says of each gap that has a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biasprop.report.tables import number
from biasprop.statistics.audit_result import OVERALL, Audit
from biasprop.statistics.estimand import MARGIN
from biasprop.statistics.verdict import CANNOT_TELL, CLEAR, FLAG, MATERIAL, NEGLIGIBLE, decision, zone

DEFAULT_MEASURE, DEFAULT_MARGIN = "z", MARGIN
"""The measure that has a margin where none is stated, and the margin."""
MAX_UNKNOWN = 0.05
"""Share of rows that may lack a group, or of a group's rows that may lack a score or label, before they are listed:
those without need not be like the others."""
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
        pair = [counts[row["attribute"], row[name]] for name in ("group", "against")]
        low, high, margin, resolvable = (row[k] for k in ("adjusted_low", "adjusted_high", "margin", "resolvable"))
        found.append(
            Flag(
                **{name: row[name] for name in ("attribute", "group", "against", "metric", "value", "margin")},
                low=low,
                high=high,
                resolvable=resolvable,
                n=(pair[0][0], pair[1][0]),
                n_positive=(pair[0][1], pair[1][1]),
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
    counts, undefined, unscored = _counts(audit), _undefined(audit, {flag.metric for flag in said}), _unscored(audit)
    found = []
    for (attribute, group), (n, n_positive) in counts.items():
        own = [flag for flag in said if flag.attribute == attribute and group in (flag.group, flag.against)]
        limiting = [flag for flag in own if group in _smaller(flag)]
        why = ""
        if attribute == OVERALL:
            continue
        if n == 0 and unscored[attribute, group]:
            why = "none of its rows has both a score and a label"
        elif n == 0:
            why = "nobody of it is in the table"
        elif (attribute, group) in undefined:
            why = undefined[attribute, group]
        elif not own:
            why = "is in no gap that was measured" if attribute in expected else ""
        elif limiting and not any(flag.resolvable <= flag.margin or flag.decision == FLAG for flag in limiting):
            sizes = [(flag.resolvable, flag.margin) for flag in limiting if flag.resolvable > 0]
            size, margin = min(sizes, key=lambda pair: pair[0] / pair[1], default=(math.nan, math.nan))
            why = f"too few: it could have resolved a gap of {number(size)}, and the margin is {margin:g}"
        unknown = _share(unscored[attribute, group], n)
        if n and unknown > MAX_UNKNOWN:
            lack = f"{100 * unknown:.0f} % of its rows have no score or no label"
            why = f"{lack}; {why}" if why else lack
        if why:
            found.append(Untested(attribute, group, n, n_positive, why))
    found += _without_group(audit, counts, unscored)
    named = [(attribute, group) for attribute, groups in expected.items() for group in sorted(groups)]
    missing = [key for key in named if key not in counts]
    return [*found, *(Untested(*key, 0, 0, "is stated, and nobody of it is in the table") for key in missing)]


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


def _counts(audit: Audit) -> dict[tuple[str, str], tuple[int, int]]:
    """Attribute and group -> entries that count, and those with disease."""
    rows: Any = audit.estimates.to_dict("records")
    return {(row["attribute"], row["group"]): (int(row["n"]), int(row["n_positive"])) for row in rows}


def _unscored(audit: Audit) -> dict[tuple[str, str], int]:
    """Attribute and group -> rows that lack a score or label."""
    rows: Any = audit.estimates.to_dict("records")
    return {(row["attribute"], row["group"]): int(row["n_missing"]) for row in rows}


def _without_group(
    audit: Audit, counts: Mapping[tuple[str, str], tuple[int, int]], unscored: Mapping[tuple[str, str], int]
) -> list[Untested]:
    """The rows without a group of each attribute where they are many, with those that have a score and a label."""
    found = []
    for attribute, lacking in audit.without_group.items():
        groups = [key for key in counts if key[0] == attribute]
        share = _share(lacking, sum(counts[key][0] + unscored[key] for key in groups))
        if share > MAX_UNKNOWN:
            everybody = next(count for key, count in counts.items() if key[0] == OVERALL)
            n, n_positive = (everybody[i] - sum(counts[key][i] for key in groups) for i in range(2))
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
