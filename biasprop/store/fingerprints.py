"""Fingerprints (what an arm's bits depend on): files named by the hash of their text, and lines of the event log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from biasprop.store import json_cache, safe_files
from biasprop.store.integrity import hash64

FOLDER = "fingerprints"


def file(store: Path, number: int) -> Path:
    """The file with the text of a fingerprint."""
    return store / FOLDER / f"{number:016x}.json"


def find(store: Path, number: int) -> dict[str, Any] | None:
    """The content of a fingerprint; None where its file is missing or damaged."""
    try:
        text = safe_files.read_bytes(file(store, number), json_cache.MAX_BYTES)
        return json.loads(text) if hash64(text) == number else None
    except (OSError, ValueError):
        return None


def number_of(fingerprint: Mapping[str, Any]) -> tuple[int, str]:
    """The hash of a fingerprint, and the hashed text."""
    text = json.dumps(dict(fingerprint), sort_keys=True, indent=1)
    return hash64(text.encode()), text


def write(store: Path, number: int, text: str) -> None:
    """Write a fingerprint's text.

    Raises:
        OSError: it cannot be written.
    """
    file(store, number).parent.mkdir(exist_ok=True)
    json_cache.write_text(file(store, number), text)


def event(number: int, text: str) -> dict[str, Any]:
    """The event to log when a fingerprint is first stored."""
    return {"event": "fingerprint", "number": f"{number:016x}", "text": text}


def lost(store: Path, numbers: Iterable[int], events: list[dict[str, Any]]) -> Iterator[tuple[int, str | None]]:
    """(number, text) of fingerprints without a sound file; the text is from the event log, None if it is not there."""
    logged = {entry["number"]: str(entry["text"]) for entry in events if entry.get("event") == "fingerprint"}
    for number in sorted(numbers):
        if find(store, number) is None:
            text = logged.get(f"{number:016x}")
            yield number, text if text is not None and hash64(text.encode()) == number else None
