"""Table of contrasts on every scale of their metric, which shows where scales disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biasprop.report.tables import DASH, empty_table, heading, with_interval
from biasprop.statistics.summary import OnScales, place

if TYPE_CHECKING:
    from rich.table import Table


def scales_table(rows: Sequence[OnScales]) -> Table:
    """Return the same contrasts on every scale side by side.

    Args:
        rows: of a summary, at least one.
    """
    from biasprop.metrics import SCALES

    table = empty_table(
        "Scales: each contrast on every scale of its metric, mean over replicates [plain 95 % t interval]"
    )
    for name in ("estimand", "arm"):
        table.add_column(name, overflow="fold")
    names = list(dict.fromkeys(name for row in rows for name in row.scales))
    for name in names:
        table.add_column(heading(SCALES[name].long_name), justify="right", no_wrap=True)
    table.add_column("signs", no_wrap=True)
    table.add_column("note", justify="right", no_wrap=True)
    notes: dict[str, int] = {}
    for row in rows:
        cells = [with_interval(row.scales[name], signed=True) if name in row.scales else DASH for name in names]
        numbers = [notes.setdefault(reason, len(notes) + 1) for reason in dict.fromkeys(row.reasons.values())]
        where = place(row.subgroups, row.arm) or DASH
        table.add_row(row.name, where, *cells, _signs(row), ", ".join(map(str, numbers)))
    table.caption = "\n".join(
        [
            "signs: disagree = intervals that leave out 0 have different signs, so that the sign of the effect depends "
            "on the scale; some = intervals leave out 0 on some scales only, which need not mean that the effects "
            "differ.",
            *(f"{number:>3} {note}" for note, number in notes.items()),
        ]
    )
    table.caption_justify = "left"
    return table


def _signs(row: OnScales) -> str:
    """Return what the intervals on the scales that are defined say together."""
    if row.disagree:
        return "disagree"
    known = [mean for mean in row.scales.values() if not math.isnan(mean.low)]
    return "some" if len({mean.low > 0 or mean.high < 0 for mean in known}) > 1 else ""
