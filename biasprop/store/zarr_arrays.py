"""The zarr arrays of a store: making them once, opening them checked, and growing them.

zarr v3 on the local file system. One arm is one chunk of every array, so two writers never share a file, and every
chunk carries zstd's own checksum. Metadata is never consolidated: it would go stale when the store grows.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from numpy.typing import ArrayLike
from zarr.codecs import ZstdCodec

from biasprop.component import InputError
from biasprop.store import documents, safe_files
from biasprop.store.folder import Folder
from biasprop.store.layout import Layout
from biasprop.store.variables import VARIABLES

FORMAT = 3
"""Version of what lies on disk; a store of another one is refused. It rises when an arm's variables change."""

OWN = "biasprop"
"""The group attribute that holds what the store itself needs: format, layout, view."""

LOCK = ".lock"
"""Held while a store's documents or an arm are written, or damage is mended."""

FOLDERS = ("fingerprints", "cache", "figures", "claims")
"""Folders beside the arrays in a store's folder."""

ABANDONED_AFTER_S = 3600.0
"""Seconds after which a half-made store is taken for that of a killed process, and removed."""

GROWTH_TIMEOUT = 20
"""Tenths of a second that a reader waits for a store which is being grown."""

MAX_ARMS = 1_000_000
"""A layout of more arms than this is taken for damaged, not allocated."""

MAX_ARM_BYTES = 2_000_000_000
"""Of one arm, and of all statuses; a layout that claims more is taken for damaged."""

MAX_DRAWS = 1024
"""Length of a status chunk along ``draw``: with room to grow, an arm's status stays one file, written in one step."""

PACKED = Zstd(level=3, checksum=True)
"""How a chunk is packed."""

UNREADABLE = (ValueError, RuntimeError, OSError, TypeError, KeyError, MemoryError, AttributeError)
"""What zarr and its codecs raise on damaged bytes."""

# Decoding chunks in batches of 64 instead of singly halves the time to load a cube of many small arms.
_PIPELINE = {"codec_pipeline.batch_size": 64}

Result = TypeVar("Result")


