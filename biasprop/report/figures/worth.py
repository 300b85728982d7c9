"""What pretraining hands on against what it is worth, one point per condition, from replicates of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biasprop.report.figures.facets import measured
from biasprop.report.plotting import (
    DOUBLE,
    GREY,
    INK,
    MARKERS,
    NotApplicable,
    colours,
    inner_ticks,
    margin_band,
    page,
    plain,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.handed_on import HandedOn
    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "What pretraining hands on against what it is worth. Worth: z after balanced pretraining minus z from scratch, "
    "each with the protocol of higher validation AUC, in even replicates. Handed on: the own-representation effect of "
    "each subgroup, and the excess gap, in odd replicates, so that the two have no noise in common. A point is a "
    "regime and a label budget; crosses are standard errors. r: correlation over conditions of the "
    "true values, from all pairs of different replicates, with a jackknife interval. Grey bands: margins."
)

MAX_COLUMNS = 3
SMALLEST, LARGEST = 2.5, 5.5
"""Sizes of the markers of the smallest and the largest label budget."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw the own-representation effect, and below it the excess gap, against the worth of pretraining.

    The worth is that of even replicates and the other quantity that of odd ones, so that noise which both share in a
    replicate makes no correlation. One column per protocol; colours are subgroups, shapes the levels of all other
    factors, and a larger marker has more labels. The correlation over conditions, in each panel and at the right over
    all protocols, is :func:`biasprop.statistics.correlation.disjoint_correlation`. Crosses are standard errors, because
    half of the replicates may be two, whose 95 % interval is as wide as the figure.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used.
        study: its estimands worth, own_representation and excess_gap.

    Raises:
        NotApplicable: worth and something that is handed on are not stated, or have too few conditions or replicates.
    """
    from biasprop.statistics.handed_on import EXCESS_GAP, WORTH, handed_on

    if not any(estimand.kind == WORTH for estimand in study.estimands):
        raise NotApplicable("the study has no worth of pretraining among its estimands")
    found = [one for one in handed_on(measured(cube, study), study.estimands) if len(one.arms) > 1]
    if not found:
        raise NotApplicable("the study states nothing that is handed on at several conditions of its worth")
    if not any(np.isfinite(half).any() for one in found for half in one.disjoint()):
        raise NotApplicable("no replicate of any condition is finished")
    columns: list[dict[str, Any]] = [{"protocol": level} for level in _levels(found, "protocol")] or [{}]
    if len(columns) > MAX_COLUMNS:
        raise NotApplicable(f"{len(columns)} protocols: at most {MAX_COLUMNS} columns fit")
    kinds = list(dict.fromkeys(one.kind for one in found))
    figure = page(DOUBLE, 0.8 + 2.6 * len(kinds))
    grid = figure.subplots(len(kinds), len(columns), squeeze=False, sharex=True, sharey="row")
    hues = colours(list(dict.fromkeys(one.subgroup for one in found if one.subgroup))) | {"": INK}
    conditions = list(dict.fromkeys(_condition(arm) for one in found for arm in one.arms))
    shapes = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(conditions)}
    sizes = _sizes(_levels(found, "labels"))
    margins = {e.kind: e.margin_used or 0.0 for e in study.estimands}
    for row, kind in zip(grid, kinds, strict=True):
        for axes, column in zip(row, columns, strict=True):
            margin_band(axes, margins[kind])
            margin_band(axes, margins[WORTH], vertical=True)
            for k, one in enumerate(one.only(**column) for one in found if one.kind == kind):
                _points(axes, one, hues[one.subgroup], shapes, sizes)
                _correlation(axes, one, hues[one.subgroup], k)
            if kind == kinds[0] and column:
                axes.set_title(plain(column["protocol"]))
        row[0].set_ylabel(f"{plain(kind)}\non z, odd replicates")
        whole = [one for one in found if one.kind == kind]
        row[0].set_ylim(*_limits([one.disjoint()[1] for one in whole]))
        if len(columns) > 1:
            for k, one in enumerate(whole):
                _correlation(row[-1], one, hues[one.subgroup], k, beside=True)
    grid[0][0].set_xlim(*_limits([one.disjoint()[0] for one in found]))
    for axes in grid.ravel():
        inner_ticks(axes, "x", "y")
    for axes in grid[-1]:
        axes.set_xlabel("worth of pretraining on z, even replicates")
    _legend(figure, hues, shapes, sizes, any(one.kind == EXCESS_GAP for one in found))
    return figure


def _levels(found: Sequence[HandedOn], factor: str) -> list[Any]:
    """The levels of a factor among the conditions, in their order."""
    return list(dict.fromkeys(arm[factor] for one in found for arm in one.arms if factor in arm))


def _condition(arm: dict[str, Any]) -> str:
    """The levels that a marker's shape stands for."""
    return ", ".join(plain(level) for name, level in arm.items() if name not in ("protocol", "labels"))


