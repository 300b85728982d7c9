"""Repeated timings: best, median and spread; and the load of the machine."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Seconds(NamedTuple):
    """Repeated timings."""

    timings: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest: the time without disturbance."""
        return min(self.timings)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.timings)

    @property
    def spread(self) -> float:
        """Half the interquartile range divided by the median; half the range if there are fewer than four timings."""
        ordered = sorted(self.timings)
        if len(ordered) >= 4:
            low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
        else:
            low, high = ordered[0], ordered[-1]
        return (high - low) / 2 / self.median if self.median else 0.0

    def as_json(self, work: float = 1.0) -> dict[str, Any]:
        """Seconds per unit of ``work``: best, median, spread and number of timings."""
        return {
            "best_s": self.best / work,
            "median_s": self.median / work,
            "spread": round(self.spread, 4),
            "timings": len(self.timings),
        }


def timed(run: Callable[[], Any], repeats: int, min_seconds: float = 0.0) -> Seconds:
    """Time a function, after two calls to warm up.

    Args:
        run: function to time; its result is waited for.
        repeats: number of timings.
        min_seconds: minimum duration of a timing; a shorter function is called several times in a row.
    """
    jax.block_until_ready(run())
    began = time.perf_counter()
    jax.block_until_ready(run())
    calls = max(1, min(10_000, round(min_seconds / max(time.perf_counter() - began, 1e-7))))
    timings = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready([run() for _ in range(calls)])
        timings.append((time.perf_counter() - began) / calls)
    return Seconds(tuple(timings))


def load() -> dict[str, Any]:
    """Load averages over 1, 5 and 15 minutes, and number of cores: absolute timings of a busy machine mean little."""
    averages = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {"load": [round(value, 2) for value in averages], "cores": os.cpu_count()}
