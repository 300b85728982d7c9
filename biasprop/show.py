"""`python -m biasprop.show STUDY`: the contact sheet of a study's generator.

Twins side by side, subgroups x labels, with the lesion (or other sign of the disease) outlined; below them every lever
that the generator measures, from low to high. Nothing is trained, and only the picture is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from biasprop import command, terminal
from biasprop.paths import user_path


def arguments() -> argparse.ArgumentParser:
    """The command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.show", description="Draw the contact sheet of a study's generator."
    )
    parser.add_argument("study", type=user_path, metavar="STUDY", help="study file (TOML)")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE", help="picture: .png, .svg or .pdf (default: name of STUDY, .png)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set a key, such as generator.size=64"
    )
    parser.add_argument(
        "--subjects", type=int, default=0, metavar="N", help="subjects per label (default 0: as many as fill two lines)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if the study or an argument is invalid (problems are printed on stderr).
    """
    terminal.configure()
    options = arguments().parse_args(argv)
    from biasprop.hardware import environment

    environment.configure()

    def run() -> int:
        print(show(options.study, options.out, options.set, options.subjects))
        return 0

    return command.explained(run)


def show(study_file: Path, out: Path | None = None, overrides: Sequence[str] = (), subjects: int = 0) -> Path:
    """Draw the contact sheet of a study file.

    Args:
        study_file: the study.
        out: picture to write; its suffix gives the format. By default ``<study>.png`` in the working directory.
        overrides: ``key=value``, as for ``biasprop.run``.
        subjects: per label, at most 200; 0 fills two lines.

    Raises:
        InputError: the study, the format, the folder or the number of subjects is invalid.
    """
    from biasprop.component import InputError
    from biasprop.report.plotting import note_on_glyphs, save_as, unwritable, without_glyph

    target = user_path(out or f"{study_file.stem}.png")
    problems = [f"--out: {problem}" for problem in unwritable(target, [study_file])]
    if not 0 <= subjects <= 200:
        problems.append(f"--subjects {subjects}: has to be 0 to 200")
    if problems:
        raise InputError(problems)

    from biasprop.study.load import load_study

    study = load_study(study_file, set=tuple(overrides))
    from biasprop.report.figures import contact_sheet

    figure = contact_sheet.draw(None, [], study, subjects=subjects, levers=True)
    written = save_as(figure, target)
    if lacking := without_glyph(figure):
        print(note_on_glyphs(lacking), file=sys.stderr)
    return written


if __name__ == "__main__":
    command.start(main)
