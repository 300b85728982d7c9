"""Metadata of a store, in two copies, so that damage to one small file loses no result.

Everything in the group apart from the arms' chunks follows from the layout and the attributes: the ``zarr.json`` of the
group, which also holds those of all arrays (consolidated metadata), a ``zarr.json`` for each array, and the
coordinates' chunks. ``metadata.json`` beside the group holds a copy of these files, with a checksum, and is written
first: where a file differs from the copy, it is damaged, or the process that added levels, replicates or draws was
stopped, and the copy is right. The group's own ``zarr.json`` is replaced last, so readers of the group alone see the
store either before or after such an addition.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from biasprop.store import json_cache, safe_files
from biasprop.store.coordinates import CHUNK_KEYS, POSITIONS_PER_CHUNK, chunk_shape, coordinates
from biasprop.store.layout import Layout
from biasprop.store.variables import DATA, VARIABLES

FORMAT = 4
"""Version of the format on disk; a store of another version is refused. Raised when an arm's variables change."""

GROUP = "cube.zarr"
"""The zarr group in the store's folder."""

ROOT = "zarr.json"
"""The group's metadata within the group."""

COPY = "metadata.json"
"""The copy in the store's folder."""

OWN = "biasprop"
"""The attribute for the store's own use, JSON text: format, layout, and what of it belongs to the study as it was last
run: view (factors and levels in its order) and, if the store has more, view_replicates (their number)."""

CONVENTIONS = "CF-1.12"

MAX_DRAWS = 1024
"""Length of a status chunk along ``draw``: with room for later draws, an arm's status stays one
file, which is written atomically."""

UNFINISHED = ".unfinished-store-"
"""How the name of a store begins while it is being created."""

ABANDONED_AFTER_S = 3600.0
"""Age at which an unfinished store is assumed to be that of a killed process, and removed."""

Files: TypeAlias = dict[str, bytes]
"""Path within the group -> content."""


def now() -> str:
    """The time in UTC, to the second (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def attributes(old: Mapping[str, Any], layout: Layout, wanted: Layout, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The group's attributes for a study, all text or numbers: equal to ``old`` where nothing has changed.

    Args:
        old: the attributes so far; empty for a new store.
        layout: everything the store holds or will hold, in the store's order.
        wanted: what the study asks for, in the study's order.
        attrs: the study's attributes. Tables and lists become JSON text, None is left out. Estimands that differ
            from the last ones are appended to a dated history; other attributes replace old values.
    """
    history = json.loads(old.get("estimands", "[]"))
    estimands = json.loads(json.dumps(attrs.get("estimands", [])))
    if not history or history[-1]["estimands"] != estimands:
        history.append({"date": now(), "estimands": estimands})
    own = {
        "format": FORMAT,
        "layout": layout.to_json(),
        "view": [[factor.name, factor.labels] for factor in wanted.factors],
    }
    if wanted.replicates < layout.replicates:
        own["view_replicates"] = wanted.replicates
    return {
        **{name: value for name, value in old.items() if name not in attrs},
        **{name: as_attribute(value) for name, value in attrs.items() if value is not None},
        "Conventions": CONVENTIONS,
        "comment": "a draw is a result only where its status is 1 (ok); -1 in integers and NaN stand for absent",
        "date_created": old.get("date_created", now()),
        "estimands": json.dumps(history),
        "history": old.get("history", f"{now()}: created by biasprop"),
        OWN: json.dumps(own),
    }


def as_attribute(value: Any) -> str | int | float:
    """A value that zarr and netCDF attributes can hold: text and numbers as they are, anything else as JSON text."""
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain else json.dumps(value, sort_keys=True)


