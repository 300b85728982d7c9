"""Arrays in .npz, .npy and zarr, whose sizes are checked before anything is read."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError, suggestion
from biasprop.paths import reason, user_path
from biasprop.terminal import first_line, printable

MAX_BYTES = 16_000_000_000
"""Bytes of an array, uncompressed."""

MAX_RATIO = 1_100
"""Uncompressed over compressed bytes of an array; deflate reaches 1,032."""

ALWAYS_READ = 100_000_000
"""Bytes, uncompressed, up to which an array of zarr is read however little of it is stored: chunks that have the fill
value alone are not stored at all, and zstd has no limit."""

MAX_ARRAYS = 10_000
"""Arrays of a file."""

ENDINGS = (".npz", ".npy", ".zarr")
"""Endings of names of files, or of folders, that hold arrays."""

ZIP, NPY = b"PK\x03\x04", b"\x93NUMPY"
"""First bytes of an archive, and of an .npy file."""

CHUNK = 10_000
"""Rows of a table that are turned into text at a time."""


def is_array(file: str) -> bool:
    """Whether a path, with a name behind it or not, is one of a file of arrays."""
    return array_name(file)[0].suffix in ENDINGS


def array_name(file: str) -> tuple[Path, str]:
    """Path of a file of arrays, and the name behind it; empty if there is none."""
    front, colon, name = file.rpartition(":")
    return (user_path(front), name) if colon and front.endswith(ENDINGS) else (user_path(file), "")


class ArrayFile:
    """Named arrays of a file; each is read when it is asked for.

    Args:
        path: .npz or .npy (whose one array is called ``array``), told apart by their content, or .zarr (a group, or an
            array).

    Raises:
        InputError: it cannot be read, or an array is too large.
    """

    def __init__(self, path: Path):
        self.path = path
        self._zarr: dict[str, Any] = {}
        try:
            self.shapes = self._headers()
        except InputError:
            raise
        except Exception as error:  # NumPy, zipfile, zarr and their codecs raise errors of many kinds
            raise InputError(f"{path}: {_words(error)}") from error

    def _headers(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Name -> shape and type of every array."""
        if self.path.suffix == ".zarr":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of types that zarr may store in another way one day
                self._zarr = _zarr_arrays(self.path)
            found = {name: (tuple(array.shape), np.dtype(array.dtype)) for name, array in self._zarr.items()}
        elif not begins_with(self.path, ZIP):
            with self.path.open("rb") as file:
                found = {"array": _header(file, "array", self.path.stat().st_size)}
        else:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                if len(members) > MAX_ARRAYS:
                    raise ValueError(f"has {len(members):,} arrays; at most {MAX_ARRAYS:,} are read")
                found = {}
                for member in members:
                    sizes = f"{member.file_size:,} bytes out of {member.compress_size:,}"
                    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
                        raise ValueError(f"{member.filename}: {sizes} (a zip bomb?)")
                    if not member.filename.endswith(".npy"):
                        raise ValueError(f"{member.filename}: is no array")
                    with archive.open(member) as file:
                        found[member.filename.removesuffix(".npy")] = _header(file, member.filename, member.file_size)
        for name, (shape, dtype) in found.items():
            if dtype.hasobject and dtype.kind != "T":  # text of any length, which zarr alone has
                raise InputError(f"{self.path}: {name}: holds Python objects, which are not read; save numbers or text")
            if (size := math.prod(shape) * dtype.itemsize) > MAX_BYTES:
                raise InputError(f"{self.path}: {name}: has {size:,} bytes; at most {MAX_BYTES:,} are read")
        return found

    def read(self, name: str) -> NDArray[Any]:
        """An array.

        Raises:
            InputError: there is none of this name, or it is damaged.
        """
        if name not in self.shapes:
            raise InputError(f"{self.path}: no array {name!r}; {suggestion(name, self.shapes)}")
        try:
            if self.path.suffix == ".zarr":
                return np.asarray(self._zarr[name][...])
            found = np.load(self.path, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            with found:
                return found[name]
        except Exception as error:
            raise InputError(f"{self.path}: {name}: {_words(error)}") from error

    def only(self, dims: Sequence[int], wanted: str, what: str) -> str:
        """The name of an array: the wanted one, or the only one with this number of dims.

        Args:
            dims: allowed numbers of dims.
            wanted: name; empty if none is stated.
            what: in words, for messages.

        Raises:
            InputError: there is none, or several.
        """
        fitting = [name for name, (shape, _) in self.shapes.items() if len(shape) in dims]
        if wanted:
            if wanted not in fitting:
                raise InputError(f"{self.path}: no array {wanted!r} of {what}; {suggestion(wanted, fitting)}")
            return wanted
        if len(fitting) != 1:
            listed = ", ".join(fitting) or "none"
            raise InputError(
                f"{self.path}: which array has the {what}? Name it after a colon, as in "
                f"{self.path.name}:NAME; possible: {listed}"
            )
        return fitting[0]


class Columns:
    """The one-dimensional arrays of a file as the columns of a table (a ``tables.source.Source``)."""

    unit = "row"

    def __init__(self, file: ArrayFile):
        self._file = file
        lengths = {name: shape[0] for name, (shape, _) in file.shapes.items() if len(shape) == 1}
        if len(set(lengths.values())) > 1:
            stated = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise InputError(f"{file.path}: columns (arrays of one dim) differ in length: {stated}")
        self.names = list(lengths)

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Sequence[str]]]]:
        """Yield rows, some at a time: their numbers, from 1, and column -> cells as text."""
        arrays = {name: self._file.read(name) for name in columns}
        rows = max((len(array) for array in arrays.values()), default=0)
        for first in range(0, rows, CHUNK):
            last = min(first + CHUNK, rows)
            yield (
                np.arange(first + 1, last + 1, dtype=np.int32),
                {name: texts(array[first:last]) for name, array in arrays.items()},
            )


