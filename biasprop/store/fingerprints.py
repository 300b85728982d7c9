"""What the fingerprints of a store stand for: files named by the hash of their text, and lines of the event log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from biasprop.store import json_cache, safe_files
from biasprop.store.integrity import hash64

FOLDER = "fingerprints"


def file(store: Path, number: int) -> Path:
    """Where the text of a fingerprint lies."""
    return store / FOLDER / f"{number:016x}.json"


def find(store: Path, number: int) -> dict[str, Any] | None:
    """What a fingerprint stands for; None where its file is missing or damaged."""
    try:
        text = safe_files.read_bytes(file(store, number), json_cache.MAX_BYTES)
        return json.loads(text) if hash64(text) == number else None
    except (OSError, ValueError):
        return None


def number_of(fingerprint: Mapping[str, Any]) -> tuple[int, str]:
    """The hash of a fingerprint, and the text that it is of."""
    text = json.dumps(dict(fingerprint), sort_keys=True, indent=1)
    return hash64(text.encode()), text


def write(store: Path, number: int, text: str) -> None:
    """Keep a fingerprint's text.

    Raises:
        OSError: it cannot be written.
    """
    file(store, number).parent.mkdir(exist_ok=True)
    json_cache.write_text(file(store, number), text)


def event(number: int, text: str) -> dict[str, Any]:
    """What the event log says of a fingerprint when it is first seen."""
    return {"event": "fingerprint", "number": f"{number:016x}", "text": text}


def lost(store: Path, numbers: Iterable[int], events: list[dict[str, Any]]) -> Iterator[tuple[int, str | None]]:
    """(number, text) of those without a sound file; the text is the event log's, None where that has none either."""
    logged = {told["number"]: str(told["text"]) for told in events if told.get("event") == "fingerprint"}
    for number in sorted(numbers):
        if find(store, number) is None:
            text = logged.get(f"{number:016x}")
            yield number, text if text is not None and hash64(text.encode()) == number else None
