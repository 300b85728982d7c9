"""Where the numbers of a store come from: when, for how long and on what they were computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Provenance:
    """When, for how long and on what a store was computed; nothing that names a machine, a user or a folder."""

    date: str | None
    """Day on which the last arm was computed, YYYY-MM-DD in UTC; None where the event log does not say."""
    minutes: dict[str, float]
    """Stage -> minutes of computing, summed over processes; empty where the store does not know."""
    fingerprints: dict[str, int]
    """Software and hardware in words -> arms computed on it."""


def provenance(path: Path, cube: xr.Dataset) -> Provenance:
    """Read where a store's numbers come from.

    Args:
        path: the store's folder.
        cube: of that store; its finished arms are counted.
    """
    from biasprop.store.store import Store

    store = Store.open(path, writable=False)
    events = store.events()
    days = [str(event["time"])[:10] for event in events if event.get("event") == "arm" and "time" in event]
    numbers = Counter(cube["fingerprint"].values.ravel().tolist())
    counts: Counter[str] = Counter()
    for number, arms in numbers.items():
        if number:  # 0 is absent
            counts[in_words(store.fingerprint(int(number)) or {})] += arms
    fingerprints = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
    return Provenance(max(days, default=None), _minutes(events, cube), fingerprints)


def _minutes(events: list[dict[str, Any]], cube: xr.Dataset) -> dict[str, float]:
    """By stage from the event log; of arms alone where the log has no stages."""
    import numpy as np

    seconds: Counter[str] = Counter()
    for event in events:
        if event.get("event") == "cells" and isinstance(event.get("seconds"), dict):
            seconds.update({str(stage): float(spent) for stage, spent in event["seconds"].items()})
    if not seconds:
        arms = float(np.nansum(cube["seconds"].values))
        seconds = Counter({"arms": arms} if arms > 0 else {})
    return {stage: spent / 60 for stage, spent in seconds.items()}


def in_words(fingerprint: Mapping[str, Any]) -> str:
    """Software and hardware of a fingerprint in one line; settings that hold a path are left out."""
    known = {name: value for name, value in fingerprint.items() if value not in ("", None)}
    words = [f"{name} {known.pop(name)}" for name in ("jax", "jaxlib") if name in known]
    words += [str(known.pop(name)) for name in ("device", "instructions") if name in known]
    if "threads" in known:
        count = str(known.pop("threads"))
        words.append(f"{count} thread{'s' if count != '1' else ''}")
    if "precision" in known:
        words.append(f"{known.pop('precision')} precision")
    if "width" in known:
        width = known.pop("width")
        words.append(f"{width} cell{'s' if width != 1 else ''} per batch and device")
    if "devices" in known:
        words.append(f"{known.pop('devices')} devices")
    if "flags" in known:
        flags = [flag for flag in str(known.pop("flags")).split() if "/" not in flag]
        words += [f"XLA flags {' '.join(flags)}"] if flags else []
    return ", ".join(words) or "not recorded"
