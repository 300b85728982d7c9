"""AUC of each subgroup against the pretraining share: one column of panels per label budget, one row per other arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.metrics import auc_of_z
from biasprop.report.figures.facets import Facets, row_title, share_axis_subgroup, summary, z_by_replicate
from biasprop.report.plotting import DOUBLE, SINGLE, colours, legend, markers, page, plain, reference, series, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study


CAPTION = (
    "AUC of each subgroup after balanced fine-tuning against the share in pretraining, per label budget (columns) and "
    "protocol (rows). Pale points: replicates. Lines: mean over replicates with 95 % t intervals, computed on "
    "z = sqrt(2) times the inverse normal CDF of AUC and shown as AUC. Dashed lines and "
    "bands: the same without pretraining."
)


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw AUC against share: pale points are replicates, lines means with t intervals, bands without pretraining.

    Means and intervals are taken on z(AUC) and shown as AUC.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: the primary one names the subgroup whose share is the x axis.
        study: its factors give the dim of the label budget.

    Raises:
        NotApplicable: the share does not vary, or there are too many arms.
    """
    z = z_by_replicate(cube, study)
    facets = Facets.of(z, study)
    subgroups = [str(name) for name in z["subgroup"].values]
    varied = share_axis_subgroup(study, subgroups)
    budgets = z[facets.budget].values.tolist() if facets.budget else [None]
    width = DOUBLE if len(budgets) > 1 else SINGLE
    figure = page(width, 0.55 + 1.35 * len(facets.rows))
    grid = figure.subplots(len(facets.rows), len(budgets), squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(facets.rows):
        for j, budget in enumerate(budgets):
            axes: Axes = grid[i, j]
            here = z.sel(row if budget is None else {**row, facets.budget: budget})
            _panel(axes, here.transpose("replicate", facets.pretraining, "subgroup"), facets.pretraining, varied)
            if i == 0 and budget is not None:
                axes.set_title(f"{plain(budget)} labels")
            if j == 0:
                title = row_title(row)
                axes.set_ylabel(f"{title}\nAUC" if title else "AUC")
    figure.supxlabel(f"share of {plain(varied)} in pretraining", fontsize=8)
    legend(figure, 4 if width == DOUBLE else 2)
    return figure


def _panel(axes: Axes, z: xr.DataArray, pretraining: str, varied: str) -> None:
    share = z["share"].sel(subgroup=varied).values.astype(float)
    mixed = np.flatnonzero(np.isfinite(share))
    mixed = mixed[np.argsort(share[mixed], kind="stable")]
    apart = np.flatnonzero(~np.isfinite(share))
    distinct = len(np.unique(share[mixed])) == len(mixed)
    x = share[mixed] if distinct else np.arange(len(mixed), dtype=float)
    step = np.ptp(x) if len(x) > 1 else 1.0
    names = [str(name) for name in z["subgroup"].values]
    hues, shapes = colours(names), markers(names)
    for k, name in enumerate(names):
        values = z.sel(subgroup=name).values
        shown = auc_of_z(values)
        mean, low, high = map(auc_of_z, summary(values))
        at = x + 0.024 * step * (k - (len(names) - 1) / 2)
        series(
            axes,
            at,
            shown[:, mixed],
            (mean[mixed], low[mixed], high[mixed]),
            colour=hues[name],
            marker=shapes[name],
            label=plain(name),
            spread=0.01 * step,
        )
        for level in apart:
            label = f"{plain(name)}, {plain(str(z[pretraining].values[level]))}"
            reference(axes, mean[level], low[level], high[level], colour=hues[name], label=label)
    if distinct:
        axes.set_xticks(x, [f"{value:g}" for value in x])
    else:
        axes.set_xticks(x, [plain(str(level)) for level in z[pretraining].values[mixed]], rotation=30, ha="right")
