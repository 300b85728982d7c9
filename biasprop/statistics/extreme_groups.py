"""What an audit says of the groups at the ends: the worst one, and the smallest one.

The worst of several groups is picked by the values that it is then judged by, so its own interval is too optimistic: of
many equal groups one looks bad by chance. The intervals here hold for all groups, or all pairs of groups, at once
(Bonferroni), so that they also hold for the group or pair that is picked.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from biasprop.metrics import SCALES
from biasprop.statistics.group_intervals import INTERVALS, Bounds, difference
from biasprop.statistics.group_measures import Groups, Measured
from biasprop.statistics.tests import POWER

WORST = ("attribute", "metric", "group", "value", "low", "high", "against", "gap", "gap_low", "gap_high", "groups")
SMALLEST = ("attribute", "group", "n", "n_positive", "against", "metric", "resolvable")

Found = Mapping[str, tuple[Groups, Mapping[str, Measured]]]


def bounds(one: Measured, alpha: float) -> Bounds:
    """Return the interval of a measure of each group at level 1 - alpha; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return INTERVALS[one.interval](one.spread, alpha)


def between(one: Measured, a: NDArray[np.intp], b: NDArray[np.intp], alpha: float) -> Bounds:
    """Return the interval of the measure of groups ``a`` minus that of groups ``b``, at level 1 - alpha."""
    low, high = bounds(one, alpha)
    value, correlation = one.spread.value, one.spread.correlation[a, b]
    return difference((value[a], low[a], high[a]), (value[b], low[b], high[b]), correlation)


def resolvable(
    value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], alpha: float
) -> NDArray[np.float64]:
    """Return the size that a true difference needs for its interval to leave out 0 with probability ``tests.POWER``.

    Args:
        value, low, high: of a difference, with its interval.
        alpha: 1 - level of the interval.
    """
    return np.maximum(value - low, high - value) * (1.0 + ndtri(POWER) / -ndtri(alpha / 2))


def worst_groups(found: Found, alpha: float) -> pd.DataFrame:
    """Return the worst group of each attribute and measure, corrected for having been picked.

    Args:
        found: attribute -> its groups and their measures.
        alpha: 1 - confidence.

    Returns:
        One row per attribute and measure of which higher or lower values are better, if at least two groups have an
        interval (``groups`` of them; the others are left out): the ``group`` with the worst ``value``; ``low`` and
        ``high`` of the worst true value, whichever group has it; the best group (``against``), the ``gap`` to it, and
        ``gap_low`` and ``gap_high`` of the largest true gap.
    """
    rows = []
    for attribute, (groups, measures) in found.items():
        for name, one in measures.items():
            direction = SCALES[name].direction if name in SCALES else 0
            usable = np.flatnonzero(np.isfinite(bounds(one, alpha)).all(axis=0))
            if not direction or len(usable) < 2:
                continue
            low, high = (limit[usable] * direction for limit in bounds(one, alpha / len(usable)))
            low, high = (low, high) if direction > 0 else (high, low)  # higher is better from here on
            value = one.spread.value * direction
            worst, best = usable[value[usable].argmin()], usable[value[usable].argmax()]
            a, b = (usable[index] for index in np.triu_indices(len(usable), 1))
            down, up = between(one, a, b, alpha / len(a))
            ends = np.array([[low.min(), high.min()], [-np.maximum(up, -down).max(), -_least(down, up)]]) * direction
            ends = np.sort(ends, axis=1) + 0.0  # no -0.0
            names = groups.attribute.groups
            levels = names[worst], one.spread.value[worst], *ends[0], names[best]
            gap = one.spread.value[worst] - one.spread.value[best]
            rows.append((attribute, name, *levels, gap, *ends[1], len(usable)))
    return pd.DataFrame(rows, columns=list(WORST))


def smallest_groups(found: Found, alpha: float) -> pd.DataFrame:
    """Return the group with the fewest people of each attribute, and the difference it could have resolved.

    Args:
        found: attribute -> its groups and their measures.
        alpha: 1 - confidence.

    Returns:
        One row per attribute and measure: the ``group`` with its counts, the largest group (``against``), and the
        difference between the two that would have been found with the probability ``tests.POWER``, on the measure's
        scale; NaN where the difference has no interval.
    """
    rows = []
    for attribute, (groups, measures) in found.items():
        sizes = np.array([len(entries) for entries in groups.rows])
        if len(sizes) < 2:
            continue
        small, large = sizes.argmin(), len(sizes) - 1 - sizes[::-1].argmax()
        diseased = int((groups.people.labels[groups.rows[small]] == 1).sum())
        names = groups.attribute.groups
        for name, one in measures.items():
            if name not in SCALES or one.method == "":
                continue
            a, b = np.array([small]), np.array([large])
            value = one.spread.value[a] - one.spread.value[b]
            size = resolvable(value, *between(one, a, b, alpha), alpha)[0]
            rows.append((attribute, names[small], int(sizes[small]), diseased, names[large], name, size))
    return pd.DataFrame(rows, columns=list(SMALLEST))


def _least(down: NDArray[np.float64], up: NDArray[np.float64]) -> float:
    """The smallest value that the largest absolute difference may have, given intervals of all differences."""
    return max(float(np.maximum(down, -up).max()), 0.0)
