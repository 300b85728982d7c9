"""Coverage of the share of sampled settings that keep the sign of an effect, over studies with a known share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from biasprop.coverage.intervals import Row
from biasprop.coverage.simulated import normal_values, skewed
from biasprop.statistics.stability import MIN_SETTINGS, ROBUST_SHARE, share_bounds

SETTINGS = (MIN_SETTINGS, 12, 40, 100)
"""Numbers of settings; the shipped studies have 12 and 100."""
REPLICATES = 11
"""Replicates that the sd between replicates is estimated from."""
SHARES = (0.5, 0.7, ROBUST_SHARE, 0.9, 0.97)
SPREADS = (0.5, 2.0)
"""Sd of true effects between settings, in units of the sd between replicates."""
ALIKE = (0.5, 2.0)
"""Mean effects, in units of the sd between replicates, where all settings have one true effect: the share is 1."""
SKEW = 0.6
"""Skewness of what a replicate adds, as in :mod:`biasprop.coverage.simulated`."""
FEWER = 10
"""These intervals are slow, so one study in this many is used, but at least 100."""
LEVEL = 0.95


def rows(seed: int, studies: int, settings: Sequence[int] = SETTINGS, skew: float = SKEW) -> list[Row]:
    """Count how often the interval contains the true share, and how often an effect is wrongly called robust.

    Args:
        seed: of the simulated studies.
        studies: how many; of these, one in :data:`FEWER` is used.
        settings: numbers of settings.
        skew: of what a replicate adds; 0 is normal.
    """
    count = max(studies // FEWER, 100)
    found = []
    truths = list(_truths())
    for n in settings:
        values = normal_values(seed, (len(truths), count, n + n + REPLICATES))
        for (words, mean, spread, share), normal in zip(truths, values, strict=True):
            parts = skewed(normal[:, n:], skew)
            effects = mean + spread * normal[:, :n] + parts[:, :n]
            sd = parts[:, n:].std(axis=1, ddof=1)
            low, high = share_bounds(effects, sd, REPLICATES - 1)
            # A true share of 1 is an upper limit that only tau = 0 gives.
            found.append(_row("share", words, n, (low <= share) & (share <= high + 1e-9), high - low))
            if share == ROBUST_SHARE:
                found.append(_row("not called robust", words, n, low < ROBUST_SHARE, high - low))
    return sorted(found, key=lambda row: (row.interval, row.estimand))


def lines(found: Sequence[Row]) -> list[str]:
    """A table: one row for each truth, one column for each number of settings."""
    counts = sorted({row.replicates for row in found})
    text = [
        "Coverage of the 95 % interval of the share of settings that keep a sign, %; one replicate of each setting, sd",
        f"from {REPLICATES} replicates; at least 95, within Monte Carlo error {100 * found[0].error:.2f}; ! = too low.",
        f"{'settings':<60}" + "".join(f"{n:>10}" for n in counts),
    ]
    for key in dict.fromkeys((row.interval, row.estimand) for row in found):
        group = [row for row in found if (row.interval, row.estimand) == key]
        text.append(f"{f'{key[0]}: {key[1]}':<60}" + "".join(f"{_share(row):>10}" for row in group))
    return text


def _truths() -> Iterator[tuple[str, float, float, float]]:
    """Words, mean and sd of true effects in units of the sd between replicates, and the true share."""
    for spread in SPREADS:
        for share in SHARES:
            yield f"{share:g}, effects vary {spread:g} times as replicates", float(ndtri(share)) * spread, spread, share
    for mean in ALIKE:
        yield f"1, one effect of {mean:g} sd everywhere", mean, 0.0, 1.0


def _row(interval: str, estimand: str, settings: int, right: NDArray[np.bool_], width: NDArray[np.float64]) -> Row:
    error = (LEVEL * (1 - LEVEL) / len(right)) ** 0.5
    middle = float(np.median(width))
    return Row(interval, estimand, settings, True, 1.0, float(right.mean()), error, LEVEL, middle, at_least=True)


def _share(row: Row) -> str:
    return f"{100 * row.coverage:.1f}{'' if row.passes else '!'}"
