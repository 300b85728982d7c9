"""The zarr group of a store: opening it checked, and reading and writing single arms.

zarr v3 on the local file system. One arm is one chunk of every array, so two writers never share a file, and every
chunk carries zstd's own checksum. The store may be of unknown origin: nothing is written through a link, and nothing
unpacks to more than an arm has.
"""

from __future__ import annotations

import asyncio
import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.core.buffer import Buffer
from zarr.core.buffer.core import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from biasprop.component import InputError
from biasprop.paths import named
from biasprop.store import json_cache, metadata, safe_files
from biasprop.store.layout import Layout
from biasprop.store.variables import VARIABLES

FOLDERS = (metadata.GROUP, "fingerprints", "cache", "figures", "locks")
"""Folders in a store's folder."""

MAX_ARMS = 1_000_000
"""A layout of more arms than this is taken for damaged, not allocated."""

MAX_ARM_BYTES = 2_000_000_000
"""Of one arm, and of all statuses; a larger layout is taken for damaged."""

UNREADABLE = (ValueError, RuntimeError, OSError, TypeError, KeyError, MemoryError, AttributeError)
"""What zarr and its codecs raise on damaged bytes."""

Result = TypeVar("Result")


class Folder(LocalStore):
    """The group's folder as zarr sees it.

    Files are read and written in the event loop itself: they are small, and a thread for each takes longer.
    """

    def __init__(self, root: Path | str, *, document: bytes = b"", read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.document = document
        """The root's ``zarr.json``, which need not be what lies there."""
        self.chunk_bytes: dict[str, int] = {}
        """Name of an array -> bytes of its largest chunk."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        """See zarr: the content of a file, None where there is none.

        Raises:
            ValueError: it is no plain file, or too large, or unpacks to too much.
        """
        if byte_range is not None:
            raise ValueError("files of a store are read whole")
        try:
            content = self.document if key == metadata.ROOT else self._chunk(key)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if not self.root.is_dir():  # moved away or unmounted since it was opened, and not an empty chunk
                raise
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)

    def _chunk(self, key: str) -> bytes:
        most = self.chunk_bytes[key.partition("/")[0]]
        packed = safe_files.read_bytes(self.root / key, 2 * most + 1024)
        Zstd().decode(packed, bytearray(most))  # raises where it is more, before zarr makes room for it
        return packed

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        self._refuse_link(key)
        with named(self.root / key):
            self.set_sync(key, value)

    async def delete(self, key: str) -> None:
        """See zarr."""
        self._refuse_link(key.rpartition("/")[0])
        self.delete_sync(key)

    def _refuse_link(self, key: str) -> None:
        if linked := safe_files.first_link(self.root, key):
            raise safe_files.link_error(self.root / linked)


def open_group(path: Path, *, writable: bool) -> tuple[Layout, dict[str, zarr.Array], dict[str, Any]]:
    """Open a store: its layout, its variables' arrays, checked against the layout, and its attributes.

    Raises:
        InputError: there is no store, its metadata is damaged, or its format is of another version.
    """
    if not (path / metadata.GROUP / metadata.ROOT).is_file() and not (path / metadata.COPY).is_file():
        refuse_old(path)
        raise InputError(f"{path}: there is no result store here; give the folder that a run has made")
    if writable:
        refuse_links(path)
    root = _guarded(path, lambda: metadata.root(path))
    attrs = _guarded(path, lambda: dict(json.loads(root)["attributes"]))
    own = _guarded(path, lambda: dict(json.loads(attrs[metadata.OWN])))
    version = own.get("format")
    if not isinstance(version, int) or version < 1:
        raise InputError(f"{path}: the store's metadata is damaged (format {version!r}); move it away and run again")
    if version > metadata.FORMAT:
        raise InputError(
            f"{path}: the store has format {version}, this version of biasprop reads {metadata.FORMAT}; "
            "upgrade biasprop or give another --out DIR"
        )
    if version < metadata.FORMAT:
        raise _outdated(path, version)
    layout = _layout(path, own)
    folder = Folder(path / metadata.GROUP, document=root, read_only=not writable)
    folder.chunk_bytes = {name: _bytes(name, metadata.arm_chunk(name, layout)) for name in VARIABLES}
    mode = "r+" if writable else "r"
    with metadata.zarr_settings():
        group = _guarded(path, lambda: zarr.open_group(folder, mode=mode, zarr_format=3, use_consolidated=True))
        stored = _guarded(path, lambda: dict(group.arrays()))  # from the consolidated metadata: no file is read
    arrays = {name: _guarded(path / name, lambda name=name: _checked(stored[name], layout, name)) for name in VARIABLES}
    return layout, arrays, attrs


def refuse_old(path: Path) -> None:
    """Refuse a store of formats 1 to 3, whose group is the store's folder itself.

    Raises:
        InputError: it is one.
    """
    if not (path / metadata.ROOT).is_file():
        return
    try:
        document = json.loads(safe_files.read_bytes(path / metadata.ROOT, json_cache.MAX_BYTES))
        version = int(document["attributes"][metadata.OWN]["format"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        version = None
    raise _outdated(path, version)


def _outdated(path: Path, version: int | None) -> InputError:
    # Its arms lack variables that only computing them gives; the encoders, which took the time, are still there.
    has, suffix = ("an old format", "old") if version is None else (f"format {version}", f"format{version}")
    aside = shlex.join(["mv", str(path), f"{path}.{suffix}"])
    return InputError(
        f"{path}: the store has {has}, this version of biasprop reads {metadata.FORMAT}; move it aside and recompute "
        f"it (stored encoders are reused) by: {aside} && python -m biasprop.run STUDY"
    )


def refuse_links(path: Path) -> None:
    """Refuse a store that would have this process write elsewhere; arms are checked when they are written.

    Raises:
        InputError: something of it is a link.
    """
    for folder in ("", *FOLDERS):
        if linked := safe_files.links_in(path / folder):
            name = f"{folder}/{linked[0]}".lstrip("/")
            raise InputError(f"{path}: {name} is a link out of the store, where nothing is written; remove it")


def _layout(path: Path, own: Mapping[str, Any]) -> Layout:
    layout = _guarded(path, lambda: Layout.from_json(own["layout"]))
    if min((*layout.shape, *layout.sizes.values())) < 0 or math.prod(layout.shape) > MAX_ARMS:
        raise InputError(f"{path}: the store's metadata is damaged ({layout.shape} arms); move it away and run again")
    arm = sum(_bytes(name, VARIABLES[name].shape(layout.sizes)) for name in VARIABLES)
    if max(arm, math.prod(layout.shape) * layout.draws) > MAX_ARM_BYTES:
        raise InputError(f"{path}: the store's metadata is damaged ({arm} bytes per arm); move it away and run again")
    return layout


def _checked(array: zarr.Array, layout: Layout, name: str) -> zarr.Array:
    variable = VARIABLES[name]
    if [codec.to_dict()["name"] for codec in array.metadata.codecs] != ["bytes", "zstd"]:  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError("the array is not packed as a store's arrays are")
    dims = (*layout.dims, *variable.dims)
    chunk = (1,) * len(layout.shape) + metadata.arm_chunk(name, layout)
    fits = (
        array.dtype == np.dtype(variable.dtype)
        and array.shape == layout.shape + variable.shape(layout.sizes)
        # An arm that got more draws than the store was made for has a chunk for each stretch of draws.
        and all(
            has <= most if dim == "draw" else has == most
            for has, most, dim in zip(array.chunks, chunk, dims, strict=True)
        )
    )
    if not fits:
        raise ValueError("the array does not fit the store's layout")
    return array


def _bytes(name: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(VARIABLES[name].dtype).itemsize


def read(
    arrays: Mapping[str, zarr.Array], names: Iterable[str], index: tuple[int, ...]
) -> dict[str, np.ndarray | BaseException]:
    """Values of one arm, several variables at once: a third of the time that one after the other takes.

    Returns:
        name -> values, or one of UNREADABLE where a file is damaged.
    """

    async def all_of(names: list[str]) -> list[Any]:
        return await asyncio.gather(
            *(arrays[name].async_array.getitem(index) for name in names), return_exceptions=True
        )

    names = list(names)
    found = dict(zip(names, sync(all_of(names)), strict=True))
    return {name: value if isinstance(value, BaseException) else np.asarray(value) for name, value in found.items()}


def write(arrays: Mapping[str, zarr.Array], index: tuple[int, ...], values: Mapping[str, Any]) -> None:
    """Replace values of one arm, several variables at once and in no order.

    Raises:
        OSError: a file cannot be written; the others are by then.
    """

    async def all_of() -> list[Any]:
        return await asyncio.gather(
            *(arrays[name].async_array.setitem(index, value) for name, value in values.items()), return_exceptions=True
        )

    for result in sync(all_of()):
        if isinstance(result, BaseException):
            raise result


def _guarded(path: Path, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except (*UNREADABLE, RecursionError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: the store's metadata is damaged ({reason}); move it away and run again") from error
