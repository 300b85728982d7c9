"""Tables of the terminal on a page: the same cells, with headings that screen readers can follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biasprop.html.blocks import Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def html_table(table: RichTable) -> Table:
    """Return a table of :mod:`biasprop.report.tables` or of its neighbours as a block.

    Its title becomes the caption, its caption the notes; the leading columns that are not right-aligned name the rows.

    Args:
        table: with cells of plain text.
    """
    left = [column.justify != "right" for column in table.columns]
    names = left.index(False) if False in left else 1
    title, below = str(table.title or ""), str(table.caption or "")
    return Table(
        caption=" ".join(title.split()),
        head=[str(column.header) for column in table.columns],
        rows=list(zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)),
        names=names,
        text=frozenset(i for i, is_text in enumerate(left) if is_text and i >= names),
        notes=[line.strip() for line in below.splitlines() if line.strip()],
    )
