"""Forest plot: every estimate with its plain interval, the interval that decides, its margin and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.estimands import ESTIMANDS
from biasprop.report.interval_bars import by_unit, limits, ordered
from biasprop.report.plotting import DOUBLE, GREY, INK, PALE, NotApplicable, page, plain, style
from biasprop.report.tables import bounds
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, UNCLEAR

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "Every estimand stated before the study ran. Thick: 95 % interval. Thin: the interval that decides, which is the "
    "95 % interval of the primary estimate (bold, diamond) and holds for all secondary ones together (Bonferroni); "
    "exploratory estimates have none. Colour and words: zone. Pale band: margin of the estimate. Triangles: the "
    "interval continues outside the panel."
)

MAX_NAME = 80
"""Characters of a row's name in one line."""
MAX_PART = 10_000
"""More characters than a part of a name has, because the whole is broken into lines."""
MAX_ROWS = 40
"""Rows of the figure, which is one page high; the tables have every estimate."""
ROW = 0.185
"""Height of one row, inches."""
ZONES = {MATERIAL: "#D55E00", NEGLIGIBLE: "#009E73", UNCLEAR: "#CC79A7"}
"""Colour of each zone; anything else is grey."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw the forest plot: one panel per unit, one row per estimate; thick = 95 %, thin = deciding.

    Of more than :data:`MAX_ROWS` estimates the first exploratory ones are drawn, and the others counted.

    Args:
        cube, study: not used; all figures have the same arguments.
        estimates: from ``statistics.estimate.estimates``.

    Raises:
        NotApplicable: no estimate is defined.
    """
    drawn = ordered(estimates, MAX_ROWS)
    panels = by_unit(drawn)
    if not any(np.isfinite(estimate.value) for estimate in estimates):
        raise NotApplicable("no estimate is defined (yet)")
    names = {unit: [_name(row, estimates) for row in rows] for unit, rows in panels.items()}
    heights = [_places(names[unit])[-1] + 0.4 for unit in panels]
    left_out = len(estimates) - len(drawn)
    figure = page(DOUBLE, ROW * (sum(heights) + (left_out > 0)) + 0.5 * len(panels) + 0.1)
    grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (unit, rows) in zip(grid, panels.items(), strict=True):
        _panel(axes, rows, names[unit])
        axes.set_xlabel(unit)
    if left_out:
        grid[-1].set_xlabel(f"{grid[-1].get_xlabel()}\n{left_out} more estimates are in the tables")
    return figure


def _panel(axes: Axes, rows: Sequence[Estimate], names: Sequence[str]) -> None:
    left, right = limits(rows)
    beside = axes.get_yaxis_transform()
    *places, lines = _places(names)
    for y, row in zip(places, rows, strict=True):
        colour = ZONES.get(row.verdict, GREY)
        weight = "bold" if row.primary else "normal"
        for low, high, width in ((row.zone_low, row.zone_high, 0.8), (row.low, row.high, 2.6)):
            if not np.isnan([low, high]).any():  # which may be infinite
                axes.hlines(y, max(low, left), min(high, right), color=colour, linewidth=width, zorder=3)
                for beyond, edge, shape in ((low < left, left, "<"), (high > right, right, ">")):
                    if beyond:  # the interval continues outside the panel
                        axes.plot(edge, y, shape, color=colour, markersize=3, clip_on=False, zorder=3)
        if np.isfinite(row.value):
            shape, size = ("D", 28) if row.primary else ("o", 20)
            axes.scatter(row.value, y, size, colour, marker=shape, edgecolors="white", linewidths=0.6, zorder=4)
        for text, points, hue in ((_number(row), 6, INK), (row.verdict, 92, colour)):
            axes.annotate(
                text,
                (1, y),
                (points, 0),
                xycoords=beside,
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=hue,
                fontweight=weight,
            )
    axes.set_yticks(places, names)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.primary else "normal")
    axes.set_xlim(left, right)
    axes.set_ylim(lines - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.0, color=INK, linewidth=0.6, zorder=-1)
    for y, row in zip(places, rows, strict=True):
        if row.role != "exploratory":
            axes.barh(y, 2 * row.margin, 0.9, -row.margin, color=PALE, linewidth=0, zorder=-2)


def _places(names: Sequence[str]) -> list[float]:
    """Return the middle of every row in lines from the middle of the first line, and the number of lines at the end."""
    counts = np.array([name.count("\n") + 1 for name in names])
    ends = np.cumsum(counts)
    return [*(ends - (counts + 1) / 2).tolist(), float(ends[-1])]


def _name(row: Estimate, estimates: Sequence[Estimate]) -> str:
    """Return the name of an estimand, and the subgroup and levels by which its estimates differ."""
    others = [other for other in estimates if other.name == row.name]
    varied = {dim: level for dim, level in row.arm.items() if any(other.arm.get(dim) != level for other in others)}
    parts = [plain(row.subgroups[0], MAX_PART)] if any(other.subgroups != row.subgroups for other in others) else []
    levels = {dim: plain(level, MAX_PART) for dim, level in varied.items()}
    parts += [f"{level} labels" if dim == "labels" else level for dim, level in levels.items()]
    name = plain(row.name, MAX_PART)
    return plain(f"{name} ({', '.join(parts)})" if parts else name, MAX_NAME)


def _number(row: Estimate) -> str:
    if np.isnan([row.value, row.low]).all():
        return "\N{EM DASH}"
    kind = ESTIMANDS[row.kind]
    digits = min(kind.digits, 2) if row.scale == "z" else kind.digits  # a difference of AUC is a fifth of one of z
    text = f"{row.value:{'' if kind.unit else '+'},.{digits}f}" if np.isfinite(row.value) else "\N{EM DASH}"
    if not np.isnan([row.low, row.high]).any():
        text += f" {bounds(row.low, row.high, not kind.unit, digits)}"
    return text.replace("-", "\N{MINUS SIGN}")
