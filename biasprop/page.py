"""`python -m biasprop.page STORE`: the report page of a store, one HTML file.

A run writes it into its store; this writes it again, or elsewhere, without the study file. Only the page is written.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from biasprop import command, terminal
from biasprop.paths import user_path


def arguments() -> argparse.ArgumentParser:
    """The command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.page", description="Write the report page of a store, one HTML file."
    )
    parser.add_argument("store", type=user_path, metavar="STORE", help="folder of the store, results/STUDY-DIGEST")
    parser.add_argument("--out", type=user_path, metavar="FILE", help="page to write (default: STORE/report.html)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if the store or the file cannot be used (problems are printed on stderr).
    """
    terminal.configure()
    options = arguments().parse_args(argv)
    from biasprop.hardware import environment

    environment.configure()

    def run() -> int:
        print(terminal.printable(str(write_page(options.store, options.out))))
        return 0

    return command.explained(run)


def write_page(store: Path, out: Path | None = None) -> Path:
    """Write the report page of a store.

    Args:
        store: folder of the store, which may be partly filled.
        out: HTML file to write, by default ``report.html`` in the store.

    Returns:
        The file.

    Raises:
        InputError: there is no such store, its study is no longer valid or is another one in this version of the
            package, or the file cannot be written.
        ExceptionGroup: some figures could not be drawn; no page is written.
    """
    from biasprop.component import InputError
    from biasprop.html.templates import unwritable
    from biasprop.report import figures, results
    from biasprop.store import whole_files

    report = results.stored_report(store)
    store = report.store
    file = store / results.PAGE if out is None else user_path(out)
    if problems := unwritable(file):
        raise InputError([f"--out: {problem}" for problem in problems])
    with tempfile.TemporaryDirectory(prefix="biasprop-") as temporary:
        folder = store / "figures"
        if not figures.belongs_to(folder, report.key):
            folder = Path(temporary) / "figures"
            figures.draw_all(report.cube, report.summary.estimates, folder, report.study)
        text = report.page(folder)
    whole_files.write_text(file, text)
    return file


if __name__ == "__main__":
    command.start(main)
