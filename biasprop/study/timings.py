"""Times recorded on this machine, stored beside the stores, from which a plan estimates the time of a study."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from biasprop.interfaces import GradientMethod
from biasprop.store import json_cache
from biasprop.study.conditions import FinetuningCondition, PretrainingCondition

FILE = "timings.json"

SECONDS_PER_PIXEL = 5e-7
"""Rough seconds per pixel of a training image on one core, where no times are recorded (pilot: about 0.6 ms for a 32 x
32 image in two views, patch-8 transformer of width 64 and depth 3)."""

AVERAGED_RUNS = 30
"""Runs over which a recorded time is averaged, with exponentially decreasing weights from then on."""


class Timings:
    """Seconds of each stage, by host and structure. Losing the file affects estimates only."""

    def __init__(self, out: str | Path):
        """Read the timings in the folder of stores, if there are any."""
        self.file = Path(out) / FILE
        self.host = f"{platform.node()} x{os.cpu_count()}"
        try:
            stored = json.loads(self.file.read_text())
            self.hosts: dict[str, dict[str, list[float]]] = stored if isinstance(stored, dict) else {}
        except (OSError, ValueError):
            self.hosts = {}

    def pretraining(self, condition: PretrainingCondition) -> float | None:
        """Seconds to pretrain an encoder; None if no encoder of its structure was recorded."""
        if not condition.pretraining.objective.trains:
            return 0.0
        seconds_per_step = self._recorded(_pretraining_key(condition))
        return None if seconds_per_step is None else seconds_per_step * _steps(condition)

    def arm(self, cell: PretrainingCondition, condition: FinetuningCondition) -> float | None:
        """Seconds of an arm with all its draws; None if no arm of its structure was recorded."""
        return self._recorded(_arm_key(cell, condition))

    def record_pretraining(self, condition: PretrainingCondition, seconds: float) -> None:
        """Record the seconds of an encoder, without compilation."""
        if condition.pretraining.objective.trains:
            self._record(_pretraining_key(condition), seconds / _steps(condition))

    def record_arm(self, cell: PretrainingCondition, condition: FinetuningCondition, seconds: float) -> None:
        """Record the seconds of an arm, without compilation."""
        self._record(_arm_key(cell, condition), seconds)

    def save(self) -> None:
        """Write the file atomically, or not at all on a full disk; of two simultaneous writers the later one wins."""
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
        entries = self.hosts.setdefault(self.host, {})
        mean = self._recorded(key)
        count = min(entries[key][1], AVERAGED_RUNS - 1) if mean is not None else 0
        entries[key] = [((mean or 0.0) * count + seconds) / (count + 1), count + 1]


def duration(seconds: float) -> str:
    """A duration in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def guessed_pretraining(condition: PretrainingCondition) -> float:
    """Seconds for an encoder, estimated from counts alone."""
    images = sum(stage.schedule.steps * stage.schedule.batch for stage in condition.pretraining.sequence())
    return SECONDS_PER_PIXEL * _pixels(condition) * images


def guessed_arm(cell: PretrainingCondition, condition: FinetuningCondition) -> float:
    """Seconds for an arm, estimated from counts alone; an image that is only scored counts a third."""
    protocol = condition.finetuning.protocol
    scored, trained = condition.evaluation.images(len(cell.generator.subgroups)), 0
    if isinstance(protocol, GradientMethod):
        recipe = protocol.recipe(cell.pretraining.objective.trains)
        steps = recipe.stopping.expected_steps(int(recipe.schedule.steps), int(condition.finetuning.labels))
        trained = steps * recipe.schedule.batch
    else:
        scored += condition.finetuning.labels
    return SECONDS_PER_PIXEL * _pixels(cell) * protocol.draws * (trained + scored / 3)


def _steps(condition: PretrainingCondition) -> int:
    """Steps of all stages of pretraining."""
    return sum(int(stage.schedule.steps) for stage in condition.pretraining.sequence())


def _pixels(condition: PretrainingCondition) -> int:
    """Pixels of an example's images; the length of its other arrays."""
    spec = condition.generator.spec
    return sum(math.prod(array.shape[:2]) for array in spec.values())


def _pretraining_key(condition: PretrainingCondition) -> str:
    structure = _structure(condition.model_dump(mode="json"), without=("steps", "cohort"))
    return f"pretraining step {condition.pretraining.objective.kind} {structure}"


def _arm_key(cell: PretrainingCondition, condition: FinetuningCondition) -> str:
    encoder = cell.model_dump(mode="json", include={"generator", "encoder"})
    arm = encoder | condition.model_dump(mode="json") | {"pretrained": cell.pretraining.objective.trains}
    return f"arm {condition.finetuning.protocol.kind} {condition.finetuning.labels} labels {_structure(arm)}"


def _structure(table: Any, without: tuple[str, ...] = ()) -> str:
    """Short hash of what determines the time: no levers, so that all mixes of a study share timings."""
    text = json.dumps(_static(table, without), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _static(value: Any, without: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        children = {name: _static(child, without) for name, child in value.items() if name not in without}
        return {name: child for name, child in children.items() if child is not None}
    return None if isinstance(value, float) else value