def texts(values: NDArray[Any]) -> list[str]:
    """Cells as text; NaN is a cell without a value."""
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "replace") for value in values]
    if values.dtype.kind == "f":
        return ["" if np.isnan(value) else f"{value:.12g}" for value in values.tolist()]
    if values.dtype.kind == "b":
        return [str(int(value)) for value in values]
    return [str(value) for value in values.tolist()]


def files_of(folder: Path) -> list[Path]:
    """All files of a folder such as one of zarr, also behind links; a folder that several links lead to is one.

    Raises:
        InputError: it has something else, such as a pipe, of which reading might never end.
    """
    found: list[Path] = []
    known: set[str] = set()
    for inside, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(inside)) in known:
            folders.clear()
            continue
        known.add(real)
        for path in (Path(inside, name) for name in files):
            if path.is_file():
                found.append(path)
            elif path.exists():
                raise InputError(f"{path}: is no file")
    return sorted(found)


def _zarr_arrays(path: Path) -> dict[str, Any]:
    """Name -> array of a group, or the only one; nothing is read yet.

    Raises:
        ValueError: one would run code.
        InputError: one would become large, and much larger than what is stored.
    """
    import zarr

    files_of(path)
    node = zarr.open(str(path), mode="r")
    found: dict[str, Any] = {"array": node} if isinstance(node, zarr.Array) else dict(node.arrays())
    for name, array in found.items():
        if any(getattr(codec, "codec_id", "") == "pickle" for codec in (*array.filters, *array.compressors)):
            raise ValueError(f"{name}: is stored as Python objects, which are not read")
        chunk = math.prod(array.chunks) * array.dtype.itemsize
        for what, size in (("is", array.nbytes), ("has chunks of", chunk)):
            if size <= ALWAYS_READ:
                continue
            stored = sum(file.stat().st_size for file in files_of(path if node is array else path / name))
            if size > MAX_RATIO * stored:
                sizes = f"{size:,} bytes out of {stored:,} that are stored"
                raise InputError(f"{path}: {name}: {what} {sizes} (a bomb, or are chunks missing?)")
    return found


def _header(file: Any, name: str, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a NumPy array, whose bytes have to be as many as they say."""
    head = io.BytesIO(file.read(70_000))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    if not dtype.hasobject and size != head.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} says that it is {' x '.join(map(str, shape))} {dtype}, and has {size:,} bytes")
    return shape, dtype


def begins_with(path: Path, *heads: bytes) -> bool:
    """Whether a file begins with one of some bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, heads))).startswith(heads)
    except OSError as error:
        raise InputError(f"{path}: {reason(error)}") from error


def _words(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, OSError) and error.errno:
        return reason(error)
    return f"cannot be read as arrays ({printable(first_line(error))})"
