"""Repeated timings: the best of n, the median and the spread, with the machine's load beside them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Seconds(NamedTuple):
    """Timings of one thing."""

    each: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest: what the machine can do when nothing disturbs it."""
        return min(self.each)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.each)

    @property
    def spread(self) -> float:
        """Half the interquartile range over the median; half the range where there are fewer than four."""
        ordered = sorted(self.each)
        if len(ordered) >= 4:
            low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
        else:
            low, high = ordered[0], ordered[-1]
        return (high - low) / 2 / self.median if self.median else 0.0

    def as_json(self, work: float = 1.0) -> dict[str, Any]:
        """Seconds for one of ``work`` things: best, median, spread and number of timings."""
        return {
            "best_s": self.best / work,
            "median_s": self.median / work,
            "spread": round(self.spread, 4),
            "timings": len(self.each),
        }


def timed(run: Callable[[], Any], repeats: int, at_least: float = 0.0) -> Seconds:
    """Time a function, after one call that is not timed.

    Args:
        run: what it returns is waited for.
        repeats: timings.
        at_least: seconds a timing lasts; a shorter function is called several times in a row.
    """
    jax.block_until_ready(run())
    began = time.perf_counter()
    jax.block_until_ready(run())
    calls = max(1, min(10_000, round(at_least / max(time.perf_counter() - began, 1e-7))))
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready([run() for _ in range(calls)])
        found.append((time.perf_counter() - began) / calls)
    return Seconds(tuple(found))


def load() -> dict[str, Any]:
    """Load averages over 1, 5 and 15 minutes, and cores: timings of a busy machine are ratios at best."""
    averages = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {"load": [round(value, 2) for value in averages], "cores": os.cpu_count()}
