"""Simulated learning curves whose crossing is known, and intervals of labels that are read off them.

Where the true crossing lies beyond the largest budget, an interval holds it if it is open above, and where it lies
below the smallest one, if it is open below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from biasprop.coverage.simulated import BUDGETS, MEANS, SUBGROUPS, labelled, simulate, with_contrast
from biasprop.statistics.contrasts import below_half, gap, swap_contrast
from biasprop.statistics.curves import crossing, crossing_bounds, monotone

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]

EFFICIENCIES = (
    ("label efficiency, full, 50 labels", "balanced", "to A", "full", 50),
    ("label efficiency, close to the largest budget", "balanced", "to A", "linear_probe", 50),
    ("label efficiency, beyond the largest budget", "to B", "to A", "full", 50),
    ("label efficiency, close to the smallest budget", "to A", "balanced", "linear_probe", 1000),
)
"""Estimand, reference, level, protocol and labels of curves of subgroup A (B beyond the largest budget)."""
EXCHANGES = (("exchange rate, full, 50 labels", "to B", "balanced", "full", 50),)
"""The same, for the lower and the higher of two neighbouring mixes."""
HALVINGS = (
    ("halving budget, linear probe", (0.20, 0.16, 0.08, 0.03), "linear_probe"),
    ("halving budget, full", (0.20, 0.09, 0.05, 0.03), "full"),
    ("halving budget, close to the largest budget", (0.20, 0.18, 0.14, 0.09), "full"),
    ("halving budget, never", (0.20, 0.18, 0.14, 0.11), "full"),
)
"""Estimand, true swap contrasts at the budgets, protocol."""


def cases(seed: int, studies: int, most: int, skew: Any) -> Iterator[tuple[str, NDArray[np.float64], float]]:
    """Yield estimands, heights of curves above what they have to reach [study, replicate, budget], and the true labels.

    Heights of a halving budget are turned by the mean contrast of all replicates; it is far from 0.
    """
    z, means = simulate(seed, studies, most, skew=skew), labelled(MEANS)
    for name, reference, level, protocol, labels in (*EFFICIENCIES, *EXCHANGES):
        of = {"protocol": protocol, "subgroup": SUBGROUPS[int("beyond" in name)]}
        heights, truth = (
            (each.sel(of | {"pretraining": reference}) - each.sel(of | {"pretraining": level, "labels": labels})).values
            for each in (z, means)
        )
        yield name, heights, float(crossing(monotone(truth[None]), BUDGETS))
    for name, contrasts, protocol in HALVINGS:
        z = simulate(seed, studies, most, with_contrast(np.array(contrasts)), skew)
        beta = swap_contrast(gap(z.sel(protocol=protocol), SUBGROUPS), "pretraining", ("to A", "to B"))
        truth = below_half(np.array([contrasts]))
        yield name, below_half(beta.transpose("study", "replicate", "labels").values), float(crossing(truth, BUDGETS))


def inverse(heights: NDArray[np.float64], level: float) -> Bounds:
    """Return the interval that the package gives."""
    return _loose(crossing_bounds(monotone(heights), BUDGETS, level))


def inverse_of_halving(heights: NDArray[np.float64], level: float) -> Bounds:
    """Return that of a halving budget, which is given if the contrast at the smallest budget leaves out 0."""
    first = heights[..., 0]
    half = stdtrit(first.shape[-1] - 1, 0.5 + level / 2) * first.std(axis=-1, ddof=1) / np.sqrt(first.shape[-1])
    given = np.abs(first.mean(axis=-1)) > half
    low, high = inverse(heights, level)
    return np.where(given, low, np.nan), np.where(given, high, np.nan)


def jackknife(heights: NDArray[np.float64], level: float) -> Bounds:
    """Return the interval of the delete-one jackknife on ln(labels), open on a side on which the curve of all
    replicates or of all but one gets there beyond the budgets."""
    n = heights.shape[1]
    every = [np.delete(heights, i, axis=1) for i in range(n)]
    labels = np.stack([crossing(monotone(curves), BUDGETS) for curves in (heights, *every)])
    value, *others = np.log(np.clip(labels, BUDGETS[0], BUDGETS[-1]))
    half = stdtrit(n - 1, 0.5 + level / 2) * np.sqrt((n - 1) * np.var(others, axis=0))
    low = np.where((labels == 0).any(axis=0), 0.0, np.exp(value - half))
    high = np.where(np.isinf(labels).any(axis=0), np.inf, np.exp(value + half))
    return _loose((np.minimum(low, BUDGETS[-1]), np.maximum(high, BUDGETS[0])))


def _loose(bounds: Bounds) -> Bounds:
    """Allow for rounding where a bound is the truth itself."""
    return bounds[0] * (1 - 1e-9), bounds[1] * (1 + 1e-9)
