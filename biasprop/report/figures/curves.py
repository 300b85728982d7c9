"""Any measure over any two factors of any cube: one along the x axis, a curve for each level of the other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.component import InputError
from biasprop.metrics import METRICS, SCALES
from biasprop.report.figures.facets import MAX_ROWS, summary
from biasprop.report.plotting import (
    CURVE_COLOURS,
    DOUBLE,
    INK,
    SINGLE,
    NotApplicable,
    colours,
    legend,
    markers,
    page,
    plain,
    series,
    style,
)
from biasprop.study.problems import suggestion

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.metrics.metric import Link

GAPS = {f"{name}_gap": name for name, scale in SCALES.items() if not scale.derived}
"""Difference between two subgroups -> the measure it is a difference of."""

DECADES = 20
"""Levels whose largest is more than this many times their smallest are drawn on a logarithmic axis."""


@style()
def draw(
    measures: xr.Dataset,
    measure: str,
    x: str,
    by: str | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    subgroups: Sequence[str] | None = None,
) -> Figure:
    """Draw a measure: pale points are replicates, curves their mean with a 95 % t interval (on the metric's link: of
    the AUC on z).

    A column of panels for each subgroup, where the measure has subgroups; a row for each combination of the levels of
    all factors that are neither drawn nor fixed.

    Args:
        measures: from ``statistics.measures.measure``.
        measure: one of its variables, or a gap between subgroups such as ``auc_gap``.
        x: the factor along the x axis.
        by: the factor with one curve per level; None draws one curve.
        at: factor -> the level it is fixed at.
        subgroups: A and B of a gap (by default the first two), or the subgroups to show (by default all).

    Raises:
        InputError: there is no such measure, factor, level or subgroup.
        NotApplicable: too many panels or curves are left, or no arm is finished.
    """
    drawn = _Curves(measures, measure, x, by, at, subgroups)
    rows, columns = drawn.rows, drawn.columns
    if len(rows) > MAX_ROWS or len(columns) > 4:
        raise NotApplicable(f"{len(rows)} x {len(columns)} panels, too many: fix {drawn.to_fix}")
    width = DOUBLE if len(columns) > 1 else SINGLE
    figure = page(width, 0.65 + 1.5 * len(rows))
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        axes = grid[i, j]
        drawn.panel(axes, row, column)
        if i == 0 and column is not None:
            axes.set_title(plain(column))
        if j == 0:
            titles = [level if isinstance(level, str) else f"{name} {plain(level)}" for name, level in row.items()]
            axes.set_ylabel("\n".join([*map(plain, titles), _called(measure, drawn.values)]))
    figure.supxlabel(plain(x), fontsize=8)
    if len(drawn.curves) > 1:
        legend(figure, 4 if width == DOUBLE else 2)
    return figure


@style()
def draw_on(
    axes: Axes,
    measures: xr.Dataset,
    measure: str,
    x: str,
    by: str | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    subgroups: Sequence[str] | None = None,
) -> Axes:
    """Draw a measure that needs one panel on axes of any figure; for the arguments see :func:`draw`.

    Returns:
        The same axes, with labels, and a legend if there are several curves.

    Raises:
        InputError: there is no such measure, factor, level or subgroup.
        NotApplicable: more than one panel or too many curves are left, or no arm is finished.
    """
    drawn = _Curves(measures, measure, x, by, at, subgroups)
    if len(drawn.rows) * len(drawn.columns) > 1:
        raise NotApplicable(f"{len(drawn.rows)} x {len(drawn.columns)} panels, and axes are one: fix {drawn.to_fix}")
    drawn.panel(axes, drawn.rows[0], drawn.columns[0])
    axes.set_xlabel(plain(x))
    axes.set_ylabel(_called(measure, drawn.values))
    if len(drawn.curves) > 1:
        axes.legend()
    return axes


class _Curves:
    """What is drawn: the values, the panels they need, and how curves look."""

    def __init__(
        self,
        measures: xr.Dataset,
        measure: str,
        x: str,
        by: str | None,
        at: Mapping[str, Any] | None,
        subgroups: Sequence[str] | None,
    ):
        self.measure, self.x, self.by = measure, x, by
        self.values = values = _values(measures, measure, x, by, dict(at or {}), subgroups)
        rest = [str(dim) for dim in values.dims if dim not in (x, by, "replicate", "subgroup")]
        levels = (values[dim].values for dim in rest)
        self.rows = [dict(zip(rest, chosen, strict=True)) for chosen in itertools.product(*levels)]
        several = "subgroup" in values.dims
        self.columns = [str(name) for name in values["subgroup"].values] if several else [None]
        self.curves = values[by].values.tolist() if by else [None]
        varied = [dim for dim in rest if values.sizes[dim] > 1]
        self.to_fix = " or ".join([*varied, *(["the subgroups"] if len(self.columns) > 1 else [])])
        if len(self.curves) > len(CURVE_COLOURS):
            raise NotApplicable(f"{len(self.curves)} curves: at most {len(CURVE_COLOURS)} can be told apart")
        if values.isnull().all():
            raise NotApplicable("no replicate of any of these arms is finished")

    def panel(self, axes: Axes, row: dict[str, Any], column: str | None) -> None:
        """Draw the curves of one panel."""
        values, x, by = self.values, self.x, self.by
        positions, ticks = _axis(values[x].values.tolist())
        names = [plain(level) if level is not None else plain(self.measure) for level in self.curves]
        hues, shapes = colours(names, CURVE_COLOURS), markers(names)
        step = np.ptp(positions) / max(len(positions) - 1, 1) if len(positions) > 1 else 1.0
        here = values.sel(row if column is None else {**row, "subgroup": column})
        for k, (level, name) in enumerate(zip(self.curves, names, strict=True)):
            drawn = (here if level is None else here.sel({by: level})).transpose("replicate", x).values
            mean, low, high = summary(drawn)
            if link := _link(self.measure):
                drawn, mean, low, high = map(link.inverse, (drawn, mean, low, high))
            offset = 0.06 * step * (k - (len(self.curves) - 1) / 2)
            look = {"colour": hues[name], "marker": shapes[name], "label": name, "spread": 0.02 * step}
            series(axes, positions + offset, drawn, (mean, low, high), **look)
        if self.measure in GAPS or (self.measure in METRICS and METRICS[self.measure].signed):
            axes.axhline(0.0, color=INK, linewidth=0.6, zorder=-1)
        words = any(isinstance(level, str) for level in values[x].values.tolist())
        axes.set_xticks(positions, ticks, **({"rotation": 30, "ha": "right"} if words else {}))


def measures_of(measures: xr.Dataset) -> list[str]:
    """Return the measures that can be drawn."""
    own = [str(name) for name, values in measures.data_vars.items() if "replicate" in values.dims and name != "status"]
    return sorted([*own, *GAPS])


def _values(
    measures: xr.Dataset, measure: str, x: str, by: str | None, at: dict[str, Any], subgroups: Sequence[str] | None
) -> xr.DataArray:
    """Return the values to draw: (factors that are not fixed, replicate, and subgroup where the measure has it)."""
    from biasprop.statistics.contrasts import gap
    from biasprop.statistics.measures import per_replicate

    factors = [str(dim) for dim in measures["status"].dims if dim not in ("replicate", "draw")]
    known = [str(name) for name in measures["subgroup"].values]
    problems = []
    if measure not in measures_of(measures):
        problems.append(f"there is no measure {measure!r}; {suggestion(measure, measures_of(measures))}")
    for name in (x, *([by] if by else []), *at):
        if name not in factors:
            problems.append(f"there is no factor {name!r}; {suggestion(name, factors)}")
        elif name in at and at[name] not in measures[name].values.tolist():
            levels = measures[name].values.tolist()
            problems.append(
                f"{name} has no level {at[name]!r}; {suggestion(str(at[name]), [str(one) for one in levels])}"
            )
    if by == x or {x, by} & set(at):
        problems.append("a factor can be along the x axis, have a curve for each level, or be fixed: one of the three")
    for name in subgroups or ():
        if name not in known:
            problems.append(f"there is no subgroup {name!r}; {suggestion(name, known)}")
    if measure in GAPS and len(subgroups or known[:2]) != 2:
        problems.append(f"{measure} needs exactly two subgroups")
    if problems:
        raise InputError(problems)
    link = _link(measure)
    name = link.name if link else GAPS.get(measure, measure)
    values = per_replicate(measures, name) if "draw" in measures[name].dims else measures[name]
    if measure in GAPS:
        a, b = subgroups or known[:2]
        values = gap(values, (a, b)).assign_attrs(between=f"{plain(a)} \N{MINUS SIGN} {plain(b)}")
    elif "subgroup" in values.dims and subgroups:
        values = values.sel(subgroup=list(subgroups))
    return values.sel(at)


def _axis(levels: list[Any]) -> tuple[np.ndarray, list[str]]:
    """Return positions and tick labels of levels: words in order, numbers at their value or its logarithm."""
    ticks = [plain(level) for level in levels]
    if any(isinstance(level, str) for level in levels):
        return np.arange(len(levels), dtype=float), ticks
    numbers = np.asarray(levels, float)
    if numbers.min() > 0 and numbers.max() > DECADES * numbers.min():
        return np.log10(numbers), ticks
    return numbers, ticks


def _link(measure: str) -> Link | None:
    return METRICS[measure].link if measure in METRICS else None


def _called(measure: str, values: xr.DataArray) -> str:
    """Return the axis label of a measure."""
    if measure in GAPS:
        return f"gap in {SCALES[GAPS[measure]].long_name}\n{values.attrs['between']}"
    if measure in METRICS:
        metric = METRICS[measure]
        # Means in tables are of the metric itself.
        averaged = f"\n(mean on {metric.link.name})" if metric.link else ""
        return metric.long_name + (f" ({metric.unit})" if metric.unit else "") + averaged
    return plain(measure)
