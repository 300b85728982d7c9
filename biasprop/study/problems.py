"""Problems of a study: a location and what is wrong there, and how they read: ``file:line: key: problem; allowed``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biasprop.study.location import Location, dotted

if TYPE_CHECKING:
    from biasprop.study.overrides import Overridden
    from biasprop.study.source import Source

MAX_PROBLEMS = 100
"""Problems that are listed."""

MAX_LENGTH = 1_000
"""Characters of one message."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study."""

    location: Location
    """The key, part by part."""
    what: str
    """What is wrong and what is allowed."""

    def below(self, prefix: Location, drop: int = 0) -> Problem:
        """The same problem at ``prefix`` followed by its location without the first ``drop`` parts."""
        return Problem((*prefix, *self.location[drop:]), self.what)


def suggestion(wrong: Any, allowed: Iterable[Any]) -> str:
    """``allowed: a, b, c; did you mean a?``, the question only where one of them is close to ``wrong``."""
    names = [str(name) for name in allowed][:1_000]
    by_lower = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower, n=1, cutoff=0.5)
    listed = ", ".join(names[:40]) if names else "none"
    return f"allowed: {listed}" + (f"; did you mean {by_lower[close[0]]}?" if close else "")


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
    plain = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in line[: 2 * MAX_LENGTH]
    )
    return plain if len(plain) <= MAX_LENGTH else f"{plain[: MAX_LENGTH - 3]}..."
