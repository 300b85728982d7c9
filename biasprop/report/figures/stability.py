"""Stability: the effect in every sampled setting, and the levers that explain how it differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.report.figures.facets import MAX_ROWS
from biasprop.report.plotting import (
    DOUBLE,
    GREY,
    INK,
    PALE,
    SUBGROUP_COLOURS,
    NotApplicable,
    inner_ticks,
    legend,
    page,
    plain,
    style,
)
from biasprop.statistics.summary import place

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.paired import Paired
    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "Stability over settings drawn from a Latin hypercube, one replicate of each. Left: the observed effect of every "
    "setting, sorted, with the standard deviation that replicates of one setting have; band: mean and standard "
    "deviation of the true effects. Right: standardised coefficients of the regression of ranks of effects on ranks of "
    "levers, or with few settings the rank correlation with each alone; a lever with names has one for each level but "
    "one. Lines: 95 % intervals."
)

LINE = 0.15
"""Height of one coefficient, inches."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw one row for each estimand over settings and arm. Left: observed effects, sorted, with the sd between
    replicates that the estimand states; band: mean and sd of the true effects. Right: standardised coefficients of the
    rank regression on the levers, with 95 % intervals.

    Args:
        cube: as ``biasprop.open_cube`` gives it, with the measure z.
        estimates: not used.
        study: has the estimands.

    Raises:
        NotApplicable: the study has no such estimand, it has too many arms, or none is finished.
    """
    from biasprop.statistics.measures import measure
    from biasprop.statistics.paired import paired

    stated = [estimand for estimand in study.estimands if estimand.over_settings]
    if not stated:
        raise NotApplicable("the study has no estimand over sampled settings")
    if any(estimand.scale not in cube for estimand in stated) and "score" in cube:
        cube = measure(cube, **study.evaluation.decisions())
    found = [one for estimand in stated if estimand.scale in cube for one in paired(cube, estimand)]
    rows = [one for one in found if (~np.isnan(one.values)).sum() > 1]
    if not rows:
        raise NotApplicable("no two settings of any arm are finished")
    if len(rows) > MAX_ROWS:
        raise NotApplicable(f"{len(rows)} estimates: at most {MAX_ROWS} rows fit")
    levers = {str(name): cube[name].values.tolist() for name in cube.coords if str(name).startswith("setting_")}
    height = max(1.5, 0.4 + LINE * (len(levers) + 4))
    figure = page(DOUBLE, height * len(rows) + 0.2)
    grid = figure.subplots(len(rows), 2, squeeze=False)
    for (left, right), one in zip(grid, rows, strict=True):
        _effects(left, one, one.estimand)
        _coefficients(right, one, levers)
    legend(figure, 2)
    return figure


def _effects(axes: Axes, one: Paired, estimand: Any) -> None:
    values = np.sort(one.values[~np.isnan(one.values)])
    sd, true = estimand.replicate_sd, estimand.true_effects(values)
    places = np.arange(1, len(values) + 1)
    axes.axhspan(true.mean - true.sd, true.mean + true.sd, color=PALE, linewidth=0, label="true effects, mean and sd")
    axes.axhline(true.mean, color=GREY, linewidth=0.8)
    axes.axhline(0, color=INK, linewidth=0.6)
    colour = SUBGROUP_COLOURS[0]
    look = {"fmt": "o", "color": colour, "markersize": 2.5, "linewidth": 0.7}
    axes.errorbar(places, values, sd, label="observed, sd of a replicate", **look)
    axes.set_title("\n".join([plain(estimand.name), plain(place(one.subgroups, one.arm))]))
    axes.set_xlabel("setting, by its effect")
    axes.set_ylabel(f"effect on {plain(estimand.scale)}")
    axes.locator_params(axis="x", integer=True)
    inner_ticks(axes, "x", "y")


def _coefficients(axes: Axes, one: Paired, levers: dict[str, list[float | str]]) -> None:
    from biasprop.statistics.stability import rank_regression

    try:
        found = rank_regression(one.values, levers)
    except ValueError as why:
        axes.text(0.5, 0.5, str(why), ha="center", va="center", wrap=True, transform=axes.transAxes)
        axes.set_axis_off()
        return
    ordered = sorted(found.coefficients, key=lambda one: abs(one.value))
    places, values = np.arange(len(ordered)), np.array([one.value for one in ordered])
    ends = np.array([[one.value - one.low, one.high - one.value] for one in ordered]).T
    axes.barh(places, values, xerr=ends, color=SUBGROUP_COLOURS[2], ecolor=INK, error_kw={"linewidth": 0.7}, height=0.7)
    axes.set_yticks(places, [plain(one.name.removeprefix("setting_")).replace("_", " ") for one in ordered])
    axes.axvline(0, color=INK, linewidth=0.6)
    alone = np.isnan(found.r2)
    axes.set_xlabel("rank correlation, each lever alone" if alone else "standardised coefficient of ranks")
    if not alone:
        axes.set_title(f"levers explain {found.r2:.0%} of the variance of ranks")
    inner_ticks(axes, "x")
