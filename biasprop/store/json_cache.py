"""JSON values in files with a checksum, which shows damage. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from biasprop.store import safe_files, whole_files

MAX_BYTES = 64_000_000
"""A larger file is not read."""


def read(path: Path, key: str = "") -> Any:
    """The value written with this key; None where the file is missing, damaged or of another key."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        stored = json.loads(safe_files.read_bytes(path, MAX_BYTES))
        if stored["checksum"] == _hash(key + json.dumps(stored["content"])):
            return stored["content"]
    return None


def write(path: Path, content: Any, key: str = "") -> None:
    """Write a JSON value, whole or not at all, also with several writers; a failure to write is no error.

    Args:
        path: the file; its folder is made.
        content: anything but None.
        key: names everything the content depends on.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_or_raise(path, content, key)


def write_or_raise(path: Path, content: Any, key: str = "") -> None:
    """As :func:`write`, into a folder that exists; a failure to write is an error.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, json.dumps({"checksum": _hash(key + json.dumps(content)), "content": content}))


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` of UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, also with several writers.

    Raises:
        OSError: it cannot be written.
    """
    with whole_files.replaced(path) as partial:
        partial.write_bytes(content)


def cached(folder: Path, key: str, compute: Callable[[], Any]) -> Any:
    """A JSON value from ``<folder>/cache/<key>.json``, or computed and written there; the file may be deleted.

    Args:
        folder: of a store, or of a user's caches.
        key: names everything the value depends on; letters and digits.
        compute: returns the value if there is no sound file.
    """
    path = Path(folder) / "cache" / f"{key}.json"
    content = read(path, key)
    if content is None:
        content = compute()
        write(path, content, key)
    return content


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
