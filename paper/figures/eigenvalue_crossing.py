"""Eigenvalues of the cohort's covariance and AUC against the share, across a crossing of eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from biasprop.report.plotting import DOUBLE, GREY, INK, NotApplicable, colours, legend, page, plain, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

CAPTION = (
    "A crossing of eigenvalues in the control with known answers. Left: leading eigenvalues of the cohort's covariance "
    "against the share; the bottleneck keeps those drawn in black. Right: AUC of each subgroup with an infinite cohort "
    "and infinitely many labels (lines) and its mean over finite cohorts of the study's size (dashed). Dotted: "
    "the shares of the study, none of them near the crossing (grey)."
)

COHORTS = 20
"""Simulated cohorts per dashed line."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Any], study: Any) -> Figure:
    """Draw eigenvalues and AUC against the share of the first of two subgroups.

    Args:
        cube: its shares are marked.
        estimates: not used.
        study: one whose answer is known in closed form.

    Raises:
        NotApplicable: the answer is not known, or there are not two subgroups.
    """
    from biasprop.truth.expectation import Design, cohort_subspaces, incompatibility, limit_head, limit_z
    from biasprop.truth.law import Law, auc_of_z
    from biasprop.truth.subspace import crossing, leading

    if (reason := incompatibility(study)) or "share" not in cube.coords or len(study.subgroups) != 2:
        raise NotApplicable(reason or "needs shares of two subgroups")
    first, second = study.subgroups
    law, k = Law.of(study.generator), study.encoder.features(study.generator.spec)
    prevalence, cohort = study.pretraining.prevalence, study.pretraining.cohort
    labelled = study.finetuning.shares

    def design(share: float) -> Design:
        return Design({first: share, second: 1 - share}, prevalence, cohort, k)

    def covariance(share: float) -> np.ndarray:
        return law.cohort_covariance({first: share, second: 1 - share}, prevalence)

    x = np.linspace(0, 1, 51)
    where, _ = crossing(covariance, k)
    figure = page(DOUBLE, 2.6)
    left, right = figure.subplots(1, 2)
    values = np.array([leading(covariance(share), k + 4) for share in x])
    for i, line in enumerate(values.T):
        kept = i < k
        label = "kept" if kept else "dropped"
        left.plot(x, line, color=INK if kept else GREY, linestyle="-" if kept else ":", label=label)
    left.set_ylabel("eigenvalue")
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(NullFormatter())
    hues = colours(study.subgroups)
    fine = np.unique(np.concatenate([x, np.linspace(where - 0.04, where + 0.04, 17)]).clip(0, 1))
    limits = [limit_z(law, design(share), labelled) for share in fine]
    coarse = np.linspace(0, 1, 21)
    finite: dict[str, list[np.ndarray]] = {name: [] for name in study.subgroups}
    for replicate in range(COHORTS):
        bases = cohort_subspaces(law, [design(share) for share in coarse], study.seed, replicate)
        heads = [basis @ limit_head(law, basis, labelled) for basis in bases]
        for name in study.subgroups:
            finite[name].append(np.array([law.z(head, name) for head in heads]))
    for name in study.subgroups:
        right.plot(fine, auc_of_z([z[name] for z in limits]), color=hues[name], label=f"{plain(name)}, limit")
        mean = auc_of_z(np.mean(finite[name], axis=0))
        right.plot(coarse, mean, "--", color=hues[name], label=f"{plain(name)}, cohorts of {cohort:,}")
    right.set_ylabel("AUC")
    for axes in (left, right):
        axes.axvspan(where - 0.01, where + 0.01, color=GREY, alpha=0.3, linewidth=0)
        for share in cube["share"].sel(subgroup=first).values:
            axes.axvline(float(share), color=INK, linestyle=":", linewidth=0.5, zorder=0)
        axes.set_xlabel(f"share of {plain(first)} in pretraining")
    legend(figure, 3)
    return figure
