"""Text on a terminal: names of a study are data, never markup, control sequences or a reason to fail.

Every command calls :func:`configure` first, every ``rich`` console is made by :func:`console`, and text that others may
have written passes through :func:`printable`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: invisible, but part of words in Persian and Indic scripts, and of emoji."""


def configure() -> None:
    """Let stdout and stderr write characters that their encoding lacks as escapes such as ``\\u65e5``.

    Escapes and not question marks, so that two names never become one.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console(**options: Any) -> Console:
    """Return a console that prints text as it is: no markup, no emoji codes, no highlighting.

    Args:
        options: of ``rich.console.Console``.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


def say(lines: Iterable[str]) -> None:
    """Print lines on stderr; characters that are not printable are escapes, because others may have written them."""
    for line in lines:
        print(printable(line, keep="\n"), file=sys.stderr)


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def one_line(error: BaseException) -> str:
    """Return an error's message in one line; its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def clipped(text: str, most: int = 60) -> str:
    """Return text as it is quoted in a message: at most so many characters, dots included."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def quoted_option(option: str, value: str) -> str:
    """Return an option with its value as messages quote them; the value may be long."""
    return f"{option} {clipped(value, 100)}"


def printable(text: str, keep: str = "") -> str:
    """Return text in which characters that are not printable are escapes, such as ``\\x1b``.

    Args:
        text: of any origin.
        keep: further characters that stay, such as a line break.
    """
    return "".join(
        c if c.isprintable() or c in JOINERS or c in keep else c.encode("unicode_escape").decode() for c in text
    )
