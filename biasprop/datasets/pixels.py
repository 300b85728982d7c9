"""Pictures and embeddings of the people of a table, read once and cached with a digest of their contents."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.component import FieldProblems, InputError, about_field
from biasprop.datasets import features
from biasprop.datasets.arrays import MAX_BYTES, ArrayFile, array_name, files_of, is_array
from biasprop.datasets.people import MAX_NAMED, Files, People
from biasprop.datasets.pictures import Square, Unreadable, picture, resized
from biasprop.hardware.device import user_cache
from biasprop.paths import reason, user_path
from biasprop.store import json_cache, whole_files

VERSION = 2
"""Of the rules by which pictures are read; part of the names of cached files."""


@dataclass(frozen=True)
class ImageOptions:
    """How images are read."""

    images: str
    """Folder of the files that a table names, or a file of arrays with ``:NAME`` behind it if it has several."""
    size: int
    """Pixels along a side."""
    channels: int
    square: Square


@dataclass(frozen=True)
class Cached:
    """An array that has been read."""

    digest: str
    """Of its contents."""
    file: Path | None
    """Where it is cached; None if nothing can be written there."""
    shape: tuple[int, ...]
    values: NDArray[Any] | None = None

    def read(self) -> NDArray[Any]:
        """The array."""
        if self.values is not None:
            return self.values
        assert self.file is not None
        return np.load(self.file, mmap_mode="r", allow_pickle=False)


@about_field("images")
def images(people: People, how: ImageOptions) -> Cached:
    """Pictures of people: [n, size, size, channels] of 8 bits.

    Raises:
        FieldProblems: there are too many, or some cannot be read; names the first rows.
    """
    shape = (len(people.rows), how.size, how.size, how.channels)
    if (need := int(np.prod(shape))) > MAX_BYTES:
        what = f"{people.table.file}: {len(people.rows):,} pictures of {how.size} pixels need {need:,} bytes"
        raise FieldProblems([(("size",), f"{what}; at most {MAX_BYTES:,} are kept")])
    if is_array(how.images):
        path, name = array_name(how.images)
        key = [how.size, how.channels, how.square, name, people.rows.tolist(), len(people.table.places)]
        return _cached("images", [_contents(path), *key], lambda: _of_array(people, how, path, name))
    files = _listed(people, how)
    stamps = [[os.path.realpath(file), *_stamp(file)] for file in files]
    slices = None
    if people.files.slice:
        slices = people.column(people.files.slice, "number")
    return _cached(
        "images",
        [asdict(how), stamps, None if slices is None else slices.tolist()],
        lambda: _of_files(people, how, files, slices),
    )


@about_field("embeddings")
def embeddings(people: People, file: str) -> Cached:
    """Embeddings of people: [n, d], float32.

    Args:
        people: of the table.
        file: an .npz, .npy or zarr (``:NAME`` behind it if it has several arrays of two dims), or a table whose
            columns, other than the identifier, are all numbers.

    Raises:
        FieldProblems: a person has none, or they are not finite numbers.
    """
    path, name = array_name(file)
    keys = people.files.identifier
    known = people.column(keys, "key").tolist() if keys else people.rows.tolist()
    key = [_contents(path), path.suffix, name, keys, known, len(people.table.places)]
    return _cached("embeddings", key, lambda: _embedded(people, path, name))


def state(files: Files, images: str, embeddings: str) -> tuple[Any, ...]:
    """What changes when one of the files of a study does, as far as they can be told without reading the table.

    Pictures that a table names, and chunks of zarr arrays, are looked at once by a process.
    """
    found = []
    for field, file in (("table", files.table), ("images", images), ("embeddings", embeddings)):
        if file:
            path = array_name(file)[0]
            with about_field(field):
                found.append((os.path.realpath(path), *_stamp(path), os.stat(path).st_ctime_ns))
    return tuple(found)


def _cached(what: str, key: Any, compute: Any) -> Cached:
    """An array from the cache, or computed and written there.

    Args:
        what: front of the file's name.
        key: everything that the array depends on, as JSON values. Files of arrays are in it by their contents; pictures
            in a folder, which would take long to read, by resolved path, size and time.
        compute: returns it.
    """
    name = hashlib.blake2b(json.dumps([VERSION, key]).encode(), digest_size=16).hexdigest()
    folder = user_cache() / "biasprop" / "datasets"
    entry, file = folder / f"{what}-{name}.json", folder / f"{what}-{name}.npy"
    known = json_cache.read(entry, name)
    if known is not None:
        with suppress(OSError, ValueError):
            values = np.load(file, mmap_mode="r", allow_pickle=False)
            if list(values.shape) == known["shape"]:
                return Cached(known["digest"], file, tuple(values.shape))
    values = compute()
    digest = hashlib.blake2b(str((values.shape, values.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_files.replaced(file) as partial, partial.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
        json_cache.write_or_raise(entry, {"digest": digest.hexdigest(), "shape": list(values.shape)}, name)
    except OSError:  # a cache that cannot be written costs time alone
        return Cached(digest.hexdigest(), None, values.shape, values)
    return Cached(digest.hexdigest(), file, values.shape)


def _stamp(path: Path) -> list[int]:
    """What changes when a file does: its size and time, in nanoseconds."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: {reason(error)}") from error
    return [stat.st_size, stat.st_mtime_ns]


