"""Measures by group of an audit, one panel per measure; and results that others have computed.

Not figures of a study and not in the table of figures: ``python -m biasprop.audit --figure`` and ``--html`` draw them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.metrics import SCALES
from biasprop.report.audit_tables import group_name
from biasprop.report.plotting import DOUBLE, GREY, INK, SUBGROUP_COLOURS, page, plain, style
from biasprop.statistics.audit_result import OVERALL
from biasprop.terminal import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.audit_result import Audit

CAPTION = (
    "Every measure by group, with its interval. Hollow: without an interval; no point: undefined. Dashed: a calibrated "
    "model, or the net benefit of treating no one."
)
AGGREGATE_CAPTION = "Means as they were given. Bars: one standard deviation on each side, which is no interval."

COLUMNS = 3
"""Panels beside each other."""
ROW = 0.19
"""Height of one group, inches."""
MAX_ROWS = 60
"""Groups that are drawn; more could not be read."""
REFERENCE = {"calibration_intercept": 0.0, "calibration_slope": 1.0, "net_benefit": 0.0}
"""Measure -> value of a calibrated model, or of treating no one."""


@style()
def draw(audit: Audit) -> Figure:
    """Draw every measure of every group with its interval; a group in which it is undefined has no point,
    and one without an interval a hollow one.

    Args:
        audit: result of ``biasprop.audit_scores``; its first 60 groups are drawn.
    """
    found = audit.estimates[audit.estimates["metric"] != "z"]
    groups = list(dict.fromkeys(zip(found["attribute"], found["group"], strict=True)))[:MAX_ROWS]
    names = [group_name(*one) for one in groups]
    attributes = list(dict.fromkeys(attribute for attribute, _ in groups))
    colours = [INK if a == OVERALL else SUBGROUP_COLOURS[attributes.index(a) % 4] for a, _ in groups]
    metrics = list(dict.fromkeys(found["metric"]))
    figure, panels = _panels(len(metrics), names)
    by_cell = found.set_index(["metric", "attribute", "group"])[["value", "low", "high"]]
    for axes, metric in zip(panels, metrics, strict=False):
        if metric in REFERENCE:
            axes.axvline(REFERENCE[metric], color=GREY, linewidth=0.6, linestyle="--", zorder=0)
        for y, (cell, colour) in enumerate(zip(groups, colours, strict=True)):
            value, low, high = by_cell.loc[(metric, *cell)]
            known = bool(np.isfinite([low, high]).all())
            if known:
                axes.hlines(y, low, high, color=colour, linewidth=1.2)
            axes.plot(value, y, "o", color=colour, markersize=3, markerfacecolor=colour if known else "white")
        axes.set_xlabel(SCALES[metric].long_name if metric in SCALES else plain(metric))
    return figure


@style()
def draw_aggregate(results: pd.DataFrame) -> Figure:
    """Draw means as they were given; a pale bar is one sd on each side, which is no interval.

    Args:
        results: columns group, metric, mean and sd.
    """
    groups = list(dict.fromkeys(results["group"]))[:MAX_ROWS]
    metrics = list(dict.fromkeys(results["metric"]))
    figure, panels = _panels(len(metrics), groups)
    records: Any = results.to_dict("records")
    rows = {(row["metric"], row["group"]): row for row in records}
    for axes, metric in zip(panels, metrics, strict=False):
        for y, group in enumerate(groups):
            row = rows.get((metric, group))
            if row is None:
                continue
            if np.isfinite(row["sd"]):
                axes.barh(y, 2 * row["sd"], 0.5, row["mean"] - row["sd"], color="#d0d0d0", linewidth=0)
            axes.plot(row["mean"], y, "D", color=INK, markersize=3)
        axes.set_xlabel(f"{printable(plain(metric))}\n(mean as given; bar: 1 sd, no interval)")
    return figure


def _panels(count: int, names: list[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per measure, and names of the groups at the left ones."""
    rows = -(-count // COLUMNS)
    labels = [plain(printable(name)) for name in names]
    lines = sum(label.count("\n") + 1 for label in labels)
    figure = page(DOUBLE, rows * (ROW * lines + 0.55))
    grid = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    for axes in grid.flat:
        axes.set_yticks(range(len(labels)), labels)
        axes.tick_params(axis="y", length=0)
    grid[0, 0].set_ylim(len(labels) - 0.4, -0.6)
    return figure, list(grid.flat)
