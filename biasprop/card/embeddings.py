"""Features of another model, one row per row of TABLE: an .npz or .npy file, or a table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biasprop.audit.columns import LabelledRows
from biasprop.component import InputError, suggestion
from biasprop.datasets.arrays import ZIP, ArrayFile
from biasprop.paths import reason
from biasprop.tables.columns import KINDS
from biasprop.tables.join import joined
from biasprop.tables.read import Column, Kind, Table, missing_column, read_table
from biasprop.tables.source import open_table
from biasprop.terminal import printable

IDENTIFIERS = ("ids", "id")
"""Names of the array of identifiers in an .npz file, besides that of --on."""
NPY = b"\x93NUMPY"
"""First bytes of an .npy file."""


def read_embeddings(file: Path, found: LabelledRows, on: str | None, many: bool) -> NDArray[np.float32]:
    """Read the features of labelled rows.

    Args:
        file: .npz (one two-dimensional array of numbers, and with ``on`` a one-dimensional one of that name or called
            ``ids`` or ``id``), .npy, or CSV or parquet whose columns other than ``on`` are features.
        found: the rows.
        on: identifier by which the files are joined; None = they have the same rows in the same order.
        many: whether several rows of TABLE may have the same identifier.

    Returns:
        [n, feature], NaN where the file lacks a row.

    Raises:
        InputError: the file cannot be used; names the row and the column, or the array.
    """
    if _head(file).startswith((ZIP, NPY)):
        features, keys = _from_arrays(file, on)
    else:
        features, keys = _from_table(file, on)
    if not (np.ptp(features, axis=0) > 0).any():
        raise InputError(f"{file}: all {len(features):,} rows have the same features")
    table = found.rows.tables[0]
    if on is None or keys is None:
        if len(features) != len(table.places):
            raise InputError(
                f"{file}: has {len(features):,} rows, and {table.file} has {len(table.places):,}; they have to be the "
                "same in the same order, or be joined by an identifier (--on)"
            )
        return features[found.rows.rows[0][found.audited]]
    rows = joined(table, keys, on, many).rows[found.rows.rows[0][found.audited]]
    return np.where((rows >= 0)[:, None], features[rows], np.float32(np.nan))


def _head(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(8)
    except OSError as error:
        raise InputError(f"{file}: {reason(error)}") from error


def _from_table(file: Path, on: str | None) -> tuple[NDArray[np.float32], Table | None]:
    with open_table(file, [on] if on else []) as source:
        if on and on not in source.names:
            raise InputError(missing_column({file: source.names}, "--on", on))
        names = [name for name in source.names if name != on]
        if not names:
            raise InputError(f"{file}: has no column of features")
        wanted: list[tuple[str, Kind]] = [(on, "key")] if on else []
        table = read_table(file, source, [*wanted, *((name, "number") for name in names)])
    features = np.empty((len(table.places), len(names)), np.float32)
    for column, name in enumerate(names):
        values = table.columns[name, "number"].data
        with np.errstate(over="ignore"):  # refused below
            features[:, column] = values
        wrong = np.flatnonzero(~np.isfinite(features[:, column]))
        if len(wrong):
            raise InputError(f"{table.at(int(wrong[0]), name)}: {_not_finite(float(values[wrong[0]]))}")
    return features, table if on else None


def _from_arrays(file: Path, on: str | None) -> tuple[NDArray[np.float32], Table | None]:
    arrays = ArrayFile(file)
    headers = arrays.shapes
    matrices = [name for name, (shape, dtype) in headers.items() if len(shape) == 2 and dtype.kind in "fiu"]
    if len(matrices) != 1:
        has = "; ".join(f"{name} {' x '.join(map(str, shape))} {dtype}" for name, (shape, dtype) in headers.items())
        raise InputError(f"{file}: has to hold one two-dimensional array of numbers, not {len(matrices)} (has: {has})")
    shape = headers[matrices[0]][0]
    if 0 in shape:
        raise InputError(f"{file}: {matrices[0]}: is empty ({shape[0]} x {shape[1]})")
    values = arrays.read(matrices[0])
    with np.errstate(over="ignore"):  # refused below
        features = values.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(features))
    if len(wrong):
        row, column = wrong[0].tolist()
        value = _not_finite(float(values[row, column]))
        raise InputError(f"{file}: {matrices[0]}: row {row + 1}, column {column + 1}: {value}")
    return features, _keys(arrays, on, len(features)) if on else None


def _keys(arrays: ArrayFile, on: str, rows: int) -> Table:
    """Identifiers of the rows of an .npz file, as a table with one column."""
    file, headers = arrays.path, arrays.shapes
    name = next((name for name in (on, *IDENTIFIERS) if name in headers), None)
    if name is None:
        wanted = " or ".join(dict.fromkeys((on, *IDENTIFIERS)))
        raise InputError(f"{file}: no array {wanted} with the identifiers (--on); {suggestion(on, headers)}")
    if headers[name][0] != (rows,):
        shape = " x ".join(map(str, headers[name][0]))
        raise InputError(f"{file}: {name}: has the shape {shape or 'of a single value'}, and there are {rows:,} rows")
    values = arrays.read(name).tolist()
    cells = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    places = np.arange(1, rows + 1, dtype=np.int32)
    parser = KINDS["key"](lambda place: f"{file}: row {place}: {printable(name)}")
    parser.add(cells, places)
    return Table(file, "row", places, {(on, "key"): Column(parser.finish(), parser)})


def _not_finite(value: float) -> str:
    return "is empty" if math.isnan(value) else f"is {value:g}; has to be a finite number"
