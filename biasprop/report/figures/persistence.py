"""Persistence curve: swap contrast against label budget, with the margin and the gap of scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.report.figures.facets import Facets, row_title, stated_swap, summary, z_by_replicate
from biasprop.report.plotting import (
    CURVE_COLOURS,
    DOUBLE,
    SINGLE,
    budget_axis,
    colours,
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
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study


CAPTION = (
    "Persistence of the pretraining skew: swap contrast (half the difference of the subgroup gap between the two "
    "oppositely skewed mixes, on z) against the label budget, per protocol, and below it the gap without pretraining. "
    "Positive favours the subgroup that pretraining was skewed to. Pale points: replicates. Bars: 95 % t intervals "
    "over replicates. Grey band: margin."
)

CROWDED = 0.35
"""Decades between two budgets below which their labels need two columns of a page."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw the swap contrast per budget and protocol; below it the gap without pretraining, on the same scale.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used: the curve has every budget, stated as an estimand or not.
        study: its first swap contrast gives subgroups, skewed levels and margin.

    Raises:
        NotApplicable: no swap contrast is stated, or label budgets do not vary.
    """
    from biasprop.statistics.contrasts import gap, swap_contrast

    estimand = stated_swap(study)
    z = z_by_replicate(cube, study)
    facets = Facets.of(z, study)
    budget = facets.budgets(z, at_least=2)
    first, second = estimand.subgroups
    gaps = gap(z, estimand.subgroups)
    curves = [("swap contrast\non z", swap_contrast(gaps, estimand.factor, estimand.skewed))]
    apart = z[facets.pretraining].values[z["share"].isnull().all("subgroup").values]
    difference = f"z({plain(first)}) \N{MINUS SIGN} z({plain(second)})"
    for level in apart:
        curves.append((f"gap, {plain(level)}\n{difference}", gaps.sel({facets.pretraining: level}, drop=True)))
    budgets = z[budget].values.tolist()
    titles = [row_title(row) or "swap contrast" for row in facets.rows]
    nearest = min(np.diff(np.log10(sorted(budgets))), default=1.0)
    crowded = nearest < CROWDED
    figure = page(DOUBLE if crowded else SINGLE, 0.5 + 1.75 * len(curves))
    grid = figure.subplots(len(curves), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    hues, shapes = colours(titles, CURVE_COLOURS), markers(titles)
    for axes, (name, values) in zip(grid, curves, strict=True):
        positions = budget_axis(axes, budgets)
        margin_band(axes, estimand.margin_used, label=f"margin \N{PLUS-MINUS SIGN}{estimand.margin_used:g}")
        for k, (title, row) in enumerate(zip(titles, facets.rows, strict=True)):
            drawn = values.sel(row).transpose("replicate", budget).values
            step = min(0.07, 0.7 * nearest / len(titles))  # so that points stay nearest to their own budget
            at = positions + step * (k - (len(titles) - 1) / 2)
            look = {"colour": hues[title], "marker": shapes[title], "label": title, "spread": 0.35 * step}
            series(axes, at, drawn, summary(drawn), **look)
        axes.set_ylabel(name)
    grid[-1].set_xlabel("labels")
    legend(figure, 7 if crowded else 3)
    return figure
