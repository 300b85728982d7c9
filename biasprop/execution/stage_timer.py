"""Seconds spent in each stage of a job, compilation apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax

from biasprop.training.compilation import WAIT_EVENT


@dataclass
class StageTimer:
    """Seconds by stage, and by arm without compilation."""

    seconds: dict[str, float] = field(default_factory=dict)
    arms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, arm: str | None = None) -> Iterator[None]:
        """Time a stage, and the arm it belongs to if that is given; compilation inside counts as ``compile``."""
        began, compiled = time.monotonic(), _compile_seconds()
        try:
            yield
        finally:
            compiling = _compile_seconds() - compiled
            computing = max(time.monotonic() - began - compiling, 0.0)
            for key, seconds in (("compile", compiling), (name, computing)):
                self.seconds[key] = self.seconds.get(key, 0.0) + seconds
            if arm is not None:
                self.arms[arm] = self.arms.get(arm, 0.0) + computing


_durations: list[float] = []


def _listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event == WAIT_EVENT or event.startswith("/jax/core/compile"):  # includes programs that are loaded from the cache
        _durations.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_listen)


def _compile_seconds() -> float:
    """Seconds this process has spent tracing, lowering and compiling, and waiting for others to compile."""
    return sum(_durations)