def table(attrs: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A table or list that :func:`as_attribute` turned into JSON text; ``default`` if it is absent or damaged.

    Args:
        attrs: attributes of a cube.
        name: of the attribute.
        default: returned instead.
    """
    value = attrs.get(name)
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return default
    return value if isinstance(value, dict | list) else default


@contextlib.contextmanager
def zarr_settings() -> Iterator[None]:
    """Context manager and decorator in which a group is made or opened: with zarr's own settings, not with those that
    the user has made for other groups.

    Decoding chunks in batches of 64 instead of singly halves the time to load a cube of many small arms.
    """
    defaults = {key: value for settings in copy.deepcopy(zarr.config.defaults) for key, value in settings.items()}
    with zarr.config.set(defaults | {"codec_pipeline.batch_size": 64}):
        yield


@zarr_settings()
def files(layout: Layout, attrs: Mapping[str, Any], chunks: Mapping[str, tuple[int, ...]] | None = None) -> Files:
    """Every file of the group apart from the arms' chunks, the root last.

    Args:
        layout: what the store holds.
        attrs: from :func:`attributes`.
        chunks: the variables' chunk shapes in an existing store, which are kept.
    """
    content: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(content), zarr_format=3, attributes=dict(attrs))
    coords = coordinates(layout)
    for name, variable in VARIABLES.items():
        dims = (*layout.dims, *variable.dims)
        auxiliary = [other for other, c in coords.items() if other not in c.dims and set(c.dims) <= set(dims)]
        variable_attributes = {key: np.asarray(value).tolist() for key, value in variable.attributes.items()}
        variable_attributes |= {"ancillary_variables": "status"} if name in DATA else {}
        group.create_array(
            name,
            shape=layout.shape + variable.shape(layout.sizes),
            chunks=chunks[name] if chunks else (1,) * len(layout.shape) + arm_chunk(name, layout),
            dtype=variable.dtype,
            fill_value=np.dtype(variable.dtype).type(variable.absent),
            compressors=ZstdCodec(level=3, checksum=True),
            dimension_names=dims,
            attributes=variable_attributes | ({"coordinates": " ".join(auxiliary)} if auxiliary else {}),
        )
    for name, coordinate in coords.items():
        values, kind = coordinate.values, coordinate.values.dtype.kind
        if name in ("replicate", "draw"):
            values = np.arange(-(-len(values) // POSITIONS_PER_CHUNK) * POSITIONS_PER_CHUNK)
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=chunk_shape(coordinate, layout),
            dtype=str if kind == "U" else values.dtype,
            fill_value={"U": "", "f": np.nan}.get(kind, 0),
            compressors=ZstdCodec(level=3, checksum=True),
            chunk_key_encoding=CHUNK_KEYS[kind],  # type: ignore[arg-type]
            dimension_names=coordinate.dims,
            attributes=coordinate.attrs,
            config={"write_empty_chunks": True},
        )
        array[...] = values.astype(object) if kind == "U" else values
        array.resize(coordinate.values.shape)
    encoded = {key: buffer.to_bytes() for key, buffer in sorted(content.items())}
    arrays = {name: json.loads(encoded[f"{name}/{ROOT}"]) for name in (*VARIABLES, *coords)}
    root = json.loads(encoded.pop(ROOT)) | {
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays}
    }
    return encoded | {ROOT: json.dumps(root, indent=2).encode()}


def arm_chunk(name: str, layout: Layout) -> tuple[int, ...]:
    """Shape of a variable's chunk within one arm."""
    if name == "status":
        return (MAX_DRAWS,)
    return tuple(max(size, 1) for size in VARIABLES[name].shape(layout.sizes))


def make(path: Path, layout: Layout, attrs: Mapping[str, Any]) -> None:
    """Create an empty store atomically; one that another process has created first is left as it is.

    Args:
        path: the store's folder, which does not exist; its parents are created.
        layout: the study's.
        attrs: the study's, as for :func:`attributes`.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the store, whose name may have any characters and be as long as a name can be.
    unfinished = path.parent / f"{UNFINISHED}{os.getpid()}-{os.urandom(4).hex()}"
    for old in path.parent.glob(f"{UNFINISHED}*"):  # of processes that were killed while creating one
        with contextlib.suppress(OSError):  # its process has just finished and renamed it, or it is someone else's
            if time.time() - old.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(old)
    try:
        unfinished.mkdir()
        write(unfinished, files(layout, attributes({}, layout, layout, attrs)))
        os.rename(unfinished, path)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not (isinstance(error, OSError) and (path / COPY).exists()):
            raise


def write(store: Path, files: Files) -> None:
    """Write the files that differ, the copy first, the root last; after a kill :func:`mend` completes them.

    The caller holds the store's lock, or is creating the store.

    Raises:
        OSError: one cannot be written, or a link leads out of the store.
    """
    text = {name: content.decode("latin-1") for name, content in files.items()}
    if json_cache.read(store / COPY) != text:
        json_cache.write_or_raise(store / COPY, text)
    for name in differing(store, files):
        if link := safe_files.first_link(store, f"{GROUP}/{name}"):
            raise safe_files.link_error(store / link)
        file = store / GROUP / name
        file.parent.mkdir(parents=True, exist_ok=True)
        json_cache.write_bytes(file, files[name])


def copied(store: Path) -> Files | None:
    """The files recorded in the copy; None if it is missing or damaged."""
    text = json_cache.read(store / COPY)
    if not isinstance(text, dict) or ROOT not in text or not all(map(_is_inside, text)):
        return None
    try:
        return {name: content.encode("latin-1") for name, content in text.items()}
    except (AttributeError, ValueError):
        return None


def root(store: Path) -> bytes:
    """The group's metadata: from the copy, or from the group if the copy is missing or damaged.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    files = copied(store)
    return files[ROOT] if files else safe_files.read_bytes(store / GROUP / ROOT, json_cache.MAX_BYTES)


def differing(store: Path, files: Files) -> list[str]:
    """Names of the files that are missing from the group or have another content there."""
    return [name for name, content in files.items() if _content(store / GROUP / name, len(content)) != content]


def mend(store: Path) -> list[str]:
    """Restore damaged files from the copy and return their names within the group; the caller holds the store's lock.

    Raises:
        OSError: one cannot be written.
    """
    files = copied(store) or {}
    wrong = differing(store, files)
    if wrong:
        write(store, files)
    return wrong


def _content(file: Path, size: int) -> bytes | None:
    try:
        return safe_files.read_bytes(file, size)
    except (OSError, ValueError):
        return None


def _is_inside(name: str) -> bool:
    return not {"", "..", "."} & set(name.split("/")) and not PurePosixPath(name).is_absolute()
