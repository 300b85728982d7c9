"""Coverage of intervals against the number of replicates, with a band of what passes the check.

Not a figure of a study and not in the table of figures: it shows what ``python -m biasprop.coverage`` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.report.plotting import ARM_COLOURS, DOUBLE, GREY, INK, MARKERS, PALE, legend, page, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.coverage.intervals import Row

LOWEST = 0.80
"""Coverage below this is drawn at the edge."""


@style()
def draw(rows: Sequence[Row], tolerance: float, errors: float) -> Figure:
    """Draw intervals that the package offers (left) and those it does not (right), one line per estimand and interval.

    Args:
        rows: from ``biasprop.coverage.intervals.rows``; those that may cover more than their level are left out.
        tolerance: half-width of the band without Monte Carlo error.
        errors: what Monte Carlo error adds to it, in standard errors.
    """
    rows = [row for row in rows if not row.at_least]
    figure = page(DOUBLE, 3.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    level, half = rows[0].level, tolerance + errors * min(row.error for row in rows)
    for axes, offered, title in zip(panels, (True, False), ("offered by the package", "not offered"), strict=True):
        axes.axhspan(level - half, level + half, color=PALE, linewidth=0, zorder=-2)
        axes.axhline(level, color=INK, linewidth=0.6, zorder=-1)
        axes.set_title(title)
        axes.set_xlabel("replicates")
        _panel(axes, [row for row in rows if row.offered == offered], by_interval=not offered)
    panels[0].set_ylabel("share of studies whose interval contains the truth")
    panels[0].set_ylim(LOWEST - 0.01, 1.005)
    ticks = sorted({row.replicates for row in rows})
    panels[0].set_xscale("log")
    panels[0].set_xticks(ticks, [str(n) for n in ticks])
    panels[0].minorticks_off()
    legend(figure, 4)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], *, by_interval: bool) -> None:
    """Colours distinguish estimands among offered intervals, and intervals among the others."""
    groups = list(dict.fromkeys((row.interval, row.estimand) for row in rows))
    names = list(dict.fromkeys(_name(row, by_interval) for row in rows))
    for group in groups:
        drawn = [row for row in rows if (row.interval, row.estimand) == group]
        k = names.index(_name(drawn[0], by_interval))
        axes.plot(
            [row.replicates for row in drawn],
            np.maximum([row.coverage for row in drawn], LOWEST),
            marker=MARKERS[k % len(MARKERS)],
            color=(*ARM_COLOURS, "#0072B2", "#D55E00", GREY)[k % 6],
            linestyle="--" if by_interval else "-",
            linewidth=0.8,
            label=names[k],
        )


def _name(row: Row, by_interval: bool) -> str:
    return f"{row.interval} ({row.estimand.partition(',')[0]})" if by_interval else row.estimand.partition(",")[0]
