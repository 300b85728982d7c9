"""The event log of a store: one JSON object per line with a checksum, appended whole by any number of processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biasprop.paths import named
from biasprop.store import safe_files

FILE = "events.jsonl"
"""Its name in the store's folder."""

MAX_BYTES = 4_000_000_000
"""A larger log is not read."""

_CHECK = b', "check": "'


def append(store: Path, event: Mapping[str, Any]) -> None:
    """Add one line.

    Raises:
        OSError: it cannot be written, or only in part.
    """
    text = json.dumps(dict(event), default=str).encode()
    line = text[:-1] + _CHECK + _sum(text) + b'"}\n'
    file = store / FILE
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a full disk cut the last line
            line = b"\n" + line
        with named(file):
            written = os.write(descriptor, line)
            if written < len(line):
                os.write(descriptor, line[written:])  # raises the reason
    finally:
        os.close(descriptor)


def read(store: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The events, oldest first, and the numbers (from 1) of lines that cannot be read: cut short or damaged."""
    try:
        lines = safe_files.read_bytes(store / FILE, MAX_BYTES).split(b"\n")
    except FileNotFoundError:
        return [], []
    events, unreadable = [], []
    for number, line in enumerate(lines, 1):
        if line and (event := _event(line)) is not None:
            events.append(event)
        elif line:
            unreadable.append(number)
    return events, unreadable


def _event(line: bytes) -> dict[str, Any] | None:
    head, mark, check = line.rpartition(_CHECK)
    text = head + b"}" if mark else line  # older lines have no checksum
    try:
        event = json.loads(text)
    except ValueError:
        return None
    whole = isinstance(event, dict) and (not mark or check == _sum(text) + b'"}')
    return event if whole else None


def _sum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=4).hexdigest().encode()
