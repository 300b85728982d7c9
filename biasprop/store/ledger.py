"""The difficulty ledger beside the arrays of a store: a file of its own with a checksum, which no result depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biasprop.store import json_cache

FILE = "ledger.json"
"""Its name in the store's folder."""


def read(store: Path) -> dict[str, Any] | None:
    """What was kept; None where it is missing or damaged, so that it is made again."""
    return json_cache.read(Path(store) / FILE)


def write(store: Path, told: dict[str, Any]) -> None:
    """Keep it, whole or not at all; a store that cannot be written stays without."""
    json_cache.write(Path(store) / FILE, told)
