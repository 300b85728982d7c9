"""The three layers of the control with known answers: results of the pipeline beside their theoretical values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.report.plotting import (
    ARM_COLOURS,
    DOUBLE,
    GREY,
    INK,
    NotApplicable,
    budget_axis,
    colours,
    markers,
    page,
    plain,
    series,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

CAPTION = (
    "The control with known answers. (a) AUC estimated from test subjects against the exact AUC of the encoder and "
    "head; models of one replicate share their test subjects. (b) Largest principal angle between the encoder and the "
    "principal subspace of its own cohort (points), and between that and the population's (grey). (c) Gap of each mix: "
    "the mean and 95 % interval (points), and its expectation at this cohort size and budget by independent "
    "integration (lines). (d) The expected swap contrast as cohort and budget grow, with the 95 % interval of its "
    "integration, and its limit in closed form (dashed)."
)

COHORTS = 48
"""Simulated cohorts per expectation."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Any], study: Any) -> Figure:
    """Draw the three layers and the approach to the limit.

    Args:
        cube: with every arm finished.
        estimates: not used.
        study: one whose answer is known, with at least one swap contrast.

    Raises:
        NotApplicable: the answer is not known, or an arm is not finished.
    """
    from biasprop.report.figures.facets import measured, summary, z_by_replicate
    from biasprop.statistics.contrasts import gap, swap_contrast
    from biasprop.study import design as designs
    from biasprop.truth import recovered
    from biasprop.truth.expectation import condition_design as design_of
    from biasprop.truth.expectation import expected, limit_z
    from biasprop.truth.law import Law, auc_of_z, z_sd
    from biasprop.truth.subspace import largest_angle, principal

    if reason := incompatibility(study, cube):
        raise NotApplicable(reason)
    estimand = next(e for e in study.estimands if e.kind == "swap_contrast")
    law, k = Law.of(study.generator), study.encoder.features(study.generator.spec)
    mixes, budgets = cube["pretraining"].values.tolist(), cube["labels"].values.tolist()
    cube = measured(cube, study)
    z = z_by_replicate(cube, study)
    figure = page(DOUBLE, 5.0)
    (given, angles), (found, limit) = figure.subplots(2, 2)

    hues, shapes = colours(study.subgroups), markers(study.subgroups)
    conditions = {cell.label: cell.condition for cell in designs.cells(study)}
    at, half = np.arange(len(mixes)), study.evaluation.test // 2
    held = []
    for replicate in range(cube.sizes["replicate"]):
        models, _ = recovered.models(cube, study, replicate)
        scored = np.stack([models[mix] for mix in mixes])
        exact = {name: law.z(scored, name) for name in study.subgroups}
        for g, name in enumerate(study.subgroups):
            seen = cube["z"].isel(replicate=replicate, subgroup=g).transpose("pretraining", ...).values
            seen = seen.reshape(len(mixes), -1)
            held.append(np.abs(seen - exact[name]) < 1.96 * z_sd(seen, half, study.evaluation.test - half))
            x, y = auc_of_z(exact[name]).ravel(), auc_of_z(seen).ravel()
            label = plain(name) if replicate == 0 else None
            given.plot(x, y, shapes[name], color=hues[name], alpha=0.3, markersize=1.5, markeredgewidth=0, label=label)
        for i, mix in enumerate(mixes):
            condition = conditions[mix]
            images = recovered.cohort_images(condition, study.seed, replicate)
            own = principal(np.cov(images.T), k)
            whole = principal(law.cohort_covariance(condition.pretraining.shares, condition.pretraining.prevalence), k)
            learned = largest_angle(recovered.span(models[mix], k), own)
            angles.plot(
                i, learned, "o", color=INK, markersize=2, label="encoder to own cohort" if i + replicate == 0 else None
            )
            angles.plot(
                i + 0.2,
                largest_angle(own, whole),
                "s",
                color=GREY,
                markersize=2,
                label="cohort to population" if i + replicate == 0 else None,
            )
    low = given.get_xlim()
    given.plot(low, low, color=INK, linewidth=0.6)
    given.set_xlabel("exact AUC of the model")
    given.set_ylabel("estimated AUC")
    sets = cube.sizes["replicate"]
    given.legend(markerscale=2.5, title=f"{np.mean(held):.0%} in their 95 % interval ({sets} test sets)")
    angles.set_xticks(at, [plain(mix) for mix in mixes])
    angles.set_ylim(bottom=0)
    angles.set_ylabel("largest angle, degrees")
    angles.legend()

    sizes = sorted({500, int(study.pretraining.cohort), 8_000})
    truths = {n: gap(expected(study, COHORTS, study.seed, n)["z"].isel(draw=0), estimand.subgroups) for n in sizes}
    gaps, known = gap(z, estimand.subgroups), truths[int(study.pretraining.cohort)].mean("replicate")
    positions = budget_axis(found, budgets)
    held = []
    for i, mix in enumerate(mixes):
        colour = (*ARM_COLOURS, "#0072B2", "#D55E00")[i]
        values = gaps.sel(pretraining=mix).transpose("replicate", "labels").values
        look = {"colour": colour, "marker": "o", "label": plain(mix), "spread": 0.02, "line": ""}
        mean = summary(values)
        truth = known.sel(pretraining=mix).transpose("labels").values
        held.append((mean[1] <= truth) & (truth <= mean[2]))
        series(found, positions + 0.03 * (i - 2), values, mean, **look)
        found.plot(positions + 0.03 * (i - 2), truth, color=colour)
    first, second = estimand.subgroups
    found.set_ylabel(f"z({plain(first)}) \N{MINUS SIGN} z({plain(second)})")
    found.set_xlabel("labels")
    found.legend(ncols=2, title=f"{np.sum(held)} of {np.size(held)} intervals contain the expectation")

    for i, (colour, cohort) in enumerate(zip(ARM_COLOURS, sizes, strict=False)):
        beta = swap_contrast(truths[cohort], estimand.factor, estimand.skewed).transpose("replicate", "labels").values
        look = {"colour": colour, "marker": "o", "label": f"cohorts of {cohort:,}", "spread": 0.0, "line": "-"}
        series(limit, budget_axis(limit, budgets) + 0.03 * (i - 1), beta[:0], summary(beta), **look)
    ends = [limit_z(law, design_of(conditions[level]), study.finetuning.shares) for level in estimand.skewed or ()]
    far = 0.5 * ((ends[0][first] - ends[0][second]) - (ends[1][first] - ends[1][second]))
    limit.axhline(far, color=INK, linestyle="--", linewidth=0.9, label="limit")
    limit.set_xlabel("labels")
    limit.set_ylabel("expected swap contrast on z")
    limit.legend()
    for letter, axes in zip("abcd", (given, angles, found, limit), strict=True):
        axes.set_title(f"({letter})", loc="left")
    return figure


def incompatibility(study: Any, cube: xr.Dataset) -> str | None:
    """Return why the figure does not apply to a study, or None."""
    from biasprop.truth import expectation

    if reason := expectation.incompatibility(study):
        return reason
    if not {"pretraining", "labels"} <= set(cube.dims) or set(study.factors) != {"pretraining", "labels"}:
        return "needs the factors pretraining and labels, and no other"
    if not any(e.kind == "swap_contrast" for e in study.estimands):
        return "the study has no swap contrast among its estimands"
    return None if bool((cube["status"] == 1).all()) else "an arm is not finished"
