"""Injected skew: the gap returned against the gap that noise of known size must make, and the power to see a skew."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from biasprop.report.figures.facets import STORED, row_title, summary, z_by_replicate
from biasprop.report.plotting import (
    CURVE_COLOURS,
    DOUBLE,
    GREY,
    INK,
    NotApplicable,
    colours,
    inner_ticks,
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

    from biasprop.statistics.estimand import Level
    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "An injected skew. (a) Change of the gap that an arm with injected noise returns (mean, 95 % interval; pale: "
    "replicates) against its expectation without the pipeline: exact given the scores without noise, or in closed form "
    "where encoder and head are linear. The line is equality; all levels of a replicate share one draw of the noise. "
    "(b) Probability that the 95 % interval of an excess gap leaves out 0, by the number of replicates, if its true "
    "value and spread are those estimated; grey: 80 %."
)

REPLICATES = tuple(range(2, 25))
"""Numbers of replicates along the power curves."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw (a) the gap that each level with score noise adds, against its exact expectation given the scores without
    noise; (b) for the first excess gaps, the probability that the 95 % interval leaves out 0, by replicates.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: value and standard error of the excess gaps are those of the power curves.
        study: gives the two subgroups.

    Raises:
        NotApplicable: no level has score noise beside one that differs in it alone, or too many arms have it.
    """
    from biasprop.statistics.measures import per_replicate
    from biasprop.statistics.score_noise import expected

    if "noiseless" not in cube.coords or "score" not in cube:
        raise NotApplicable("no factor of subgroups has levels with score noise beside one without")
    (factor,) = (str(dim) for dim in cube["noiseless"].dims)
    levels, noisy = cube[factor].values.tolist(), (cube["score_noise"] > 0).any("subgroup").values
    twins = dict(zip(levels, cube["noiseless"].values.tolist(), strict=True))
    references = {level: twins[level] for level in itertools.compress(levels, noisy) if twins[level] in levels}
    if not references:
        raise NotApplicable("no level differs from one with score noise in that noise alone")
    return panels(cube, estimates, study, per_replicate(expected(cube), "z"), factor, references)


def panels(
    cube: xr.Dataset,
    estimates: Sequence[Estimate],
    study: Study,
    known: xr.DataArray,
    factor: str,
    references: Mapping[Level, Level],
) -> Figure:
    """Draw both panels.

    Args:
        cube, estimates, study: as for :func:`draw`.
        known: expected z [factors, replicate, subgroup]; its replicates are averaged.
        factor: that injects the skew.
        references: level with an injected skew -> level without it.

    Raises:
        NotApplicable: no arm is finished, or the other factors have more combinations than there are colours.
    """
    from biasprop.statistics.contrasts import gap
    from biasprop.statistics.estimand import compared_pair

    pair = compared_pair(study.estimands, study.subgroups)
    z = z_by_replicate(cube, study)
    if pair is None or z.isnull().all():
        raise NotApplicable("no replicate of any arm is finished")
    others = [str(dim) for dim in z.dims if dim not in (*STORED, factor)]
    combinations = itertools.product(*(z[dim].values.tolist() for dim in others))
    rows = [dict(zip(others, chosen, strict=True)) for chosen in combinations]
    if len(rows) > len(CURVE_COLOURS):
        raise NotApplicable(f"{len(rows)} combinations of {', '.join(others)}: at most {len(CURVE_COLOURS)} fit")
    names = [row_title(row) or "returned" for row in rows]
    hues, shapes = colours(names, CURVE_COLOURS), markers(names)
    figure = page(DOUBLE, 2.9)
    returned, power = figure.subplots(1, 2)
    ends = [0.0]
    for name, row in zip(names, rows, strict=True):
        found, injected = (
            np.stack(
                [(gaps.sel({factor: a}) - gaps.sel({factor: b}, drop=True)).values for a, b in references.items()], 1
            )
            for gaps in (gap(z.sel(row), pair), gap(known.sel(row), pair))
        )
        x = np.full(injected.shape[1], np.nan)
        there = ~np.isnan(injected).all(axis=0)
        x[there] = np.nanmean(injected[:, there], axis=0)
        ends += x[there].tolist()
        series(returned, x, found, summary(found), colour=hues[name], marker=shapes[name], label=name, line="")
    returned.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, linewidth=0.6, label="expectation")
    first, second = (plain(name) for name in pair)
    returned.set_xlabel(f"injected: expected change of z({first}) \N{MINUS SIGN} z({second})")
    returned.set_ylabel("returned change")
    returned.legend()
    _power_curves(power, estimates)
    for axes in (returned, power):
        inner_ticks(axes, "x", "y")
    for letter, axes in zip("ab", (returned, power), strict=True):
        axes.set_title(f"({letter})", loc="left")
    return figure


def _power_curves(axes: Axes, estimates: Sequence[Estimate]) -> None:
    from biasprop.statistics.precision import power_curve
    from biasprop.statistics.tests import POWER

    stated = sorted((e for e in estimates if e.kind == "excess_gap" and e.se > 0), key=lambda e: not e.primary)
    drawn = list({(*e.arm.items(), e.value): e for e in reversed(stated)}.values())[::-1]  # stated twice, drawn once
    for colour, estimate in zip(CURVE_COLOURS, drawn, strict=False):
        sd = estimate.se * np.sqrt(estimate.replicates)
        label = ", ".join(plain(level) for level in estimate.arm.values())
        axes.plot(REPLICATES, power_curve(estimate.value, sd, REPLICATES), color=colour, label=label)
    axes.axhline(POWER, color=GREY, linewidth=0.6)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("replicates")
    axes.set_ylabel("P(95 % interval leaves out 0)")
    if drawn:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
