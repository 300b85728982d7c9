"""`python -m biasprop.draw STORE MEASURE --x FACTOR`: any measure of a study over one or two of its factors.

Reads stored scores, and writes only the picture. :func:`plot`, which is ``biasprop.plot``, draws on Matplotlib axes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biasprop import command, terminal
from biasprop.paths import user_path

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from biasprop.study.study import Study


def arguments() -> argparse.ArgumentParser:
    """The command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.draw", description="Draw a measure of a study over one or two of its factors."
    )
    parser.add_argument("store", type=user_path, metavar="STORE", help="folder of the store, results/STUDY-DIGEST")
    parser.add_argument("measure", metavar="MEASURE", help="such as auc, z_gap, sensitivity or separability")
    parser.add_argument("--x", required=True, metavar="FACTOR", help="factor of the x axis")
    parser.add_argument("--by", metavar="FACTOR", help="one curve per level of this factor")
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="FACTOR=LEVEL",
        help="fix another factor at a level (may be repeated)",
    )
    parser.add_argument("--subgroups", nargs="+", metavar="NAME", help="A and B of a gap, or the subgroups to show")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE", help="picture: .png, .svg or .pdf (default: MEASURE.png)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if the store or an argument is invalid (problems are printed on stderr).
    """
    terminal.configure()
    options = arguments().parse_args(argv)
    from biasprop.report.plotting import NotApplicable

    def run() -> int:
        given = options.measure, options.x, options.by, options.at, options.subgroups, options.out
        print(draw(options.store, *given))
        return 0

    try:
        return command.explained(run)
    except NotApplicable as reason:
        print(reason, file=sys.stderr)
        return command.BAD_INPUT


def draw(
    store: Path,
    measure: str,
    x: str,
    by: str | None = None,
    at: Sequence[str] = (),
    subgroups: Sequence[str] | None = None,
    out: Path | None = None,
) -> Path:
    """Draw a measure of a store over one or two of its factors.

    Args:
        store: folder of the store.
        measure, x, by, subgroups: see :func:`biasprop.report.figures.curves.draw`; by default A and B of a gap are
            those of the study's tables.
        at: ``FACTOR=LEVEL`` choices, one level per factor.
        out: picture to write; its suffix gives the format. By default ``<measure>.png`` in the working directory.

    Raises:
        InputError: the store, the format, the folder or a name is invalid.
        NotApplicable: too many levels are left to draw.
    """
    from biasprop.component import InputError
    from biasprop.report import answer, results
    from biasprop.report.figures import curves
    from biasprop.report.plotting import note_on_glyphs, save_as, unwritable, without_glyph
    from biasprop.study import design

    file = user_path(out or f"{measure}.png")
    if problems := unwritable(file):
        raise InputError([f"--out: {problem}" for problem in problems])
    study, cube, measures = _measured(store)
    fixed = design.parse_choices(study, at, "--at")
    if several := [name for name, levels in fixed.items() if len(levels) > 1]:
        raise InputError([f"--at {name}: give one level" for name in several])
    levels = {name: levels[0] for name, levels in fixed.items()}
    pair = subgroups or _compared(study, measures, measure)
    figure = curves.draw(measures, measure, x, by, at=levels, subgroups=pair)
    written = save_as(figure, file)
    terminal.say(answer.left_out(results.left_out(cube)))
    if lacking := without_glyph(figure):
        print(note_on_glyphs(lacking), file=sys.stderr)
    return written


def plot(
    store: str | Path,
    measure: str,
    x: str,
    by: str | None = None,
    *,
    at: Mapping[str, str | float] | None = None,
    subgroups: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a measure of a store on Matplotlib axes, for notebooks.

    Args:
        store: folder of the store; ``~`` is the home folder.
        measure: such as ``auc``, ``z_gap`` or ``separability``; of one with a value per subgroup, ``subgroups`` has to
            name one.
        x: factor along the x axis.
        by: factor with one curve per level; None draws one curve.
        at: factor -> level, for every other factor with several levels.
        subgroups: A and B of a gap (by default those of the study's tables), or the one to show.
        ax: axes to draw on; by default those of a new figure of ``matplotlib.pyplot``.

    Returns:
        The axes.

    Raises:
        InputError: the store or a name is invalid.
        NotApplicable: more than one panel is left to draw, or no arm is finished.
    """
    from biasprop.report.figures import curves

    study, _, measures = _measured(store)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    pair = subgroups or _compared(study, measures, measure)
    return curves.draw_on(ax, measures, measure, x, by, at=at, subgroups=pair)


def _measured(store: str | Path) -> tuple[Study, xr.Dataset, xr.Dataset]:
    """The study that a store was last run with, its cube, and its measures."""
    from biasprop.report import results
    from biasprop.statistics.measures import measure

    study, cube, _ = results.stored(store)
    return study, cube, measure(cube, **study.evaluation.decisions())


def _compared(study: Study, measures: xr.Dataset, measure: str) -> Sequence[str] | None:
    """A and B of a gap, as in the study's tables; None for other measures."""
    from biasprop.report.figures import curves
    from biasprop.statistics.levels import compared

    return compared(measures, study.estimands) if measure in curves.GAPS else None


if __name__ == "__main__":
    command.start(main)
