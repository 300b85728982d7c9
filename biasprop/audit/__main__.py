"""`python -m biasprop.audit TABLE --label COLUMN --score COLUMN --by COLUMN[,COLUMN]`: audit predictions by group.

Exit codes: 0 finished; 1 a bug, with its traceback; 2 bad input, or a file that cannot be read or written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from biasprop import command, terminal
from biasprop.audit import arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from biasprop.html.blocks import Page


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    terminal.configure()
    options = arguments.arguments().parse_args(argv)
    return command.explained(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    from biasprop.component import InputError

    if problems := arguments.problems(options):
        raise InputError(problems)
    if options.label is None:
        return _aggregate(options)
    from biasprop.audit.audited import audit_table

    found = audit_table(options)
    if options.figure or options.html:
        from biasprop.report.audit_page import audit_page
        from biasprop.report.figures import audited

        drawn = audited.draw(found.audit)
        given = options.table.name, found.audit, found.case_mix, found.notes, found.stated
        _save(options, drawn, lambda: audit_page(*given, drawn))
    if options.json:
        print(json.dumps({"table": str(options.table)} | found.to_json(), allow_nan=False))
        return 0
    from biasprop.report import audit_tables

    print(audit_tables.text(found.audit, found.case_mix, found.notes, found.stated), end="")
    return 0


def _aggregate(options: argparse.Namespace) -> int:
    from biasprop.audit.aggregate import read_aggregate

    found = read_aggregate(options.table)
    if options.figure or options.html:
        from biasprop.report.audit_page import aggregate_page
        from biasprop.report.figures import audited

        drawn = audited.draw_aggregate(found)
        _save(options, drawn, lambda: aggregate_page(options.table.name, found, drawn))
    if options.json:
        from biasprop.statistics.summary import plain

        records = plain(found.to_dict("records"))
        print(json.dumps({"table": str(options.table), "aggregate": records}, allow_nan=False))
        return 0
    from biasprop.report import audit_tables

    print(audit_tables.aggregate_text(found), end="")
    return 0


def _save(options: argparse.Namespace, figure: Figure, page: Callable[[], Page]) -> None:
    """Write the figure and the page, each if a file is given."""
    from biasprop.report.plotting import save_as
    from biasprop.store import whole_files

    if options.figure:
        save_as(figure, options.figure)
    if options.html:
        whole_files.write_text(options.html, str(page()))


if __name__ == "__main__":
    command.start(main)
