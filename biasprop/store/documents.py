"""The JSON documents that describe a store's arrays, kept twice, so that no result hangs on a single small file.

``metadata.json`` holds a copy of every ``zarr.json`` of the store, with a checksum. It is written first and the others
after it: where they differ, either one of them is damaged or a growth was cut short, and the copy is right. Where the
copy is damaged, they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biasprop.store import json_cache, safe_files
from biasprop.store.variables import VARIABLES

COPY = "metadata.json"
"""The copy's name in the store's folder."""

GROUP = "zarr.json"

NAMES = (GROUP, *(f"{name}/zarr.json" for name in VARIABLES))
"""Every document, by its path in the store."""

Documents = dict[str, Any]


def read(path: Path) -> Documents:
    """Every document as it lies on disk; None for one that is missing or no JSON."""
    return {name: _parsed(path / name) for name in NAMES}


def write(path: Path, documents: Documents) -> None:
    """Replace documents, the copy first; a kill leaves what :func:`mend` completes. For a holder of the store's lock.

    Raises:
        OSError: one cannot be written.
    """
    json_cache.write_or_raise(path / COPY, documents)
    now = read(path)
    for name in (name for name in NAMES if documents[name] != now[name]):
        json_cache.write_text(path / name, json.dumps(documents[name], indent=2))


def copy(path: Path) -> None:
    """Make the copy of a store that is whole. For a holder of the store's lock, or the maker of the store.

    Raises:
        OSError: it cannot be written.
    """
    json_cache.write_or_raise(path / COPY, read(path))


def damaged(path: Path) -> list[str]:
    """Documents that are not what the copy says; none where there is no sound copy. Writes nothing."""
    right = json_cache.read(path / COPY)
    if right is None or set(right) != set(NAMES):
        return []
    now = read(path)
    return [name for name in NAMES if now[name] != right[name]]


def has_copy(path: Path) -> bool:
    """Whether there is a sound copy."""
    return json_cache.read(path / COPY) is not None


def mend(path: Path) -> list[str]:
    """Write damaged documents again from the copy. For a holder of the store's lock.

    Returns:
        Their names.

    Raises:
        OSError: one cannot be written.
    """
    wrong = damaged(path)
    if wrong:
        write(path, json_cache.read(path / COPY))
    return wrong


def resized(documents: Documents, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> Documents:
    """The documents of longer arrays, (name, shape) each; no chunk is touched."""
    longer = {f"{name}/zarr.json": {"shape": list(shape)} for name, shape in shapes}
    return {name: document | longer.get(name, {}) for name, document in documents.items()}


def _parsed(file: Path) -> Any:
    try:
        return json.loads(safe_files.read_bytes(file, json_cache.MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
