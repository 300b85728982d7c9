"""How long things took on this machine, kept beside the stores, so that a plan can say what the next study takes."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from biasprop.store import json_cache
from biasprop.study.conditions import FinetuningCondition, PretrainingCondition

FILE = "timings.json"

SECONDS_PER_PIXEL = 5e-7
"""Rough cost of one pixel of one training image on one core, for a machine that has recorded nothing (pilot: about
0.6 ms for a 32 x 32 image in two views, patch-8 transformer of width 64 and depth 3)."""

AVERAGED_RUNS = 30
"""Runs over which a recorded time is averaged; older ones fade."""


class Timings:
    """Seconds of each stage by host and structure. A lost or damaged file costs only the estimate."""

    def __init__(self, out: str | Path):
        """Read the timings kept in the folder of stores, if there are any."""
        self.file = Path(out) / FILE
        self.host = f"{platform.node()} x{os.cpu_count()}"
        try:
            kept = json.loads(self.file.read_text())
            self.hosts: dict[str, dict[str, list[float]]] = kept if isinstance(kept, dict) else {}
        except (OSError, ValueError):
            self.hosts = {}

    def pretraining(self, condition: PretrainingCondition) -> float | None:
        """Seconds that pretraining an encoder takes here; None where nothing like it was recorded."""
        if not condition.pretraining.objective.trains:
            return 0.0
        each = self._recorded(_pretraining_key(condition))
        return None if each is None else each * condition.pretraining.schedule.steps

    def arm(self, cell: PretrainingCondition, condition: FinetuningCondition) -> float | None:
        """Seconds that an arm takes here, all its draws; None where nothing like it was recorded."""
        return self._recorded(_arm_key(cell, condition))

    def record_pretraining(self, condition: PretrainingCondition, seconds: float) -> None:
        """Note how long an encoder took, compilation left out."""
        if condition.pretraining.objective.trains:
            self._record(_pretraining_key(condition), seconds / condition.pretraining.schedule.steps)

    def record_arm(self, cell: PretrainingCondition, condition: FinetuningCondition, seconds: float) -> None:
        """Note how long an arm took, compilation left out."""
        self._record(_arm_key(cell, condition), seconds)

    def save(self) -> None:
        """Write the file, whole or, on a disk that is full, not at all; of two that save at once the later one wins."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            json_cache.write_text(self.file, json.dumps(self.hosts, indent=1, sort_keys=True) + "\n")

    def _recorded(self, key: str) -> float | None:
        entry = self.hosts.get(self.host, {}).get(key)
        try:
            return float(entry[0]) if entry else None
        except (TypeError, ValueError, IndexError, KeyError):
            return None

    def _record(self, key: str, seconds: float) -> None:
        own = self.hosts.setdefault(self.host, {})
        old = self._recorded(key)
        count = min(own[key][1], AVERAGED_RUNS - 1) if old is not None else 0
        own[key] = [((old or 0.0) * count + seconds) / (count + 1), count + 1]


def duration(seconds: float) -> str:
    """A length of time as a person says it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def guessed_pretraining(condition: PretrainingCondition) -> float:
    """Seconds for an encoder from counts alone."""
    if not condition.pretraining.objective.trains:
        return 0.0
    schedule = condition.pretraining.schedule
    return SECONDS_PER_PIXEL * _pixels(condition) * schedule.steps * schedule.batch


def guessed_arm(cell: PretrainingCondition, condition: FinetuningCondition) -> float:
    """Seconds for an arm from counts alone: its training images, and a third of that for each image only looked at."""
    protocol = condition.finetuning.protocol
    looked_at, trained = condition.evaluation.images(len(cell.generator.subgroups)), 0
    if protocol.adapts_encoder:
        recipe = protocol.recipe(cell.pretraining.objective.trains)
        trained = recipe.schedule.steps * recipe.schedule.batch
    else:
        looked_at += condition.finetuning.labels
    return SECONDS_PER_PIXEL * _pixels(cell) * protocol.draws * (trained + looked_at / 3)


def _pixels(condition: PretrainingCondition) -> int:
    height, width, _ = condition.generator.shape
    return height * width


def _pretraining_key(condition: PretrainingCondition) -> str:
    structure = _structure(condition.model_dump(mode="json"), without=("steps", "cohort"))
    return f"pretraining step {condition.pretraining.objective.kind} {structure}"


def _arm_key(cell: PretrainingCondition, condition: FinetuningCondition) -> str:
    encoder = {"generator": cell.generator.model_dump(mode="json"), "encoder": cell.encoder.model_dump(mode="json")}
    whole = encoder | condition.model_dump(mode="json") | {"pretrained": cell.pretraining.objective.trains}
    return f"arm {condition.finetuning.protocol.kind} {condition.finetuning.labels} labels {_structure(whole)}"


def _structure(table: Any, without: tuple[str, ...] = ()) -> str:
    """Short hash of what decides the time: no levers, so every mix of a study shares its timings."""
    text = json.dumps(_static(table, without), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _static(value: Any, without: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _static(child, without) for name, child in value.items() if name not in without}
        return {name: child for name, child in kept.items() if child is not None}
    return None if isinstance(value, float) else value
