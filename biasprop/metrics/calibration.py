"""Calibration intercept and slope by logistic recalibration (Cox, Biometrika 45, 1958; Van Calster et al., 2019).

logit P(disease) = a + b * score. The slope is b with both free (1 is perfect, below 1 is too confident); the intercept
is a with b fixed at 1 (0 is perfect, negative means that risks are too high). Both are NaN where fewer than 50 of a
class count, where the scores separate the classes (the maximum-likelihood slope is infinite), where they do not vary,
or where one is infinite (a probability of 0 or 1); :func:`calibration_undefined` says which. With weights [..., n] >= 0
the likelihood is the weighted one. NaN, too, where float64 is not precise enough for the fit, as where one row
outweighs all others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from biasprop.metrics.counts import counted, real_weight, rows_of

MIN_PER_CLASS = 50
"""Fewest subjects of each class for a calibration fit."""
STEPS = 60
SMALLEST = 1e-300
"""Curvatures and determinants below this are taken as this."""
EPSILON = np.finfo(np.float64).eps
MAX_ERROR = 1e-6
"""Of an intercept, by rounding."""
TOLERANCE = 1e-9
"""Of a step, in standardised units."""
MAX_GAIN = 1e-12
"""Of the log-likelihood where a fit has converged, relative to its curvature."""


def calibration_intercept(
    scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None, min_per_class: int = MIN_PER_CLASS
) -> NDArray[np.float64]:
    """Calibration intercept, log-odds: scores [..., n], labels [..., n] -> [...]; NaN where undefined (see above).

    ``min_per_class`` is the number of each class below which it is undefined. It is a rule for samples; the resamples
    of a bootstrap, which leave out a third of a sample, take 1.
    """
    return _fit(scores, labels, weight, min_per_class, slope_free=False)


def calibration_slope(
    scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None, min_per_class: int = MIN_PER_CLASS
) -> NDArray[np.float64]:
    """Calibration slope, with the arguments of :func:`calibration_intercept`; NaN where undefined (see above)."""
    return _fit(scores, labels, weight, min_per_class, slope_free=True)


def calibration_undefined(scores: ArrayLike, labels: ArrayLike, min_per_class: int = MIN_PER_CLASS) -> str:
    """Why a sample has no calibration fit, with counts; empty where it has one.

    Args:
        scores: [n] log-odds; NaN = missing.
        labels: [n], 0 or 1; anything else = missing.
        min_per_class: as for :func:`calibration_intercept`.
    """
    mask = counted(scores, labels, None)
    x, y = np.asarray(scores, np.float64)[mask], np.asarray(labels)[mask]
    diseased, healthy = x[y == 1], x[y == 0]
    if min(len(diseased), len(healthy)) < min_per_class:
        return f"a fit needs {min_per_class:,} of each class"
    if infinite := int(np.isinf(x).sum()):
        return f"{infinite:,} of {len(x):,} probabilities are 0 or 1"
    if x.min() == x.max():
        return "all scores are equal"
    if diseased.min() >= healthy.max():
        return "scores separate the classes (none of the diseased is below one of the healthy)"
    if healthy.min() >= diseased.max():
        return "scores separate the classes (none of the healthy is below one of the diseased)"
    return ""


def _fit(
    scores: ArrayLike, labels: ArrayLike, weight: ArrayLike | None, min_per_class: int, slope_free: bool
) -> NDArray[np.float64]:
    mask = counted(scores, labels, weight)
    weights = real_weight(mask, weight)
    leading, size = mask.shape[:-1], mask.shape[-1]
    mask = mask.reshape(-1, size)
    m = mask.astype(np.float64) if weights is None else weights.reshape(-1, size)
    given = np.broadcast_to(np.asarray(scores, np.float64), (*leading, size)).reshape(mask.shape)
    x = given if mask.all() else np.where(mask, given, 0.0)
    y = mask & (np.broadcast_to(labels, (*leading, size)).reshape(mask.shape) == 1)
    result = np.full(len(mask), np.nan)
    rows = np.flatnonzero(_fits(x, y, mask, min_per_class))
    if len(rows):
        fit = _newton_slope if slope_free else _newton_intercept
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # NaN, then
            found = fit(rows_of(x, rows), rows_of(y, rows), rows_of(m, rows))
        result[rows] = np.where(np.isfinite(found), found, np.nan)
    return result.reshape(leading)


def _fits(
    x: NDArray[np.float64], y: NDArray[np.bool_], mask: NDArray[np.bool_], min_per_class: int
) -> NDArray[np.bool_]:
    """Rows with enough finite scores of each class that overlap."""
    positive, negative = y, mask & ~y
    enough = np.minimum(positive.sum(axis=-1), negative.sum(axis=-1)) >= min_per_class

    def least(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(which, x, np.inf).min(axis=-1)

    def most(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(which, x, -np.inf).max(axis=-1)

    # In one dimension the likelihood has a finite maximum exactly if the classes' ranges overlap by more than a point.
    overlap = (most(negative) > least(positive)) & (most(positive) > least(negative))
    return enough & overlap & np.isfinite(x).all(axis=-1)


def _newton_intercept(x: NDArray[np.float64], y: NDArray[np.bool_], m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve sum(m expit(a + x)) = sum(m y) per row; the sum increases in a, so Newton steps are kept in a bracket."""
    total = (y * m).sum(axis=-1)
    centre = logit(total / m.sum(axis=-1))
    spread = np.abs(x).max(axis=-1)
    low, high = centre - spread, centre + spread
    a = centre - (x * m).sum(axis=-1) / m.sum(axis=-1)
    curvature = np.zeros_like(a)
    for _ in range(STEPS):
        p = expit(a[:, None] + x)
        excess = np.einsum("rn,rn->r", p, m) - total
        low, high = np.where(excess < 0, a, low), np.where(excess > 0, a, high)
        curvature = np.einsum("rn,rn,rn->r", p, 1.0 - p, m)
        step = a - excess / np.maximum(curvature, SMALLEST)
        step = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
        done = np.abs(step - a).max() < TOLERANCE
        a = step
        if done:
            break
    # Rounding of the sums moves a by about the precision of the total, divided by the curvature.
    return np.where(curvature > total * EPSILON / MAX_ERROR, a, np.nan)