def _contents(path: Path) -> str:
    """A hash of a file, or of the names and contents of all files of a folder such as a zarr array."""
    found = hashlib.blake2b(digest_size=16)
    try:
        for file in files_of(path) if path.is_dir() else [path]:
            with file.open("rb") as stream:
                own = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
            found.update(json.dumps([str(file.relative_to(path)), own.hexdigest()]).encode())
    except OSError as error:
        raise InputError(f"{path}: {reason(error)}") from error
    return found.hexdigest()


def _listed(people: People, how: ImageOptions) -> list[Path]:
    """The files that a table names, which all lie in the folder."""
    folder = user_path(how.images) if how.images else user_path(people.files.table).parent
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    inside = os.path.realpath(folder)
    found, problems = [], []
    for i, name in enumerate(people.column(people.files.file, "text")):
        file = folder / f"{name}{people.files.suffix}"
        why = ""
        try:
            real = os.path.realpath(file)
        except ValueError as error:  # a name that no file can have
            problems.append(f"{people.at(i, people.files.file)}: {str(name)!r}: {error}")
            continue
        if not real.startswith(inside + os.sep):
            why = f"leads out of the folder {folder}"
        elif not os.path.isfile(real):
            why = "is a folder" if os.path.isdir(real) else f"there is no such file in {folder}"
        if why:
            problems.append(f"{people.at(i, people.files.file)}: {str(name)!r}: {why}")
        found.append(file)
    if problems:
        raise FieldProblems((("file",), problem) for problem in _first(problems))
    return found


def _of_files(
    people: People, how: ImageOptions, files: list[Path], slices: NDArray[np.float64] | None
) -> NDArray[np.uint8]:
    found = np.empty((len(files), how.size, how.size, how.channels), np.uint8)
    problems: list[str] = []
    for i, file in enumerate(files):
        index = None if slices is None else _whole(slices[i], people.at(i, people.files.slice))
        try:
            found[i] = picture(file, how.size, how.channels, how.square, index)
        except Unreadable as error:
            problems.append(f"{people.at(i, people.files.file)}: {file}: {error}")
            if len(problems) > MAX_NAMED:
                break
    if problems:
        raise FieldProblems((("file",), problem) for problem in _first(problems))
    return found


def _whole(number: float, place: str) -> int:
    if not number >= 0 or number != int(number):
        what = "is empty" if np.isnan(number) else f"{number:g} is no whole number of at least 0"
        raise FieldProblems([(("slice",), f"{place}: {what}")])
    return int(number)


def _of_array(people: People, how: ImageOptions, path: Path, name: str) -> NDArray[np.uint8]:
    arrays = ArrayFile(path)
    wanted = arrays.only((3, 4), name, "images, [n, h, w] or [n, h, w, 1 or 3]")
    shape = arrays.shapes[wanted][0]
    if len(shape) == 4 and shape[3] not in (1, 3):
        raise InputError(f"{path}: {wanted}: is {' x '.join(map(str, shape))}; images have 1 or 3 channels, last")
    _check_length(people, path, wanted, shape[0])
    read = arrays.read(wanted)
    if read.dtype == np.uint8 and shape[1:3] == (how.size, how.size) and how.channels == (*shape, 1)[3]:
        return read[people.rows].reshape(-1, how.size, how.size, how.channels)
    found = np.empty((len(people.rows), how.size, how.size, how.channels), np.uint8)
    for i, row in enumerate(people.rows):
        try:
            found[i] = resized(read[row], how.size, how.channels, how.square)
        except Unreadable as error:
            raise InputError(f"{path}: {wanted}: image {row + 1}: {error}") from error
    return found


def _check_length(people: People, path: Path, name: str, length: int) -> None:
    rows = len(people.table.places)
    if length != rows:
        raise InputError(f"{path}: {name} has {length:,} rows, and {people.table.file} has {rows:,}; they must agree")


def _embedded(people: People, path: Path, name: str) -> NDArray[np.float32]:
    key = people.files.identifier
    found = features.read(path, key or None, "generator.identifier", name)
    rows = found.rows_of(people.table, key or None, "generator.identifier")[people.rows]
    if (missing := np.flatnonzero(rows < 0)).size:
        more = f", as have {len(missing) - 1:,} more rows" if len(missing) > 1 else ""
        raise InputError(f"{people.at(int(missing[0]), key)}: has no embedding in {path}{more}")
    return found.values_of(rows)


def _first(problems: list[str]) -> list[str]:
    """The first problems, and how many more there are."""
    more = len(problems) - MAX_NAMED
    return problems[:MAX_NAMED] + ([f"... and {more:,} more"] if more > 0 else [])
