"""Problems as lines of text: ``file:line: key: what is wrong; what is allowed``."""

from __future__ import annotations

from collections.abc import Sequence

from biasprop import terminal
from biasprop.study.location import Location, dotted
from biasprop.study.overrides import Overridden
from biasprop.study.problems import MAX_PROBLEMS, Problem
from biasprop.study.source import Source

MAX_LENGTH = 1_000
"""Characters of one message."""


def messages(
    problems: Sequence[Problem], source: Source, overridden: Overridden, scale: str | None = None
) -> list[str]:
    """Problems as lines in the order of the file, those of options first; at most :data:`MAX_PROBLEMS`.

    Args:
        problems: of the tables that were validated.
        source: the study file.
        overridden: its tables after the options; knows which option set which key.
        scale: name of the scale that was applied.
    """
    lines = [(*_place(problem.location, source, overridden, scale), problem) for problem in problems]
    ordered = sorted(dict.fromkeys(lines), key=lambda line: line[:2])
    shown = [_printable(": ".join(filter(None, (where, dotted(p.location), p.what)))) for _, where, p in ordered]
    more = len(shown) - MAX_PROBLEMS
    return shown[:MAX_PROBLEMS] + [f"{source.name}: and {more} more problems"] * (more > 0)


def _place(location: Location, source: Source, overridden: Overridden, scale: str | None) -> tuple[int, str]:
    """Line of the file (0: an option) and where a key got its value: an option, a scale's table or the file."""
    if option := overridden.option(location):
        return 0, option
    scaled: Location = ("scale", scale or "", *location)
    line = source.line(scaled if scaled in source.lines else location)
    return line, f"{source.name}:{line}"


def _printable(line: str) -> str:
    """A message as one line of limited length, without characters that control a terminal."""
    plain = terminal.printable(line[: 2 * MAX_LENGTH])
    return terminal.clipped(plain, MAX_LENGTH)