def _sizes(budgets: Sequence[Any]) -> dict[Any, float]:
    """Label budget -> size of its marker."""
    return dict(zip(budgets, np.linspace(SMALLEST, LARGEST, len(budgets)).tolist(), strict=True)) or {None: 3.5}


def _points(axes: Axes, one: HandedOn, colour: str, shapes: dict[str, str], sizes: dict[Any, float]) -> None:
    """A point with a cross of standard errors for each condition, and a thin line from few labels to many."""
    (x, across), (y, along) = (_mean(half) for half in one.disjoint())
    for i, arm in enumerate(one.arms):
        look = {"color": colour, "elinewidth": 0.6, "alpha": 0.9, "markeredgecolor": "white", "markeredgewidth": 0.4}
        size = sizes.get(arm.get("labels"), 3.5)
        axes.errorbar(x[i], y[i], along[i], across[i], fmt=shapes[_condition(arm)], markersize=size, zorder=3, **look)
    for condition in shapes:
        line = [i for i, arm in enumerate(one.arms) if _condition(arm) == condition]
        axes.plot(x[line], y[line], color=colour, linewidth=0.5, alpha=0.5, zorder=2)


def _mean(half: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each condition, [replicate, condition], and its standard error, 0 with fewer than two replicates."""
    from biasprop.statistics.intervals import t_interval

    found = [t_interval(column) for column in half.T]
    return np.array([one.value for one in found]), np.nan_to_num([one.se for one in found])


def _limits(halves: Sequence[NDArray[np.floating]]) -> tuple[float, float]:
    """Limits of an axis that include 0 and all crosses."""
    ends = [mean + side * error for mean, error in map(_mean, halves) for side in (-1, 1)]
    together = np.append(np.concatenate(ends), 0.0)
    low, high = float(np.nanmin(together)), float(np.nanmax(together))
    room = 0.15 * (high - low) or 1.0
    return low - room, high + room


def _correlation(axes: Axes, one: HandedOn, colour: str, line: int, *, beside: bool = False) -> None:
    """The correlation in a corner of the panel, or upright beside it: then that of all panels."""
    r = one.correlation()
    text = f"r = {r.value:+.2f} [{r.low:+.2f}, {r.high:+.2f}]" if np.isfinite(r.value) else "r undefined"
    name = f"{plain(one.subgroup)}: " if one.subgroup else ""
    text = (name + text + (", all protocols" if beside else "")).replace("-", "\N{MINUS SIGN}")
    look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 7, "color": colour}
    if beside:
        axes.annotate(text, (1, 0.5), (4 + 9 * line, 0), rotation=270, ha="left", va="center", **look)
        return
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
    axes.annotate(text, (0.02, 1), (0, -3 - 10 * line), ha="left", va="top", bbox=ground, zorder=5, **look)


def _legend(figure: Figure, hues: dict[str, str], shapes: dict[str, str], sizes: dict[Any, float], both: bool) -> None:
    """Colours, shapes and sizes, which the points combine."""
    from matplotlib.lines import Line2D

    def entry(label: str, colour: str, marker: str, size: float) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=label)

    named = [(plain(name) if name else "mean worth of both", hue) for name, hue in hues.items() if name or both]
    handles = [entry(name, hue, "o", 4.0) for name, hue in named]
    handles += [entry(name, GREY, shape, 4.0) for name, shape in shapes.items() if name]
    handles += [entry(f"{plain(n)} labels", GREY, "o", size) for n, size in sizes.items() if n is not None]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles)))
