"""Every stated estimand with its plain and adjusted interval, the equivalence band and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.plotting import DOUBLE, GREY, INK, DoesNotFit, margin_band, page, plain, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.185
"""Height of a row, inches."""
VERDICTS = {"erased": "#009E73", "persists": "#D55E00", "reversed": "#CC79A7"}
"""Colour of each verdict; anything else is grey."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Any], study: Any) -> Figure:
    """Draw the forest plot: a panel per unit, a row per estimate; thick = plain interval, thin = adjusted.

    Args:
        cube, study: not looked at; every figure has the same arguments.
        estimates: as ``statistics.estimate.estimates`` gives them.

    Raises:
        DoesNotFit: there is no estimate.
    """
    panels: dict[str, list[Any]] = {}
    for estimate in sorted(estimates, key=lambda estimate: not estimate.primary):
        panels.setdefault(_unit(estimate), []).append(estimate)
    if not panels:
        raise DoesNotFit("there is no estimate")
    heights = [len(rows) + 0.4 for rows in panels.values()]
    figure = page(DOUBLE, ROW * sum(heights) + 0.5 * len(panels) + 0.1)
    grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (unit, rows) in zip(grid, panels.items(), strict=True):
        _panel(axes, rows)
        axes.set_xlabel(unit)
    return figure


def _unit(estimate: Any) -> str:
    if estimate.kind == "halving_budget":
        return "halving budget (labels)"
    if estimate.kind == "retention":
        return "retention (ratio of swap contrasts)"
    return "difference in z(AUC)" if estimate.scale == "z" else "difference in AUC"


def _panel(axes: Axes, rows: Sequence[Any]) -> None:
    beside = axes.get_yaxis_transform()
    for y, row in enumerate(rows):
        colour = VERDICTS.get(row.verdict, GREY)
        weight = "bold" if row.primary else "normal"
        for low, high, width in ((row.adjusted_low, row.adjusted_high, 0.8), (row.low, row.high, 2.6)):
            if np.isfinite(low) and np.isfinite(high):
                axes.hlines(y, low, high, color=colour, linewidth=width, zorder=3)
        if np.isfinite(row.value):
            shape, size = ("D", 28) if row.primary else ("o", 20)
            axes.scatter(row.value, y, size, colour, shape, edgecolors="white", linewidths=0.6, zorder=4)
        for text, points, hue in ((_number(row), 6, INK), (row.verdict, 92, colour)):
            axes.annotate(text, (1, y), (points, 0), xycoords=beside, textcoords="offset points", va="center",
                          fontsize=7, color=hue, fontweight=weight)  # fmt: skip
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.primary else "normal")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    margins = {row.margin for row in rows}
    if rows[0].kind == "halving_budget":
        axes.set_xlim(left=0)
    elif len(margins) == 1:
        margin_band(axes, margins.pop(), vertical=True)
    else:
        axes.axvline(0.0, color=INK, linewidth=0.6, zorder=-1)


def _name(row: Any) -> str:
    where = ", ".join(f"{plain(level)} labels" if dim == "labels" else plain(level) for dim, level in row.arm.items())
    return f"{row.name} ({where})" if where and where not in row.name else row.name


def _number(row: Any) -> str:
    if not np.isfinite(row.value):
        return "\N{EM DASH}"
    digits = "{:,.0f}" if row.kind == "halving_budget" else "{:+.2f}"
    interval = f" [{digits.format(row.low)}, {digits.format(row.high)}]" if np.isfinite([row.low, row.high]).all() else ""
    return (digits.format(row.value) + interval).replace("-", "\N{MINUS SIGN}")
