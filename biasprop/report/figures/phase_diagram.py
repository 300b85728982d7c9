"""Phase diagram: excess gap of each pretraining mix by label budget, coloured by zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.report.figures.facets import Facets, measured, row_place, z_by_replicate
from biasprop.report.figures.forest import ZONES
from biasprop.report.plotting import DOUBLE, GREY, PALE, SINGLE, NotApplicable, page, plain, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

CAPTION = (
    "Phase diagram: excess gap of every pretraining mix over the reference mix, on z, at every label budget "
    "(columns), one panel per fine-tuning condition. Colour: zone of the field's interval, and the intervals of all "
    "fields of the figure hold together at 95 % (Bonferroni): material is wholly beyond the margin, negligible wholly "
    "inside it; present, size unclear leaves out 0."
)

ROW = 0.24
"""Height of one mix, inches."""


@style()
def draw(cube: xr.Dataset, estimates: Sequence[Estimate], study: Study) -> Figure:
    """Draw the excess gap of every mix over the balanced one at every budget, one panel per other arm.

    The zones are computed for this figure: the intervals of all its fields, which the study may not have stated as
    estimands, hold together at 95 % (Bonferroni).

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: not used.
        study: its estimands give subgroups, margin and the reference.

    Raises:
        NotApplicable: no factor varies the share or the budget, or no mix is balanced.
    """
    from biasprop.statistics.levels import compared, reference_level

    z = z_by_replicate(cube, study)
    facets = Facets.of(z, study)
    budget = facets.budgets(z)
    pair = compared(cube, study.estimands)
    reference = reference_level(
        cube, [e for e in study.estimands if e.compared_with and e.compared_with[0] == facets.pretraining]
    )
    if pair is None or reference is None or reference[0] != facets.pretraining:
        raise NotApplicable("no pretraining mix is the reference of a gap")
    found = _fields(measured(cube, study), study, facets, pair, reference[1])
    mixes = list(dict.fromkeys(field.arm[facets.pretraining] for field in found))
    if not mixes:
        raise NotApplicable("the reference is the only pretraining mix")
    across = 2 if len(facets.rows) > 1 else 1
    down = -(-len(facets.rows) // across)
    figure = page(DOUBLE if across > 1 else SINGLE, 0.9 + down * (ROW * len(mixes) + 0.3))
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    budgets = z[budget].values.tolist()
    for axes, row in zip(grid.ravel(), facets.rows, strict=False):
        own = [field for field in found if row.items() <= field.arm.items()]
        _panel(axes, own, facets, mixes, budgets)
        axes.set_title(row_place(row))
    for axes in grid.ravel()[len(facets.rows) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(mixes)), [plain(mix) for mix in mixes])
    figure.supxlabel("labels", fontsize=8)
    figure.supylabel(plain(facets.pretraining), fontsize=8)
    _legend(figure, f"excess gap over {plain(reference[1])}: z({plain(pair[0])}) \N{MINUS SIGN} z({plain(pair[1])})")
    return figure


def _fields(
    measures: xr.Dataset, study: Study, facets: Facets, pair: tuple[str, str], reference: Any
) -> list[Estimate]:
    """Estimate the excess gap of every mix at every arm, with intervals that hold together."""
    from biasprop.estimands import estimand
    from biasprop.statistics.estimate import estimates

    margin = next((e.margin for e in study.estimands if e.kind == "excess_gap" and e.scale == "z"), None)
    mixes, shares = measures[facets.pretraining].values.tolist(), measures["share"].sel(subgroup=pair[0]).values
    stated = []
    for mix, share in zip(mixes, shares, strict=True):
        if mix == reference or np.isnan(share):
            continue
        stated.append(
            estimand(
                "excess_gap",
                name=plain(mix),
                subgroups=pair,
                factor=facets.pretraining,
                reference=reference,
                at={facets.pretraining: mix},
                margin=margin,
                secondary=True,
            )
        )
    return estimates(measures, stated)


def _panel(axes: Axes, fields: Sequence[Estimate], facets: Facets, mixes: Sequence[Any], budgets: list[Any]) -> None:
    from matplotlib.patches import Rectangle

    for field in fields:
        x, y = budgets.index(field.arm[str(facets.budget)]), mixes.index(field.arm[facets.pretraining])
        colour = ZONES.get(field.verdict, PALE)
        axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0))
        if np.isfinite(field.value):
            text = f"{field.value:+.2f}".replace("-", "\N{MINUS SIGN}")
            ink = "white" if field.verdict in ZONES else "black"
            axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=ink)
    axes.set_xlim(-0.5, len(budgets) - 0.5)
    axes.set_ylim(len(mixes) - 0.5, -0.5)
    axes.set_xticks(range(len(budgets)), [plain(budget) for budget in budgets])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, title: str) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, label=zone) for zone, colour in ZONES.items()]
    handles.append(Patch(facecolor=PALE, edgecolor=GREY, linewidth=0.4, label="not resolved"))
    columns = 2 if figure.get_figwidth() == SINGLE else 4
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=title, title_fontsize=7)
