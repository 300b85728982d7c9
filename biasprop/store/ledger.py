"""The difficulty ledger beside the group of a store: a file of its own with a checksum; no result depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biasprop.store import json_cache

FILE = "ledger.json"
"""Its name in the store's folder."""


def read(store: Path) -> dict[str, Any] | None:
    """The stored ledger; None where it is missing or damaged, and has to be computed again."""
    return json_cache.read(Path(store) / FILE)


def write(store: Path, ledger: dict[str, Any]) -> None:
    """Write the ledger, whole or not at all; a failure to write is no error."""
    json_cache.write(Path(store) / FILE, ledger)
