"""What a store says about itself: the attributes of its group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from biasprop.store import zarr_arrays
from biasprop.store.layout import Layout

CONVENTIONS = "CF-1.12"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def attributes(old: Mapping[str, Any], layout: Layout, wanted: Layout, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The group's attributes for a study: equal to ``old`` where nothing has changed.

    Args:
        old: the attributes so far; empty for a new store.
        layout: everything the store holds or will hold, in the store's order.
        wanted: what the study asks for, in the study's order.
        attrs: the study's: its estimands join a dated history when they differ from the last, the others replace.
    """
    new = json.loads(json.dumps({**old, **attrs}))  # lists and tables as they will be read back
    dated = list(old.get("estimands", []))
    estimands = json.loads(json.dumps(attrs.get("estimands", [])))
    if not dated or dated[-1]["estimands"] != estimands:
        dated.append({"date": now(), "estimands": estimands})
    own = {
        "format": zarr_arrays.FORMAT,
        "layout": layout.to_json(),
        "view": [[factor.name, factor.labels] for factor in wanted.factors],
    }
    return {
        **new,
        "Conventions": CONVENTIONS,
        "estimands": dated,
        "history": old.get("history", f"{now()}: created by biasprop"),
        zarr_arrays.OWN: own,
    }
