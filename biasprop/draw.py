"""`python -m biasprop.draw STORE MEASURE --x FACTOR`: any measure of a study over any two of its factors.

Nothing is computed again and nothing but the picture is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def arguments() -> argparse.ArgumentParser:
    """The command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.draw", description="Draw a measure of a study over its factors."
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store, results/STUDY-DIGEST")
    parser.add_argument("measure", metavar="MEASURE", help="such as auc, z_gap, sensitivity or separability")
    parser.add_argument("--x", required=True, metavar="FACTOR", help="along the x axis")
    parser.add_argument("--by", metavar="FACTOR", help="a curve for each of its levels")
    parser.add_argument("--at", action="append", default=[], metavar="FACTOR=LEVEL", help="fix a factor")
    parser.add_argument("--subgroups", nargs="+", metavar="NAME", help="A and B of a gap, or whom to show")
    parser.add_argument("--out", type=Path, metavar="FILE", help="picture: .png, .svg or .pdf (default: MEASURE.png)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draw it.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if the store or an argument cannot be used (the problems are on stderr).
    """
    given = arguments().parse_args(argv)
    from biasprop.component import InputError
    from biasprop.report.plotting import NotApplicable

    try:
        file = draw(given.store, given.measure, given.x, given.by, given.at, given.subgroups, given.out)
    except InputError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except NotApplicable as reason:
        print(reason, file=sys.stderr)
        return 2
    print(file)
    return 0


def draw(
    store: Path,
    measure: str,
    x: str,
    by: str | None = None,
    at: Sequence[str] = (),
    subgroups: Sequence[str] | None = None,
    out: Path | None = None,
) -> Path:
    """Draw a measure of a store.

    Args:
        store: its folder.
        measure, x, by, subgroups: see :func:`biasprop.report.figures.curves.draw`.
        at: ``FACTOR=LEVEL`` each.
        out: picture to write; its suffix is the format. By default ``<measure>.png`` in the working directory.

    Raises:
        InputError: the store, the format, the folder or a name cannot be used.
        NotApplicable: too many panels or curves are left.
    """
    from biasprop.component import InputError
    from biasprop.report import results
    from biasprop.report.figures import curves
    from biasprop.report.plotting import save, unwritable
    from biasprop.statistics.measures import measure as measured
    from biasprop.store.view import open_cube
    from biasprop.study import design

    file = out or Path(f"{measure}.png")
    if problems := unwritable(file):
        raise InputError([f"--out: {problem}" for problem in problems])
    cube = open_cube(store).load()
    study = results.study_of(cube, store.resolve())
    fixed = design.parse_choices(study, at, "--at")
    if twice := [name for name, levels in fixed.items() if len(levels) > 1]:
        raise InputError([f"--at {name}: give one level" for name in twice])
    levels = {name: levels[0] for name, levels in fixed.items()}
    measures = measured(cube, study.evaluation.target_specificity)
    figure = curves.draw(measures, measure, x, by, at=levels, subgroups=subgroups)
    return save(figure, file.with_suffix(""), [file.suffix[1:]])[0]


if __name__ == "__main__":
    sys.exit(main())