def make(path: Path, layout: Layout, attrs: Mapping[str, Any]) -> bool:
    """Make the empty store at ``path`` in one step: it is whole or not there, whatever is killed.

    Args:
        path: a folder that does not exist; its parents are made.
        layout: what to make room for.
        attrs: the group's attributes.

    Returns:
        False where another process made one first (it is left alone).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}"
    for old in path.parent.glob(f".{path.name}.*-*"):  # of processes that were killed while they made one
        with contextlib.suppress(FileNotFoundError):  # it was of a process that has just finished its own
            if time.time() - old.stat().st_mtime > ABANDONED_AFTER_S:
                _remove(old)
    try:
        _fill(aside, layout, attrs)
        os.rename(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            _remove(aside)
        if isinstance(error, OSError) and (path / "zarr.json").exists():
            return False
        raise
    return True


def _fill(folder: Path, layout: Layout, attrs: Mapping[str, Any]) -> None:
    group = zarr.open_group(Folder(folder), mode="w", zarr_format=3, attributes=dict(attrs))
    for name, variable in VARIABLES.items():
        group.create_array(
            name,
            shape=layout.shape + variable.shape(layout.sizes),
            chunks=(1,) * len(layout.shape) + _inner_chunk(name, layout),
            dtype=variable.dtype,
            fill_value=np.dtype(variable.dtype).type(variable.absent),
            compressors=ZstdCodec(level=PACKED.level, checksum=PACKED.checksum),
            dimension_names=(*layout.dims, *variable.dims),
            attributes={"long_name": variable.long_name, "units": "1"},
        )
    documents.copy(folder)


def _remove(folder: Path) -> None:
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()


def check(path: Path) -> None:
    """Compare the store's documents with their copy, for readers; another process may be writing them just now.

    Raises:
        InputError: one is damaged.
    """
    for _ in range(GROWTH_TIMEOUT):
        if not (wrong := documents.damaged(path)):
            return
        time.sleep(0.1)
    raise InputError(f"{path / wrong[0]}: damaged; run the study again, which restores it from {documents.COPY}")


def open_group(path: Path, *, writable: bool) -> tuple[zarr.Group, dict[str, Any]]:
    """Open a store and the metadata of its own.

    Raises:
        InputError: there is no store, its metadata is damaged, or its format is of another version.
    """
    if not (path / "zarr.json").is_file():
        raise InputError(f"{path}: there is no result store here; give the folder that a run has made")
    if writable:
        refuse_links(path)
    store, mode = Folder(path, read_only=not writable), "r+" if writable else "r"
    group = _read(path, lambda: zarr.open_group(store, mode=mode, zarr_format=3, use_consolidated=False))
    own = _read(path, lambda: _table(group.attrs[OWN]))
    version = own.get("format")
    if not isinstance(version, int) or version < 1:
        raise InputError(f"{path}: the store's metadata is damaged (format {version!r}); move it away and run again")
    if version > FORMAT:
        raise InputError(
            f"{path}: the store has format {version}, this version of biasprop reads {FORMAT}; "
            "upgrade biasprop or give another --out DIR"
        )
    if version < FORMAT:
        # Its arms lack variables that only computing them gives; the encoders, which took the time, are still there.
        aside = shlex.join(["mv", str(path), f"{path}.format{version}"])
        raise InputError(
            f"{path}: the store has format {version}, this version of biasprop reads {FORMAT}; computed anew (from the "
            f"encoders that are there) by: {aside} && python -m biasprop.run STUDY"
        )
    return group, own


def refuse_links(path: Path) -> None:
    """Say no to a store that would have this process write elsewhere; arms are looked at when they are written.

    Raises:
        InputError: something of it is a link.
    """
    for folder in ("", *FOLDERS):
        if linked := safe_files.links_in(path / folder):
            name = f"{folder}/{linked[0]}".lstrip("/")
            raise InputError(f"{path}: {name} is a link that leads out of the store; it is not written through")


def open_layout(path: Path, own: Mapping[str, Any]) -> Layout:
    """The layout a store says it has.

    Raises:
        InputError: it is damaged.
    """
    layout = _read(path, lambda: Layout.from_json(own["layout"]))
    if min((*layout.shape, *layout.sizes.values())) < 0 or math.prod(layout.shape) > MAX_ARMS:
        raise InputError(f"{path}: the store's metadata is damaged (it claims {layout.shape} arms)")
    arm = sum(_bytes(name, layout) for name in VARIABLES)
    if max(arm, math.prod(layout.shape) * layout.draws) > MAX_ARM_BYTES:
        raise InputError(f"{path}: the store's metadata is damaged (it claims {arm} bytes an arm)")
    return layout


def open_arrays(path: Path, group: zarr.Group, layout: Layout) -> dict[str, zarr.Array]:
    """Every variable's array, checked against the layout (an array may be longer: growth was cut short).

    Raises:
        InputError: one is missing or does not fit.
    """
    if isinstance(group.store, Folder):
        group.store.chunks.update({name: _chunk_bytes(name, layout) for name in VARIABLES})
    with zarr.config.set(_PIPELINE):
        return {name: _read(path / name, lambda name=name: _array(group, layout, name)) for name in VARIABLES}


def _array(group: zarr.Group, layout: Layout, name: str) -> zarr.Array:
    variable = VARIABLES[name]
    array = group[name]
    needed = layout.shape + variable.shape(layout.sizes)
    chunk = (1,) * len(layout.shape) + _inner_chunk(name, layout)
    grows = [dim not in variable.dims or dim == "draw" for dim in (*layout.dims, *variable.dims)]
    if not isinstance(array, zarr.Array):
        raise ValueError("there is no array")
    if [codec.to_dict()["name"] for codec in array.metadata.codecs] != ["bytes", "zstd"]:  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError("the array is not packed as a store's arrays are")
    fits = (
        array.dtype == np.dtype(variable.dtype)
        and array.ndim == len(needed)
        and all(
            has >= needs if may else has == needs for has, needs, may in zip(array.shape, needed, grows, strict=True)
        )
        # An arm that got more draws than the store was made for has a chunk for each stretch of draws.
        and all(
            has <= most if dim == "draw" else has == most
            for has, most, dim in zip(array.chunks, chunk, (*layout.dims, *variable.dims), strict=True)
        )
    )
    if not fits:
        raise ValueError("the array does not fit the store's layout")
    return array


def _inner_chunk(name: str, layout: Layout) -> tuple[int, ...]:
    if name == "status":
        return (MAX_DRAWS,)
    return tuple(max(size, 1) for size in VARIABLES[name].shape(layout.sizes))


def _bytes(name: str, layout: Layout) -> int:
    variable = VARIABLES[name]
    return math.prod(variable.shape(layout.sizes)) * np.dtype(variable.dtype).itemsize


def _chunk_bytes(name: str, layout: Layout) -> int:
    return math.prod(_inner_chunk(name, layout)) * np.dtype(VARIABLES[name].dtype).itemsize


def read(array: zarr.Array, index: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """One arm's values straight from its files, as ``array[index]`` gives them without zarr's millisecond a chunk.

    Args:
        array: of a store that :func:`make` made.
        index: where the arm lies.
        shape: of its values; the array may be longer.

    Raises:
        one of UNREADABLE: a file is damaged.
    """
    values = np.empty(shape, array.dtype)
    for key, part, _ in _parts(array, index, values):
        part[...] = _chunk(array, index, key)[tuple(map(slice, part.shape))]
    return values


def write(array: zarr.Array, index: tuple[int, ...], shape: tuple[int, ...], values: ArrayLike) -> None:
    """One arm's values straight into its files, as ``array[index] = values`` writes them without zarr's two
    milliseconds a chunk: a small arm is computed in less than its twenty chunks would take.

    Args:
        array, index, shape: as for :func:`read`; what is stored beyond the shape stays.
        values: of the shape, or one for all.

    Raises:
        OSError: a file cannot be written.
        one of UNREADABLE: a file of which something stays is damaged.
    """
    absent = _absent(array, index)
    for key, part, whole in _parts(array, index, np.broadcast_to(np.asarray(values, array.dtype), shape)):
        chunk = (absent if whole else _chunk(array, index, key)).copy()
        chunk[tuple(map(slice, part.shape))] = part
        nothing = np.array_equal(chunk, absent, equal_nan=chunk.dtype.kind == "f")
        content = np.ascontiguousarray(chunk, array.dtype.newbyteorder("<")).tobytes()
        array.store.put(key, None if nothing else PACKED.encode(content))  # pyright: ignore[reportAttributeAccessIssue]


def _parts(array: zarr.Array, index: tuple[int, ...], values: np.ndarray) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Every chunk of an arm: its file, what of the values lies in it, and whether that is all it has."""
    folder = "/".join((array.path, "c", *map(str, index)))
    inner, longest = array.chunks[len(index) :], array.shape[len(index) :]
    for at in np.ndindex(*(-(-size // step) for size, step in zip(values.shape, inner, strict=True))):
        own = (slice(k * step, (k + 1) * step) for k, step in zip(at, inner, strict=True))
        part = values[(..., *own)]
        room = tuple(min(step, size - k * step) for k, step, size in zip(at, inner, longest, strict=True))
        yield "/".join((folder, *map(str, at))), part, part.shape == room


def _chunk(array: zarr.Array, index: tuple[int, ...], key: str) -> np.ndarray:
    """What an arm's file holds."""
    try:
        content = PACKED.decode(array.store.chunk(key))  # pyright: ignore[reportAttributeAccessIssue]
    except FileNotFoundError:  # a chunk of nothing but the fill value is not kept
        return _absent(array, index)
    return np.frombuffer(content, array.dtype.newbyteorder("<")).reshape(array.chunks[len(index) :])


def _absent(array: zarr.Array, index: tuple[int, ...]) -> np.ndarray:
    """What an arm's file would hold if nothing were stored."""
    return np.full(array.chunks[len(index) :], array.fill_value, array.dtype)


def needed(arrays: Mapping[str, zarr.Array], layout: Layout) -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every array with room for a grown layout; one that is longer stays so."""
    wanted = {name: layout.shape + VARIABLES[name].shape(layout.sizes) for name in arrays}
    return [(name, tuple(map(max, array.shape, wanted[name]))) for name, array in arrays.items()]


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{OWN} holds no table")
    return value


def _read(path: Path, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: the store's metadata is damaged ({reason}); move it away and run again") from error
