"""Markdown from plain text: names of a study stand on a page as they are, whatever markup they look like."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from urllib.parse import quote

WIDTH = 120
"""Columns of a line of prose."""

_INLINE = re.compile(
    r"""
    [\\`*~$|\#]                         # code, emphasis, formulae, columns, closing hashes of a heading
    | (?<![^\W_])_ | _(?![^\W_])        # emphasis; not inside a word, as in linear_probe
    | <(?=[A-Za-z/!?])                  # HTML, not "<0.05"
    | &(?=[#A-Za-z])                    # entities
    | \](?=[(\[:])                      # links and definitions, not intervals
    """,
    re.VERBOSE,
)
_BLOCK = re.compile(r"^(?:(?=[=>])|(?=[-+](?![\d.]))|(\d+)(?=[.)](?:\s|$)))", re.MULTILINE)
"""What starts a list, a quotation or an underlined heading at the beginning of a line, where it is not a number."""


def escaped(text: str, *, in_link: bool = False) -> str:
    """Return text of one line so that Markdown shows every character of it as it is; every bracket ends a link."""
    marks = re.compile(rf"[\[\]] | {_INLINE.pattern}", re.VERBOSE) if in_link else _INLINE
    return marks.sub(r"\\\g<0>", " ".join(text.split()))


def prose(text: str) -> str:
    """Return a paragraph of plain text, in lines of :data:`WIDTH` columns."""
    return _BLOCK.sub(lambda found: f"{found[1] or ''}\\", filled(escaped(text)))


def filled(markdown: str) -> str:
    """Return a paragraph of Markdown in lines of :data:`WIDTH` columns."""
    return textwrap.fill(" ".join(markdown.split()), WIDTH, break_on_hyphens=False, break_long_words=False)


def code(text: str) -> str:
    """Return text as a code span."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def link(text: str, path: str, *, image: bool = False) -> str:
    """Return a link to a file, or a picture.

    Args:
        text: plain text.
        path: relative path of the file.
        image: whether it is shown instead.
    """
    return f"{'!' * image}[{escaped(text, in_link=True)}]({quote(path)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Return a table of plain text.

    Args:
        head: headings.
        rows: cells.
        left: columns that are left-aligned; the others are right-aligned.
    """
    rule = ["---" if i in left else "---:" for i in range(len(head))]
    lines = ([escaped(cell) for cell in cells] for cells in (head, *rows))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (next(lines), rule, *lines))
