"""AUC, sensitivity and specificity of a test population against its mix, beside those of each subgroup."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.metrics.auc import auc_of_z, probit
from biasprop.report.figures.facets import MAX_ROWS, STORED, share_axis_subgroup, summary
from biasprop.report.plotting import DOUBLE, INK, NotApplicable, colours, legend, page, plain, reference, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "What an audit that does not stratify would report: AUC, and sensitivity and specificity at one threshold, of all "
    "test subjects together (black) against the share of one subgroup among them, beside those of each subgroup "
    "(coloured), which do not depend on it. Bands: 95 % t intervals over replicates."
)

SHARES = np.linspace(0, 1, 21)
"""Shares of the subgroup on the x axis."""

LINES = ("-", "--", ":", "-.")


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw the measures of all test subjects together against the share of one subgroup among them; those of single
    subgroups are horizontal lines. Bands are 95 % t intervals over replicates, for AUC computed on z.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used.
        study: its primary estimand names the subgroup on the x axis.

    Raises:
        NotApplicable: there is one subgroup, there are too many arms, or no arm is finished.
    """

    from biasprop.statistics.measures import measure
    from biasprop.statistics.pooled import MIX, mixes, pooled

    if "score" not in cube:
        raise NotApplicable("the subgroups have attributes, so that a mix is not one share")
    names = [str(name) for name in cube["subgroup"].values]
    factors = [str(dim) for dim in cube["status"].dims if dim not in STORED]
    rows = [
        dict(zip(factors, levels, strict=True))
        for levels in itertools.product(*(cube[name].values.tolist() for name in factors))
    ]
    if len(names) < 2:
        raise NotApplicable("the study has only one subgroup")
    if len(rows) > MAX_ROWS:
        raise NotApplicable(f"{len(rows)} arms: at most {MAX_ROWS} rows fit")
    measures = measure(cube, **study.evaluation.decisions())
    varied = share_axis_subgroup(study, names)
    shares = np.concatenate([mixes(names, varied, SHARES), np.eye(len(names))])
    found = pooled(cube, measures, shares)
    if found["auc"].isnull().all():
        raise NotApplicable("no replicate of any arm is finished")
    figure = page(DOUBLE, 0.65 + 1.35 * len(rows))
    grid = figure.subplots(len(rows), 3, squeeze=False, sharex=True, sharey="col")
    hues = colours(names)
    for i, row in enumerate(rows):
        for j, name in enumerate(("auc", "sensitivity", "specificity")):
            axes = grid[i, j]
            values = found[name].sel(row).transpose("replicate", MIX).values
            if name == "auc":
                within = np.clip(values, 1e-6, 1 - 1e-6)
                mean, low, high = map(auc_of_z, summary(probit(within)))
            else:
                mean, low, high = summary(values)
            mixed = slice(0, len(SHARES))
            axes.fill_between(SHARES, low[mixed], high[mixed], color=INK, alpha=0.15, linewidth=0)
            axes.plot(SHARES, mean[mixed], color=INK, label="all together")
            for k, subgroup in enumerate(names):
                alone = len(SHARES) + k
                look = {"colour": hues[subgroup], "label": plain(subgroup), "line": LINES[1 + k % 3]}
                reference(axes, mean[alone], low[alone], high[alone], **look)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.set_xlim(0, 1)
            if i == 0:
                axes.set_title("AUC" if name == "auc" else name)
            if j == 0:
                axes.set_ylabel("\n".join(plain(level) for level in row.values()))
    figure.supxlabel(f"share of {plain(varied)} in the test population", fontsize=8)
    legend(figure, 1 + len(names))
    return figure
