"""Intervals over replicates: t, BCa bootstrap, and Fieller's for a ratio. The replicate is the unit."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats

MIN_BOOTSTRAP = 10
"""BCa from fewer replicates under-covers without saying so."""
RESAMPLES = 9_999


class Interval(NamedTuple):
    """A value with its interval; NaN where the reason says so."""

    value: float
    low: float
    high: float
    se: float
    method: str
    reason: str = ""


def _present(values: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over replicates with Student's interval, mean +- t(n - 1) * sd / sqrt(n).

    Args:
        values: [replicate]; NaN = the replicate is not there.
        level: coverage, in (0, 1).

    Returns:
        The mean, its interval and its Monte Carlo standard error sd / sqrt(n); no interval below two replicates.
    """
    values = _present(values)
    n = len(values)
    if n < 2:
        value = float(values[0]) if n else np.nan
        return Interval(value, np.nan, np.nan, np.nan, "t", f"an interval needs 2 replicates, there are {n}")
    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * se
    return Interval(mean, mean - half, mean + half, se, "t")


def t_intervals(values: xr.DataArray, level: float = 0.95) -> xr.Dataset:
    """:func:`t_interval` along the dim ``replicate`` of every arm at once.

    Args:
        values: dims (..., replicate); NaN = the replicate is not there.
        level: coverage, in (0, 1).

    Returns:
        value, low, high, se and replicates (those used), without the dim ``replicate``; no interval below two.
    """
    n = values.notnull().sum("replicate")
    enough = n >= 2
    mean = values.mean("replicate")
    degrees = np.where(enough, n - 1, 1)
    se = (values.var("replicate", ddof=1).where(enough) / n) ** 0.5
    half = stats.t.ppf(0.5 + level / 2, degrees) * se
    return xr.Dataset({"value": mean, "low": mean - half, "high": mean + half, "se": se, "replicates": n})


def bootstrap_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over replicates with the BCa bootstrap interval (scipy.stats.bootstrap, fixed seed).

    Refused below 10 replicates: the t interval takes its place and the reason says so. Values that do not vary are a
    point mass.

    Args:
        values: [replicate]; NaN = the replicate is not there.
        level: coverage, in (0, 1).
    """
    values = _present(values)
    if len(values) < MIN_BOOTSTRAP:
        reason = f"bootstrap refused: it needs {MIN_BOOTSTRAP} replicates, there are {len(values)}"
        t = t_interval(values, level)
        return t._replace(reason=f"{reason}; {t.reason}" if t.reason else reason)
    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if np.ptp(values) == 0.0:
        return Interval(mean, mean, mean, 0.0, "bootstrap", "all replicates are equal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (values,), np.mean, confidence_level=level, n_resamples=RESAMPLES, method="BCa", vectorized=True, rng=0
        ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), se, "bootstrap")


def fieller_interval(numerator: ArrayLike, denominator: ArrayLike, level: float = 0.95) -> Interval:
    """Ratio of two paired means with Fieller's interval (Fieller, J. R. Stat. Soc. B 16, 1954).

    The interval holds every r for which a paired t test does not reject mean(numerator - r * denominator) = 0. If the
    denominator's own interval holds 0 that set is unbounded and the ratio is not defined: NaN with the reason.

    Args:
        numerator: [replicate]; NaN = the replicate is not there.
        denominator: [replicate], of the same replicates.
        level: coverage, in (0, 1).

    Returns:
        The ratio, its interval, and its standard error by the delta method.
    """
    x, y = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    n = len(x)
    undefined = Interval(np.nan, np.nan, np.nan, np.nan, "Fieller")
    if n < 2:
        return undefined._replace(reason=f"an interval needs 2 replicates, there are {n}")
    a, b = float(x.mean()), float(y.mean())
    (vaa, vab), (_, vbb) = (np.cov(x, y, ddof=1) / n).tolist()
    t2 = float(stats.t.ppf(0.5 + level / 2, n - 1)) ** 2
    if b * b <= t2 * vbb:
        return undefined._replace(reason=f"the denominator's {level:.0%} interval holds 0")
    ratio = a / b
    se = float(np.sqrt(max(vaa - 2 * ratio * vab + ratio**2 * vbb, 0.0)) / abs(b))
    # (a - r b)^2 = t^2 (vaa - 2 r vab + r^2 vbb), a quadratic in r that opens upwards because b^2 > t^2 vbb.
    square, middle, constant = b * b - t2 * vbb, a * b - t2 * vab, a * a - t2 * vaa
    root = float(np.sqrt(max(middle * middle - square * constant, 0.0)))
    return Interval(ratio, (middle - root) / square, (middle + root) / square, se, "Fieller")
