"""Features of another model (embeddings): one row per row of an .npz, .npy or zarr file, or of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError, suggestion
from biasprop.datasets.arrays import ENDINGS, NPY, ZIP, ArrayFile, begins_with, texts
from biasprop.tables.columns import KINDS
from biasprop.tables.join import joined
from biasprop.tables.read import Column, Kind, Table, cell_place, missing_column, read_table
from biasprop.tables.source import open_table

IDENTIFIERS = ("ids", "id")
"""Names of the array of identifiers, besides that of the column."""
LARGEST = float(np.finfo(np.float32).max)
"""Features are kept as float32."""


@dataclass(frozen=True)
class Features:
    """The rows of a file of features."""

    table: Table
    """The file, with its column of identifiers if it has one."""
    values: NDArray[Any]
    """[row, feature], numbers as the file has them."""
    columns: tuple[str, ...]
    """Name of each feature in a table; empty for an array."""
    array: str
    """Name of the array; empty for a table."""

    def rows_of(self, table: Table, key: str | None, option: str, many: bool = False) -> NDArray[np.int64]:
        """Find the row of each row of another table.

        Args:
            table: has the column ``key`` as a key.
            key: identifier by which the files are joined, which this one was read with; None = they have the same rows
                in the same order.
            option: that states the identifier, for messages.
            many: whether several rows of ``table`` may have the same identifier.

        Returns:
            [row of ``table``], -1 = none.

        Raises:
            InputError: numbers of rows differ, an identifier is there twice, or no identifier is in both files.
        """
        if key is not None:
            return joined(table, self.table, key, many).rows
        ours, theirs = len(self.values), len(table.places)
        if ours != theirs:
            raise InputError(
                f"{self.table.file}: has {ours:,} rows, and {table.file} has {theirs:,}; they have to be the same in "
                f"the same order, or be joined by an identifier ({option})"
            )
        return np.arange(ours)

    def values_of(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Features of rows: [n, feature].

        Raises:
            InputError: one is missing, or is not finite as float32; names the first row and column.
        """
        values = self.values[rows]
        with np.errstate(over="ignore"):
            found = values.astype(np.float32)
        wrong = ~np.isfinite(found)
        if wrong.any():
            affected = np.flatnonzero(wrong.any(axis=1))
            first, column = int(affected[0]), int(wrong[affected[0]].argmax())
            others = len(np.unique(rows[affected])) - 1
            more = f" ({others:,} more rows have such values)" if others else ""
            place = self._place(int(rows[first]), column)
            raise InputError(f"{place}: {_not_finite(float(values[first, column]))}{more}")
        return found

    def _place(self, row: int, column: int) -> str:
        if self.columns:
            return self.table.at(row, self.columns[column])
        return f"{self.table.file}: {self.array}: row {row + 1}, column {column + 1}"


def read(file: Path, key: str | None, option: str, name: str = "") -> Features:
    """Read a file of features.

    Args:
        file: .npz or .zarr (one two-dimensional array of numbers, and with ``key`` a one-dimensional one of that name
            or called ``ids`` or ``id``), .npy, or CSV or parquet whose columns other than ``key`` are features.
        key: name of the identifier; None if there is none.
        option: that states it, for messages.
        name: of the two-dimensional array, if there are several.

    Raises:
        InputError: the file cannot be used; names the row and the column, or the array.
    """
    if file.suffix in ENDINGS or begins_with(file, ZIP, NPY):
        return _from_arrays(file, key, option, name)
    return _from_table(file, key, option)


def _from_table(file: Path, key: str | None, option: str) -> Features:
    with open_table(file, [key] if key else []) as source:
        if key and key not in source.names:
            raise InputError(missing_column({file: source.names}, option, key))
        names = [name for name in source.names if name != key]
        if not names:
            raise InputError(f"{file}: has no column of features")
        wanted: list[tuple[str, Kind]] = [(key, "key")] if key else []
        table = read_table(file, source, [*wanted, *((name, "number") for name in names)])
    values = np.stack([table.columns[name, "number"].data for name in names], axis=1)
    keys = {one: column for one, column in table.columns.items() if one == (key, "key")}
    return Features(Table(file, table.unit, table.places, keys), values, tuple(names), "")


def _from_arrays(file: Path, key: str | None, option: str, name: str) -> Features:
    arrays = ArrayFile(file)
    matrices = {one: shape for one, (shape, dtype) in arrays.shapes.items() if len(shape) == 2 and dtype.kind in "fiu"}
    if name and name not in matrices:
        raise InputError(f"{file}: no two-dimensional array of numbers {name!r}; {suggestion(name, matrices)}")
    if not name and len(matrices) != 1:
        has = ", ".join(f"{one} {_size(shape)} {dtype}" for one, (shape, dtype) in arrays.shapes.items())
        advice = f"; name it after a colon, as in {file.name}:NAME" if matrices else ""
        count = len(matrices)
        raise InputError(f"{file}: has to hold one two-dimensional array of numbers, not {count}{advice} (has: {has})")
    name = name or next(iter(matrices))
    if 0 in matrices[name]:
        raise InputError(f"{file}: {name}: is empty ({_size(matrices[name])})")
    values = arrays.read(name)
    places = np.arange(1, len(values) + 1, dtype=np.int32)
    keys: dict[tuple[str, Kind], Column] = {}
    if key is not None:
        keys[key, "key"] = _identifiers(arrays, key, option, places)
    return Features(Table(file, "row", places, keys), values, (), name)


def _identifiers(arrays: ArrayFile, key: str, option: str, places: NDArray[np.int32]) -> Column:
    file, shapes = arrays.path, arrays.shapes
    allowed = tuple(dict.fromkeys((key, *IDENTIFIERS)))
    name = next((name for name in allowed if name in shapes), None)
    if name is None:
        wanted = " or ".join(allowed)
        raise InputError(f"{file}: no array {wanted} with the identifiers ({option}); {suggestion(key, shapes)}")
    if shapes[name][0] != places.shape:
        shape = _size(shapes[name][0]) or "of a single value"
        raise InputError(f"{file}: {name}: has the shape {shape}, and there are {len(places):,} rows")
    parser = KINDS["key"](lambda place: cell_place(file, "row", name, place))
    parser.add(texts(arrays.read(name)), places)
    return Column(parser.finish(), parser)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "is empty"
    return f"is {value:g}; has to be a finite number" + (f" of at most {LARGEST:.2g}" if math.isfinite(value) else "")
