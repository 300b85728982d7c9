"""Learning curves: AUC of each subgroup against the label budget, one curve per pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biasprop.metrics import auc_of_z
from biasprop.report.figures.facets import Facets, row_title, summary, z_by_replicate
from biasprop.report.plotting import (
    CURVE_COLOURS,
    DOUBLE,
    budget_axis,
    colours,
    inner_ticks,
    legend,
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
    "Learning curves: AUC of each subgroup against the label budget, one curve per pretraining condition. Pale points: "
    "replicates. Bars: 95 % t intervals over replicates, computed on z."
)


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw AUC against labels: one column per subgroup, one row per fine-tuning condition.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used.
        study: its factors give the dim of the label budget.

    Raises:
        NotApplicable: label budgets or pretraining do not vary, or there are too many arms.
    """
    z = z_by_replicate(cube, study)
    facets = Facets.of(z, study, "objective")
    budget = facets.budgets(z, 2)
    subgroups = [str(name) for name in z["subgroup"].values]
    levels = [str(level) for level in z[facets.pretraining].values]
    budgets = z[budget].values.tolist()
    hues, shapes = colours(levels, CURVE_COLOURS), markers(levels)
    figure = page(DOUBLE, 0.6 + 1.6 * len(facets.rows))
    grid = figure.subplots(len(facets.rows), len(subgroups), squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(facets.rows):
        for axes, subgroup in zip(grid[i], subgroups, strict=True):
            positions = budget_axis(axes, budgets)
            for k, level in enumerate(z[facets.pretraining].values.tolist()):
                here = z.sel({**row, "subgroup": subgroup, facets.pretraining: level})
                values = here.transpose("replicate", budget).values
                at = positions + 0.03 * (k - (len(levels) - 1) / 2)
                look: Any = {"colour": hues[str(level)], "marker": shapes[str(level)], "label": plain(level)}
                mean, low, high = map(auc_of_z, summary(values))
                series(axes, at, auc_of_z(values), (mean, low, high), spread=0.012, **look)
            if i == 0:
                axes.set_title(plain(subgroup))
        title = row_title(row)
        grid[i, 0].set_ylabel(f"{title}\nAUC" if title else "AUC")
    inner_ticks(grid[0, 0], "y")
    figure.supxlabel("labels", fontsize=8)
    legend(figure, 6)
    return figure
