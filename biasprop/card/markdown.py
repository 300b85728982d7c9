"""Blocks of a page as Markdown (CommonMark with tables). All text is data: nothing in it is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from biasprop.html.blocks import Block, Code, DescriptionList, Folded, Page, Paragraphs, Table
from biasprop.terminal import printable

SPECIAL = re.compile(r"([\\`*_|~$#]|\](?=\())")
"""What begins markup anywhere in a line."""
FIRST = re.compile(r"^([-+=\[]|\d+(?=[.)]))")
"""What makes a line a list, a heading or a definition."""
AUTOLINKS = {"@": "&#64;", "://": "&#58;//", "www.": "www&#46;"}
"""Beginnings of links and mentions that some renderers make of plain text."""


def markdown(page: Page) -> str:
    """Return a page as Markdown."""
    parts = [f"# {escaped(page.title)}", f"*{escaped(page.kind)}.* {escaped(page.lead)}"]
    parts += [f"> **{escaped(notice)}**" for notice in page.notices]
    for section in page.sections:
        parts += [f"## {escaped(section.heading)}", *_blocks(section.blocks, 3)]
    return "\n\n".join([*parts, f"---\n\n{escaped(page.footer)}"]) + "\n"


def escaped(text: str) -> str:
    """Return text on one line in which nothing is markup."""
    return FIRST.sub(lambda match: f"{match[1]}\\" if match[1].isdigit() else f"\\{match[1]}", _inline(text))


def _inline(text: str) -> str:
    """Text that does not begin a line."""
    line = SPECIAL.sub(r"\\\1", html.escape(printable(" ".join(str(text).split())), quote=False))
    for link, shown in AUTOLINKS.items():
        line = line.replace(link, shown)
    return line


def _blocks(blocks: Iterable[Block], level: int) -> list[str]:
    found = []
    for block in blocks:
        if isinstance(block, Paragraphs):
            first = block.lead
            for text in block.texts:
                found.append(f"**{escaped(text)}**" if first else escaped(text))
                first = False
        elif isinstance(block, DescriptionList):
            found.append("\n".join(_entry(name, value) for name, value in block.entries.items()))
        elif isinstance(block, Folded):
            found += [f"{'#' * level} {escaped(block.summary)}", *_blocks(block.blocks, level + 1)]
        elif isinstance(block, Table):
            found += _table(block)
        elif isinstance(block, Code):
            found.append("\n".join(f"    {printable(line)}" for line in block.text.splitlines()))
        else:
            raise TypeError(f"{type(block).__name__} has no form in Markdown")
    return found


def _entry(name: str, value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return f"- {escaped(name)}: {escaped(value)}"
    return "\n".join([f"- {escaped(name)}:", *(f"  - {escaped(line)}" for line in value)])


def _table(table: Table) -> list[str]:
    aligned = ["---" if i < table.names or i in table.text else "---:" for i in range(len(table.head))]
    rows = [table.head, aligned, *table.rows]
    lines = [f"| {' | '.join(cells if cells is aligned else map(_cell, cells))} |" for cells in rows]
    below = [f"- {escaped(note)}" for note in table.notes]
    return [f"**{escaped(table.caption)}**", "\n".join(lines), *(["\n".join(below)] if below else [])]


def _cell(cell: str | Block) -> str:
    if isinstance(cell, Block):
        raise TypeError(f"{type(cell).__name__} has no form in a cell of Markdown")
    return "<br>".join(map(_inline, cell.splitlines())) or " "
