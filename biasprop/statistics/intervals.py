"""Intervals over replicates: Student's t, and Fieller's for a ratio.

The replicate is the unit. ``python -m biasprop.coverage`` shows that these intervals cover, and how others would do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

if TYPE_CHECKING:
    import xarray as xr  # not loaded with a study file, whose estimands use this module

MIN_FIELLER = 4
"""Fewest replicates for an interval of a ratio. With 3, the studies whose denominator differs from 0 are those in which
the interval covers too rarely."""


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
        values: [replicate]; NaN = the replicate is missing.
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
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * se
    return Interval(mean, mean - half, mean + half, se, "t")


def t_intervals(values: xr.DataArray, level: float | NDArray[np.float64] = 0.95) -> xr.Dataset:
    """Compute :func:`t_interval` along the dim ``replicate`` for every arm at once.

    Args:
        values: dims (..., replicate); NaN = the replicate is missing.
        level: coverage, in (0, 1), scalar or [...].

    Returns:
        value, low, high, se and replicates (those used), without the dim ``replicate``; no interval below two.
    """
    import xarray as xr

    n = values.notnull().sum("replicate")
    enough = n >= 2
    mean = values.mean("replicate")
    degrees = np.where(enough, n - 1, 1)
    se = (values.var("replicate", ddof=1).where(enough) / n) ** 0.5
    half = stdtrit(degrees, 0.5 + level / 2) * se
    return xr.Dataset({"value": mean, "low": mean - half, "high": mean + half, "se": se, "replicates": n})


def fieller_interval(numerator: ArrayLike, denominator: ArrayLike, level: float = 0.95) -> Interval:
    """Ratio of two paired means with Fieller's interval (:func:`fieller_bounds`).

    If the denominator's interval contains 0, Fieller's set is unbounded and the ratio is undefined: NaN with the
    reason. Below 4 replicates there is no interval: NaN bounds with the reason.

    Args:
        numerator: [replicate]; NaN = the replicate is missing.
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
        return undefined._replace(reason=f"an interval needs {MIN_FIELLER} replicates, there are {n}")
    low, high = fieller_bounds(x, y, level)
    if np.isnan(low):
        return undefined._replace(reason=f"the denominator's {level:.0%} interval contains 0")
    ratio = float(x.mean() / y.mean())
    se = float((x - ratio * y).std(ddof=1) / np.sqrt(n) / abs(y.mean()))
    if n < MIN_FIELLER:
        reason = f"Fieller's interval needs {MIN_FIELLER} replicates, there are {n}"
        return Interval(ratio, np.nan, np.nan, se, "Fieller", reason)
    return Interval(ratio, float(low), float(high), se, "Fieller")


def fieller_bounds(
    x: NDArray[np.float64], y: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high of Fieller's interval (Fieller, J. R. Stat. Soc. B 16, 1954).

    It contains every r for which a paired t test does not reject mean(x - r * y) = 0.

    Args:
        x, y: numerators and denominators [..., replicate] of the same replicates, none missing.
        level: coverage, in (0, 1).

    Returns:
        Two arrays [...]; NaN where the interval of the denominator's mean contains 0, which makes the set unbounded.
    """
    n = x.shape[-1]
    a, b = x.mean(axis=-1), y.mean(axis=-1)
    above, below = x - a[..., None], y - b[..., None]
    vaa, vab, vbb = ((p * q).sum(axis=-1) / (n - 1) / n for p, q in ((above, above), (above, below), (below, below)))
    return ratio_bounds(a, b, vaa, vab, vbb, float(stdtrit(n - 1, 0.5 + level / 2)))


def ratio_bounds(
    a: ArrayLike, b: ArrayLike, vaa: ArrayLike, vab: ArrayLike, vbb: ArrayLike, t: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve for all r with (a - r b)^2 <= t^2 (vaa - 2 r vab + r^2 vbb), for means a and b with these (co)variances.

    Returns:
        Low and high, of the arguments' common shape; NaN where b^2 <= t^2 vbb, where the set is unbounded.
    """
    a, b, vaa, vab, vbb = (np.asarray(value, np.float64) for value in (a, b, vaa, vab, vbb))
    # A quadratic in r, square r^2 - 2 middle r + constant <= 0; where it opens upwards the set is an interval.
    square, middle, constant = b * b - t * t * vbb, a * b - t * t * vab, a * a - t * t * vaa
    square = np.where(square > 0, square, np.nan)
    root = np.sqrt(np.maximum(middle * middle - square * constant, 0.0))
    return (middle - root) / square, (middle + root) / square
