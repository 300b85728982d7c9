"""Number of replicates that an interval of a given width needs, estimated from those in a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.special import fdtr, gammaln, stdtrit

from biasprop.statistics.estimand import Estimand, Level
from biasprop.statistics.intervals import MIN_FIELLER, ratio_bounds
from biasprop.statistics.paired import Paired, paired
from biasprop.statistics.tests import ALPHA, MAX_REPLICATES, POWER, fewest, power_of

TOO_FEW = "not enough replicates in the store"


@dataclass(frozen=True)
class Precision:
    """Replicates that an interval of one estimand at one arm needs."""

    name: str
    arm: dict[str, Level]
    replicates: int
    """Number in the store that have every value the contrast needs."""
    half_width: float
    """Half-width of their interval; NaN without one."""
    expected: int | None
    """Replicates at which the expected half-width is the requested one; None if more than 10,000 or unknown."""
    likely: int | None
    """Replicates at which the half-width is at most the requested one with probability 80 %, which allows for the sd
    being an estimate itself; None also for a ratio, whose interval has no simple distribution."""
    reason: str
    """Why a number is missing; empty if none is."""


def precision(measures: xr.Dataset | None, estimands: Sequence[Estimand], half_width: float) -> list[Precision]:
    """Return the replicates that every estimand needs at every arm it asks for.

    Args:
        measures: from ``measure``; None if there is no store.
        estimands: of the study.
        half_width: > 0, half of the width of the plain 95 % interval, on each estimand's own scale.
    """
    if measures is None:
        return [Precision(estimand.name, dict(estimand.at), 0, np.nan, None, None, TOO_FEW) for estimand in estimands]
    return [_precision(one, half_width) for estimand in estimands for one in paired(measures, estimand)]


def _precision(contrast: Paired, half_width: float) -> Precision:
    whole = ~np.isnan(contrast.values.reshape(len(contrast.values), -1)).any(axis=1)
    n = int(whole.sum())
    nothing = Precision(contrast.estimand.name, contrast.arm, n, np.nan, None, None, "")
    values, below = contrast.values[whole], contrast.denominator
    if contrast.estimand.interval not in ("t", "Fieller"):
        return replace(
            nothing,
            reason=f"a {contrast.estimand.kind.replace('_', ' ')} has no interval based on the sd of replicates",
        )
    if n < 2:
        parts = (TOO_FEW, contrast.reason)
        return replace(nothing, reason="; ".join(part for part in parts if part))
    now = contrast.interval(1 - ALPHA)
    half = (now.high - now.low) / 2
    if below is None:
        sd = float(values.std(ddof=1))
        expected = fewest(lambda m: expected_half_width(sd, n, m) <= half_width)
        likely = fewest(lambda m: chance(half_width, sd, n, m) >= POWER)
    else:
        below = below[whole]
        expected = fewest(lambda m: m >= MIN_FIELLER and _ratio_half_width(values, below, m) <= half_width)
        likely = None
    reason = now.reason or (f"more than {MAX_REPLICATES} replicates would be needed" if expected is None else "")
    return Precision(contrast.estimand.name, contrast.arm, n, half, expected, likely, reason)


def power_curve(value: float, sd: float, replicates: Sequence[int]) -> list[float]:
    """Return the probability that the 95 % interval leaves out 0, for several numbers of replicates.

    Args:
        value: the true value, such as an estimate.
        sd: between replicates, >= 0; without a spread every value but 0 is told from 0.
        replicates: each >= 2.
    """
    if sd == 0.0:
        return [float(value != 0.0)] * len(replicates)
    return [power_of(value, sd, n) for n in replicates]


def expected_half_width(sd: float, known: int, replicates: int, level: float = 1 - ALPHA) -> float:
    """Expected half-width of the t interval: t(n - 1) * E[s] / sqrt(n), with E[s] = c4(n) * sigma.

    Args:
        sd: observed sd between known replicates, whose expectation is c4(known) * sigma for normal values.
        known: number of known replicates, >= 2.
        replicates: number of replicates of the interval, >= 2.
        level: of the interval.
    """
    return _quantile(replicates, level) * c4(replicates) / c4(known) * sd / np.sqrt(replicates)


def c4(n: int) -> float:
    """E[s] / sigma of n normal values: sqrt(2 / (n - 1)) * Gamma(n / 2) / Gamma((n - 1) / 2)."""
    return float(np.sqrt(2 / (n - 1)) * np.exp(gammaln(n / 2) - gammaln((n - 1) / 2)))


def chance(half_width: float, sd: float, known: int, replicates: int, level: float = 1 - ALPHA) -> float:
    """Probability that the t interval of new replicates has at most the given half-width.

    The squared ratio of two sds of one normal distribution has an F distribution, so the error of ``sd`` is included.

    Args:
        half_width: > 0.
        sd, known, replicates, level: as in :func:`expected_half_width`.
    """
    if sd == 0.0:
        return 1.0
    reach = half_width * np.sqrt(replicates) / (_quantile(replicates, level) * sd)
    return float(fdtr(replicates - 1, known - 1, reach**2))


def _quantile(replicates: int, level: float) -> float:
    return float(stdtrit(replicates - 1, 0.5 + level / 2))


def _ratio_half_width(x: np.ndarray, y: np.ndarray, replicates: int) -> float:
    """Half-width of Fieller's interval at another number of replicates, given these; infinite if unbounded."""
    (vaa, vab), (_, vbb) = (np.cov(x, y) / replicates).tolist()
    t = _quantile(replicates, 1 - ALPHA) * c4(replicates) / c4(len(x))
    low, high = ratio_bounds(x.mean(), y.mean(), vaa, vab, vbb, t)
    return float(np.nan_to_num((high - low) / 2, nan=np.inf))
