"""A whole table: the columns that are asked for, and the place of each row in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError, suggestion
from biasprop.tables.columns import KINDS
from biasprop.tables.source import Source
from biasprop.terminal import printable

Kind = Literal["number", "category", "key", "text"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    data: NDArray[Any]
    """[row], as the kind of column says."""
    parser: Any
    """What read it: ``Numbers``, ``Categories``, ``Keys`` or ``Texts``."""


@dataclass(frozen=True)
class Table:
    """Columns of a file."""

    file: Path
    unit: str
    places: NDArray[np.int32]
    """[row], line or row of the file."""
    columns: Mapping[tuple[str, Kind], Column]

    def at(self, row: int, column: str) -> str:
        """Start of a message about a cell."""
        return cell_place(self.file, self.unit, column, int(self.places[row]))


def cell_place(file: Path, unit: str, column: str, place: int) -> str:
    """Start of a message about a cell: ``file:12: column`` in text, ``file: row 12: column`` in parquet."""
    where = f"{file}:{place}" if unit == "line" else f"{file}: row {place}"
    return f"{where}: {printable(column)}"


def missing_column(files: Mapping[Path, Iterable[str]], option: str, name: str) -> str:
    """A line that says that no file has a column of this name.

    Args:
        files: with the names of their columns.
        option: that states the name; empty if the message begins with it.
        name: of the column.
    """
    names = dict.fromkeys(printable(name) for names in files.values() for name in names)
    where = " and ".join(str(file) for file in files)
    stated = f" ({option})" if option else ""
    return f"{where}: no column {name!r}{stated}; {suggestion(name, names)}"


def read_table(file: Path, source: Source, wanted: Iterable[tuple[str, Kind]]) -> Table:
    """Read columns of a table.

    Args:
        file: named in messages.
        source: the open table, which has all the columns.
        wanted: name and kind of each column; a name may have several kinds.

    Raises:
        InputError: a column is there twice, a cell is not of its kind, or there are no rows.
    """
    wanted = list(dict.fromkeys(wanted))
    names = list(dict.fromkeys(name for name, _ in wanted))
    count = Counter(source.names)
    if twice := [name for name in names if count[name] > 1]:
        raise InputError(
            [f"{file}: the header has {count[name]} columns {name!r}; names must differ" for name in twice]
        )
    parsers = {one: KINDS[one[1]](partial(cell_place, file, source.unit, one[0])) for one in wanted}
    places = []
    for where, cells in source.chunks(names):
        places.append(where)
        for (name, _), parser in parsers.items():
            parser.add(cells[name], where)
    if not places:
        raise InputError(f"{file}: has no rows below the header")
    columns = {one: Column(parser.finish(), parser) for one, parser in parsers.items()}
    return Table(file, source.unit, np.concatenate(places), columns)
