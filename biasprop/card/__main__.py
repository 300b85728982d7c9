"""`python -m biasprop.card [TABLE] --facts FILE --embeddings FILE --study FOLDER --out card.html`: an adoption card.

Exit codes: 0 finished; 1 a bug, with its traceback; 2 bad input, or a file that cannot be read or written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biasprop import command, terminal
from biasprop.card import arguments

if TYPE_CHECKING:
    from biasprop.card.answers import Card


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
    from biasprop.card.answers import make_card
    from biasprop.store import whole_files

    card = make_card(options)
    texts = {ending: _text(card, ending) for ending in {file.suffix.lower() for file in options.out}}
    for file in options.out:
        whole_files.write_text(file, texts[file.suffix.lower()])
    if options.figure and card.audited is not None:
        from biasprop.report.figures import audited
        from biasprop.report.plotting import save_as

        save_as(audited.draw(card.audited.audit), options.figure)
    if options.json:
        print(_text(card, ".json"), end="")
    elif not options.out:
        print(_text(card, ".md"), end="")
    return 0


def _text(card: Card, ending: str) -> str:
    """The card in the format of a file's ending."""
    if ending == ".json":
        return json.dumps(card.to_json(), allow_nan=False) + "\n"
    from biasprop.card.document import document

    if ending == ".html":
        return str(document(card))
    from biasprop.card.markdown import markdown

    return markdown(document(card))


if __name__ == "__main__":
    command.start(main)
