"""Swap contrast against overall AUC, so that protocols are compared where they are equally good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.metrics import auc_of_z
from biasprop.report.figures.facets import Facets, row_title, stated_swap, summary, z_by_replicate
from biasprop.report.plotting import (
    CURVE_COLOURS,
    INK,
    SINGLE,
    NotApplicable,
    colours,
    inner_ticks,
    legend,
    margin_band,
    markers,
    page,
    plain,
    series,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study


CAPTION = (
    "Swap contrast on z against overall AUC (both subgroups under both oppositely skewed mixes, averaged on z), a"
    " curve per fine-tuning condition; the label budget increases along it from the hollow point."
    " A protocol retains less of the skew than another only if it lies lower at equal AUC. Bars: 95 % t intervals"
    " over replicates. Grey band: margin."
)


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw one curve per fine-tuning condition, along which the label budget varies; compare curves at equal AUC.

    The AUC is that of both subgroups under both skewed mixes, averaged on z, so that neither the skew nor the
    difference in difficulty changes it.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used: the curves have every budget, stated as an estimand or not.
        study: its first swap contrast gives subgroups, skewed levels and margin.

    Raises:
        NotApplicable: no swap contrast is stated, budgets do not vary, or there is only one fine-tuning condition.
    """
    figure = page(SINGLE, 3.1)
    draw_on(figure.subplots(), cube, estimates, study)
    legend(figure, 3)
    return figure


@style()
def draw_on(axes: Axes, cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Axes:
    """Draw the same on axes of any figure, without a legend; returns the axes."""
    from biasprop.statistics.contrasts import gap, swap_contrast

    estimand = stated_swap(study)
    z = z_by_replicate(cube, study)
    facets = Facets.of(z, study)
    budget = facets.budgets(z, 2)
    z = z.sortby(budget)
    budgets = z[budget].values.tolist()
    if len(facets.rows) < 2:
        raise NotApplicable("there is one way of fine-tuning only, so nothing to compare at equal AUC")
    beta = swap_contrast(gap(z, estimand.subgroups), estimand.factor, estimand.skewed)
    both = {"subgroup": list(estimand.subgroups), estimand.factor: list(estimand.skewed)}
    overall = z.sel(both).mean(list(both), skipna=False)
    titles = [row_title(row) for row in facets.rows]
    hues, shapes = colours(titles, CURVE_COLOURS), markers(titles)
    margin_band(axes, estimand.margin_used, label=f"margin \N{PLUS-MINUS SIGN}{estimand.margin_used:g}")
    for title, row in zip(titles, facets.rows, strict=True):
        mean, low, high = summary(beta.sel(row).transpose("replicate", budget).values)
        x = auc_of_z(summary(overall.sel(row).transpose("replicate", budget).values)[0])
        no_points = np.empty((0, len(x)))  # replicates have other AUCs, so their points would not lie on the curve
        series(axes, x, no_points, (mean, low, high), colour=hues[title], marker=shapes[title], label=title)
        # The smallest budget has a hollow marker, because a curve may turn back.
        axes.plot(x[:1], mean[:1], shapes[title], color=hues[title], markerfacecolor="white", zorder=4)
    ends = f"{plain(budgets[0])} labels, then up to {plain(budgets[-1])}"
    axes.plot([], [], "o", color=INK, markerfacecolor="white", label=ends)
    axes.margins(x=0.1)
    inner_ticks(axes, "x", "y")
    axes.set_xlabel("AUC, both subgroups under both skewed mixes")
    axes.set_ylabel("swap contrast on z")
    return axes