def _newton_slope(x: NDArray[np.float64], y: NDArray[np.bool_], m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximise the likelihood over intercept and slope per row: Newton steps, halved while the likelihood falls."""
    count = m.sum(axis=-1)
    mean = (x * m).sum(axis=-1) / count
    sd = np.sqrt((np.square(x - mean[:, None]) * m).sum(axis=-1) / count)
    u = (x - mean[:, None]) / sd[:, None] * (m > 0)  # standardised, so that the tolerance is the same for all models
    diseased = y * m
    target, target_u = diseased.sum(axis=-1), np.einsum("rn,rn->r", diseased, u)
    del diseased  # of millions of scores
    a, b = logit(target / count), np.zeros(len(x))
    active = np.arange(len(x))

    def loss(rows: NDArray[np.intp], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        eta = a[:, None] + b[:, None] * rows_of(u, rows)
        return np.einsum("rn,rn->r", np.logaddexp(0.0, eta), rows_of(m, rows)) - a * target[rows] - b * target_u[rows]

    for _ in range(STEPS):
        ur, mr = rows_of(u, active), rows_of(m, active)
        risk = expit(a[active, None] + b[active, None] * ur)
        p = risk * mr
        w = p * (1.0 - risk)
        ga = target[active] - p.sum(axis=-1)
        gb = target_u[active] - np.einsum("rn,rn->r", p, ur)
        haa, hab = w.sum(axis=-1), np.einsum("rn,rn->r", w, ur)
        hbb = np.einsum("rn,rn,rn->r", w, ur, ur)
        determinant = np.maximum(haa * hbb - hab * hab, SMALLEST)
        da, db = (hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant
        # Twice what the likelihood still gains. The step alone may be small because one row outweighs all others, so
        # that the scores of these are many sd from the mean, or because all risks have come to be 0 or 1.
        gains = ~((da * ga + db * gb < MAX_GAIN * haa) & (determinant > SMALLEST))
        # Newton steps overshoot only far from the optimum; near it the check would cost more than the step.
        large = np.flatnonzero(np.hypot(da, db) > 1.0)
        if len(large):
            rows = active[large]
            before = loss(rows, a[rows], b[rows])
            for _ in range(30):
                worse = ~(loss(rows, a[rows] + da[large], b[rows] + db[large]) <= before)  # or NaN
                if not worse.any():
                    break
                da[large[worse]] *= 0.5
                db[large[worse]] *= 0.5
        a[active] += da
        b[active] += db
        active = active[gains | (np.hypot(da, db) > TOLERANCE)]
        if not len(active):
            break
    b[active] = np.nan  # not converged
    return b / sd
