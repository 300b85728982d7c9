"""Features of another model, one row per row of TABLE: an .npz or .npy file, or a table."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.audit.columns import LabelledRows
from biasprop.component import InputError, suggestion
from biasprop.paths import reason
from biasprop.tables.columns import KINDS
from biasprop.tables.join import joined
from biasprop.tables.read import Column, Kind, Table, missing_column, read_table
from biasprop.tables.source import open_table
from biasprop.terminal import first_line, printable

MAX_BYTES = 8_000_000_000
"""Bytes of all arrays of a file, uncompressed."""
MAX_RATIO = 1_100
"""Uncompressed over compressed bytes; deflate reaches 1,032 with zeros alone."""
MAX_ARRAYS = 1_000
"""Arrays of a file."""
HEADER_BYTES = 10_000
"""Longest header of an array that is read."""
IDENTIFIERS = ("ids", "id")
"""Names of the array of identifiers in an .npz file, besides that of --on."""
DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, TokenError)
"""What NumPy and zipfile raise of damaged files; NumPy reads headers with Python's tokenizer."""
ZIP, NPY = b"PK\x03\x04", b"\x93NUMPY"


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
    head = _head(file)
    if head.startswith(ZIP) or head.startswith(NPY):
        features, keys = _from_arrays(file, on, head.startswith(ZIP))
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
        wrong = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
        if len(wrong):
            raise InputError(f"{table.at(int(wrong[0]), name)}: {_not_finite(float(values[wrong[0]]))}")
        features[:, column] = values
    return features, table if on else None


def _from_arrays(file: Path, on: str | None, archive: bool) -> tuple[NDArray[np.float32], Table | None]:
    with _readable(file):
        headers = dict(_headers(file) if archive else [("array", _header(file.read_bytes()[:HEADER_BYTES]))])
    for name, (shape, dtype) in headers.items():
        if dtype.hasobject:
            raise InputError(f"{file}: {name}: holds Python objects, which are not read; save numbers or text")
        if (size := math.prod(shape) * dtype.itemsize) > MAX_BYTES:
            raise InputError(f"{file}: {name}: has {size:,} bytes; at most {MAX_BYTES:,} are read")
    matrices = [name for name, (shape, dtype) in headers.items() if len(shape) == 2 and dtype.kind in "fiu"]
    if len(matrices) != 1:
        has = "; ".join(f"{name} {' x '.join(map(str, shape))} {dtype}" for name, (shape, dtype) in headers.items())
        raise InputError(f"{file}: has to hold one two-dimensional array of numbers, not {len(matrices)} (has: {has})")
    shape = headers[matrices[0]][0]
    if 0 in shape:
        raise InputError(f"{file}: {matrices[0]}: is empty ({shape[0]} x {shape[1]})")
    with _readable(file):
        features = _array(file, matrices[0], archive).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(features))
    if len(wrong):
        row, column = wrong[0].tolist()
        value = _not_finite(float(features[row, column]))
        raise InputError(f"{file}: {matrices[0]}: row {row + 1}, column {column + 1}: {value}")
    return features, _keys(file, on, headers, len(features)) if on else None


def _keys(file: Path, on: str, headers: dict[str, Any], rows: int) -> Table:
    """Identifiers of the rows of an .npz file, as a table with one column."""
    name = next((name for name in (on, *IDENTIFIERS) if name in headers), None)
    if name is None:
        wanted = " or ".join(dict.fromkeys((on, *IDENTIFIERS)))
        raise InputError(f"{file}: no array {wanted} with the identifiers (--on); {suggestion(on, headers)}")
    if headers[name][0] != (rows,):
        shape = " x ".join(map(str, headers[name][0]))
        raise InputError(f"{file}: {name}: has the shape {shape or 'of a single value'}, and there are {rows:,} rows")
    with _readable(file):
        values = _array(file, name, archive=True)
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
    places = np.arange(1, rows + 1, dtype=np.int32)
    parser = KINDS["key"](lambda place: f"{file}: row {place}: {printable(name)}")
    parser.add(texts, places)
    return Table(file, "row", places, {(on, "key"): Column(parser.finish(), parser)})


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Say what is wrong with a file that is damaged, or is none of NumPy's."""
    try:
        yield
    except DAMAGED as error:
        what = reason(error) if isinstance(error, OSError) and error.errno else first_line(error)
        raise InputError(f"{file}: cannot be read as NumPy arrays ({printable(what)})") from error


def _headers(file: Path) -> Iterator[tuple[str, tuple[tuple[int, ...], np.dtype]]]:
    """Name, shape and type of every array of an archive, whose sizes are checked before anything is decompressed."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_ARRAYS:
            raise ValueError(f"has {len(members):,} arrays, at most {MAX_ARRAYS:,} are read")
        if (total := sum(member.file_size for member in members)) > MAX_BYTES:
            raise ValueError(f"its arrays have {total:,} bytes, at most {MAX_BYTES:,} are read")
        for member in members:
            if member.file_size > MAX_RATIO * max(member.compress_size, 1):
                raise ValueError(
                    f"{member.filename}: {member.file_size:,} bytes out of {member.compress_size:,} (a zip bomb?)"
                )
            if not member.filename.endswith(".npy"):
                raise ValueError(f"{member.filename}: is no array")
            with archive.open(member) as opened:
                shape, dtype = _header(opened.read(HEADER_BYTES))
            if not dtype.hasobject and math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename}: says that it is larger than it is")
            yield member.filename.removesuffix(".npy"), (shape, dtype)


def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype]:
    head = io.BytesIO(content)
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    return shape, dtype


def _array(file: Path, name: str, archive: bool) -> NDArray[Any]:
    if not archive:
        return np.load(file, allow_pickle=False)
    with np.load(file, allow_pickle=False) as found:
        return found[name]


def _not_finite(value: float) -> str:
    return "is empty" if math.isnan(value) else f"is {value:g}; has to be a finite number"
