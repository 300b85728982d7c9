"""An audit as blocks of HTML, for a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from biasprop.html.blocks import Block, Paragraphs, Table

if TYPE_CHECKING:
    from biasprop.statistics.audit_result import Audit

MAX_ROWS = 60
"""Most rows of each table; the tables of the audit have all."""
COUNTS = ("n", "n_positive", "n_missing")


def audit_blocks(audit: Audit) -> Iterator[Block]:
    """Return a table of measures by group, one of the contrasts with a verdict, and where the threshold is from."""
    values = audit.by_group.reset_index()
    measures = [str(name) for name in values.columns[2:]]
    rows: Any = values.to_dict("records")
    yield Table(
        "Measures by group",
        ["attribute", "group", *measures],
        [[row["attribute"], row["group"], *(_shown(row[name], name) for name in measures)] for row in rows[:MAX_ROWS]],
        names=2,
        notes=_more(len(rows)),
    )
    contrasts: Any = audit.contrasts.to_dict("records")
    judged = [row for row in contrasts if row["verdict"]]
    if judged:
        yield Table(
            "Gaps with a verdict: first minus second group; intervals hold for all contrasts of a measure at once",
            ["gap", "measure", "value", "low", "high", "margin", "verdict"],
            [_contrast(row) for row in judged[:MAX_ROWS]],
            names=2,
            text=frozenset({6}),
            notes=_more(len(judged)),
        )
    if not math.isnan(audit.threshold):
        yield Paragraphs([f"Threshold: {audit.threshold:.6g} ({audit.threshold_origin})."])


def _contrast(row: dict[str, Any]) -> list[str]:
    numbers = [f"{row[name]:+.3f}" for name in ("value", "adjusted_low", "adjusted_high")]
    gap = f"{row['attribute']}: {row['group']} - {row['against']}"
    return [gap, row["metric"], *numbers, f"{row['margin']:g}", row["verdict"]]


def _shown(value: float, name: str) -> str:
    if name in COUNTS:
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:.3f}"


def _more(rows: int) -> list[str]:
    return [f"{rows - MAX_ROWS:,} more rows."] if rows > MAX_ROWS else []
