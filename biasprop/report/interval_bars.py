"""Estimates as rows with a bar each: on pages, in notebooks, and the axes of the forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from biasprop.estimands import ESTIMANDS
from biasprop.html.blocks import IntervalBar, Table
from biasprop.metrics import SCALES
from biasprop.report.answer import ROLES
from biasprop.report.tables import DASH, bounds, number
from biasprop.statistics.summary import Estimate, place
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED, UNCLEAR

MEANINGS = {
    MATERIAL: "wholly beyond the margin",
    NEGLIGIBLE: "wholly inside the margin",
    UNCLEAR: "leaves out 0",
    NOT_RESOLVED: "neither beyond nor inside the margin, and includes 0",
}
"""Verdict -> where the interval that decides lies; the first that applies."""
RULE = f"the first of these that applies. {'; '.join(f'{verdict}: {where}' for verdict, where in MEANINGS.items())}."
"""End of a sentence on how a verdict is decided."""


def ordered(estimates: Sequence[Estimate], most: int | None = None) -> list[Estimate]:
    """Return the first estimates, of all of them by role: primary, secondary, exploratory."""
    return sorted(estimates, key=lambda estimate: ROLES.index(estimate.role))[:most]


def by_unit(estimates: Sequence[Estimate]) -> dict[str, list[Estimate]]:
    """Return estimates by what can share an axis: unit in words -> its estimates."""
    found: dict[str, list[Estimate]] = {}
    for estimate in estimates:
        found.setdefault(_unit(estimate), []).append(estimate)
    return found


def limits(rows: Sequence[Estimate]) -> tuple[float, float]:
    """Return ends of an axis that includes 0, the margin and every plain interval; intervals that decide are cut if
    they are much wider."""
    margin = max((row.margin for row in rows if row.role != "exploratory"), default=0.0)
    plain_ends = np.array([[row.value, row.low, row.high] for row in rows], float)
    known = np.append(plain_ends[np.isfinite(plain_ends)], [-margin, margin, 0.0])
    room = 0.4 * np.ptp(known) or 1.0
    thin = np.array([[row.zone_low, row.zone_high] for row in rows], float)
    known = np.append(known, np.clip(thin[np.isfinite(thin)], known.min() - room, known.max() + room))
    pad = 0.04 * np.ptp(known) or 1.0
    return float(known.min() - pad * (margin > 0)), float(known.max() + pad)


def ends(axis: tuple[float, float]) -> str:
    """Return the ends of an axis in words."""
    return " to ".join(number(end, 2, signed=True) for end in axis)


def in_words(verdict: str) -> str:
    """Return a verdict with its meaning; a dash if there is none."""
    return f"{verdict}: {MEANINGS[verdict]}" if verdict in MEANINGS else verdict or DASH


def bar_tables(estimates: Sequence[Estimate]) -> list[Table]:
    """Return estimates with bars, a table for each unit.

    Args:
        estimates: of a study, in the order of the rows.
    """
    return [_table(unit, rows) for unit, rows in by_unit(estimates).items()]


def _unit(estimate: Estimate) -> str:
    from biasprop.report.plotting import plain

    if unit := ESTIMANDS[estimate.kind].unit:
        return f"{plain(estimate.kind)} ({unit})"
    scale = SCALES[estimate.scale]
    return f"difference in {scale.long_name}" + (f" ({scale.unit})" if scale.unit else "")


def _table(unit: str, rows: Sequence[Estimate]) -> Table:
    axis = limits(rows)
    band = "; band: margin" if any(row.role != "exploratory" for row in rows) else ""
    caption = (
        f"{unit[:1].upper()}{unit[1:]}. Bars run from {ends(axis)}; line: 0{band}; thick: 95 % interval; "
        "thin: the interval that decides; arrow: it continues."
    )
    reasons = list(dict.fromkeys(row.reason for row in rows if row.reason))
    notes = [f"{i}: {reason}" for i, reason in enumerate(reasons, 1)]
    adjusted = any(row.role == "secondary" for row in rows)
    head = ["estimand", "arm", "verdict", "bar", "value", "95 % interval", *(["deciding interval"] * adjusted)]
    cells = [_cells(row, axis, adjusted, reasons) for row in rows]
    text = frozenset({1, 2, 3, len(head)})
    return Table(caption, [*head, "role", "replicates"], cells, text=text, notes=notes)


def _cells(row: Estimate, axis: tuple[float, float], adjusted: bool, reasons: Sequence[str]) -> list[Any]:
    kind = ESTIMANDS[row.kind]
    value = number(row.value, kind.digits, kind.tested)
    interval = bounds(row.low, row.high, kind.tested, kind.digits)
    decides = bounds(row.zone_low, row.zone_high, kind.tested, kind.digits)
    verdict = in_words(row.verdict)
    said = [f"{value}, 95 % interval {interval}"]
    if decides not in (DASH, interval):
        said.append(f"interval that decides {decides}")
    margin = row.margin if row.role != "exploratory" else math.nan
    said += [f"margin {margin:g}"] if margin > 0 else []
    said += [verdict] if row.verdict else []
    drawn = IntervalBar(
        value=row.value,
        plain=(row.low, row.high),
        deciding=(row.zone_low, row.zone_high),
        margin=margin,
        axis=axis,
        words=", ".join(said),
        verdict=row.verdict,
    )
    note = f" ({reasons.index(row.reason) + 1})" if row.reason else ""
    where = place(row.subgroups, row.arm) or DASH
    numbers = [value, interval, *([decides] * adjusted)]
    return [row.name, where, verdict + note, drawn, *numbers, row.role, str(row.replicates)]
