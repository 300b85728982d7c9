"""A contrast against a factor with numbers, such as the distance of two skin tones in degrees."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.report.figures.facets import MAX_ROWS, measured, row_place, summary
from biasprop.report.plotting import (
    CURVE_COLOURS,
    SINGLE,
    NotApplicable,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.estimand import Estimand, Level
    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "The contrast against a factor with numbers, such as the distance of two skin tones, one curve for each label "
    "budget and protocol. Hollow: levels that differ in more than the number. Pale points: replicates. Bars: 95 % t "
    "intervals over replicates. Grey band: margin."
)

LEAST_LEVELS = 3
"""Two levels are better compared in the forest."""

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw one curve per combination of all other factors, such as protocol and label budget.

    The levels of the factor are numbers, or names with one number each, such as ``35 degrees``. Levels whose names also
    differ in words, such as ``35 degrees, continuum``, have hollow markers apart from the curve.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used: the curves have every level, stated as an estimand or not.
        study: the first of its estimands, primary first, that can be given at every level is the contrast.

    Raises:
        NotApplicable: no factor but the label budget has three numbered levels, no estimand on z fits, or no arm is
            finished.
    """
    figure = page(SINGLE, 3.0)
    draw_on(figure.subplots(), cube, estimates, study)
    legend(figure, 1)
    return figure


@style()
def draw_on(axes: Axes, cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Axes:
    """Draw the same on axes of any figure, without a legend; returns the axes."""
    from biasprop.statistics.paired import paired

    cube = measured(cube, study)
    if cube["z"].isnull().all():
        raise NotApplicable("no replicate of any arm is finished")
    factor, estimand = _contrast(cube, study)
    levels = numbered(cube[factor].values.tolist())
    found = paired(cube, estimand)
    rows: dict[str, dict[Level, Any]] = {}
    for one in found:
        row = {name: level for name, level in one.arm.items() if name not in (factor, *estimand.at)}
        rows.setdefault(row_place(row) or plain(estimand.kind), {})[one.arm[factor]] = one.values
    if len(rows) > MAX_ROWS:
        raise NotApplicable(f"{len(rows)} curves: at most {MAX_ROWS} fit")
    if estimand.margin_used:
        margin_band(axes, estimand.margin_used)
    hues, shapes = colours(list(rows), CURVE_COLOURS), markers(list(rows))
    numbers = sorted({number for number, _ in levels.values()})
    step = 0.025 * (numbers[-1] - numbers[0]) / max(1, len(rows) - 1)
    words = [word for _, word in levels.values()]
    usual = max(words, key=words.count)
    for k, (title, values) in enumerate(rows.items()):
        for word in dict.fromkeys(words):
            here = sorted((number, level) for level, (number, w) in levels.items() if w == word and level in values)
            if not here:
                continue
            at = np.array([number for number, _ in here]) + step * (k - (len(rows) - 1) / 2)
            drawn = np.stack([values[level] for _, level in here], axis=1)
            apart = word != usual
            look = {"colour": hues[title], "marker": shapes[title], "label": "_" if apart else title}
            series(axes, at, drawn, summary(drawn), **look, spread=step / 4, line="" if apart else "-")
            if apart:
                mean = summary(drawn)[0]
                axes.plot(at, mean, shapes[title], color=hues[title], markerfacecolor="white", zorder=4)
    for level, (number, word) in levels.items():
        if word != usual:
            name = plain(str(level), 18).strip()
            axes.annotate(
                name,
                (number, 0.02),
                (4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=6,
                rotation=90,
                va="bottom",
            )
    axes.set_xticks(numbers, [plain(number) for number in numbers])
    unit = usual.replace("#", "").strip()
    axes.set_xlabel(plain(factor) + (f" ({unit})" if unit else ""))
    axes.set_ylabel(f"{plain(estimand.kind)} on z")
    return axes


def numbered(levels: Sequence[Level]) -> dict[Level, tuple[float, str]]:
    """Return the number of every level, and its name with # in the number's place; empty if a level has no number, or
    several."""
    found = {}
    for level in levels:
        numbers = NUMBER.findall(level) if isinstance(level, str) else [level]
        if len(numbers) != 1:
            return {}
        found[level] = float(numbers[0]), NUMBER.sub("#", level) if isinstance(level, str) else "#"
    return found


def _contrast(cube: xr.Dataset, study: Study) -> tuple[str, Estimand]:
    """The factor of the x axis, and the estimand that is drawn, with all other factors free.

    Raises:
        NotApplicable: there is none.
    """
    from biasprop.statistics.estimand import references

    varied = [name for name in study.factors if name in cube.dims and name != study.label_budget]
    candidates = [name for name in varied if len(numbered(cube[name].values.tolist())) >= LEAST_LEVELS]
    stated = sorted(study.estimands, key=lambda e: not e.primary)
    for name, estimand in itertools.product(candidates, stated):
        named: list[Any] = [getattr(estimand, field) for field in references(type(estimand)) if field != "at"]
        if any(name == value or (isinstance(value, dict) and name in value) for value in named):
            continue  # the contrast runs over the factor
        if estimand.scale == "z" and estimand.interval == "t" and not _curve(estimand):
            kept = estimand.compared_with[0] if estimand.compared_with else None
            at = {factor: level for factor, level in estimand.at.items() if factor == kept}
            sets = estimand.subgroup_sets([str(subgroup) for subgroup in cube["subgroup"].values])
            if len(sets) == 1:
                return name, estimand.model_copy(update={"at": at})
    raise NotApplicable("no factor but the label budget has three numbered levels, and a contrast on z at each")


def _curve(estimand: Estimand) -> bool:
    """Whether an estimand needs a factor of label budgets."""
    return hasattr(estimand, "budget")
