"""How many labels: probes fitted to features with nested label budgets, and their AUC on held-out people.

Half of the people are held out. From the others, label sets are drawn several times; within a draw every budget is part
of the next larger one. An AUC is the mean over draws. Its variance is the sum of two parts: that of the held-out people
(DeLong's, from the mean of each person's contributions), and that of the label sets. The draws share a pool, of which
a budget uses the share f, so that their variance s^2 is 1 - f of that between sets of new people; the mean of R draws
then has s^2 / R + s^2 f / (1 - f) (a sample from a finite population that is itself a sample).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from biasprop.metrics.auc import auc_of_z, auc_slope, probit
from biasprop.statistics import contributions
from biasprop.statistics.audit_result import OVERALL
from biasprop.statistics.bootstrap import orders
from biasprop.statistics.group_intervals import quantile
from biasprop.statistics.verdict import NEGLIGIBLE, zone

BUDGETS = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Labels, those that the pool allows."""
MAX_SHARE = 0.8
"""Largest share of the pool that a budget may use."""
HELD_OUT = 0.5
"""Share of the people who are held out."""
MIN_PER_CLASS = 5
"""Labels of the rarer class that the smallest budget has on average."""
DRAWS = 8
"""Label sets."""
MAX_FEATURES = 256
"""Features that a probe reads; more are reduced to so many principal components of the pool, without its labels."""


@dataclass(frozen=True)
class Margin:
    """The difference in AUC between two budgets that does not matter."""

    scale: Literal["auc", "z"]
    """z = sqrt(2) * inverse normal CDF of the AUC."""
    value: float
    """On the scale, > 0."""
    origin: str = "stated with --margin"
    """Who states it."""

    def __str__(self) -> str:
        return f"{self.value:g} {'in AUC' if self.scale == 'auc' else 'on z(AUC)'} ({self.origin})"


@dataclass(frozen=True)
class Point:
    """AUC of a group at a label budget."""

    labels: int
    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelCurve:
    """Learning curve of a group."""

    attribute: str
    group: str
    n: int
    """Held-out entries of the group."""
    n_positive: int
    points: tuple[Point, ...]
    """In the order of budgets; empty where the AUC is undefined."""
    enough: int | None
    """Smallest budget that comes within the margin of the largest one, and all larger ones do; None = none does."""
    reason: str
    """Why it is undefined, or what is open."""


@dataclass(frozen=True)
class Labelled:
    """Rows with features."""

    features: NDArray[np.float32]
    """[n, feature], finite."""
    labels: NDArray[np.int64]
    """[n], 0 or 1."""
    person: NDArray[np.int64]
    """[n], the number of the person."""
    weight: NDArray[np.float64]
    """[n], > 0."""
    groups: dict[tuple[str, str], NDArray[np.bool_]]
    """Attribute and group -> [n] whether a row is of it."""


def budgets(pool: int, rarer: float) -> list[int]:
    """Return the label budgets of a pool.

    Args:
        pool: rows.
        rarer: share of the rarer class.
    """
    return [b for b in BUDGETS if b <= MAX_SHARE * pool and b * rarer >= MIN_PER_CLASS]


def split(person: NDArray[np.int64], seed: int, draws: int) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """Divide rows by person into those held out and those that labels are drawn from.

    Args:
        person: [n] numbers of people, 0 to the largest.
        seed: >= 0.
        draws: label sets.

    Returns:
        Held-out rows, and for each draw the rows of the pool in the order in which they are labelled: person by person.
    """
    people = int(person.max()) + 1
    order = orders(people, seed, "held-out people", 1)[0]
    held_out = np.isin(person, order[: round(HELD_OUT * people)])
    pool = np.flatnonzero(~held_out)
    ranks = np.argsort(orders(people, seed, "label sets", draws), axis=1)
    return np.flatnonzero(held_out), [pool[np.argsort(rank[person[pool]], kind="stable")] for rank in ranks]


def label_curves(found: Labelled, seed: int, margin: Margin, confidence: float, draws: int = DRAWS) -> list[LabelCurve]:
    """Fit probes and return the learning curve of all people and of each group.

    Args:
        found: rows with features.
        seed: of the split and of the label sets, >= 0.
        margin: a smaller difference to the largest budget does not matter.
        confidence: level of the intervals.
        draws: label sets, at least 2.

    Returns:
        One curve per group, that of all people first; curves without points say why.
    """
    test, orderings = split(found.person, seed, draws)
    labels = found.labels
    pool = orderings[0]
    rarer = min(labels[pool].mean(), 1 - labels[pool].mean()) if len(pool) else 0.0
    sizes = budgets(len(pool), float(rarer))
    groups = {(OVERALL, OVERALL): np.ones(len(labels), bool)} | found.groups
    if not sizes:
        why = (
            f"too few labels: {len(pool):,} besides the people who are held out, {100 * rarer:.0f} % of the rarer class"
        )
        return [_without(found, test, *key, inside, why) for key, inside in groups.items()]
    scores = _scores(found, test, orderings, sizes)
    level = 1 - confidence
    return [
        _curve(found, test, scores, *key, inside, sizes, len(pool), margin, level) for key, inside in groups.items()
    ]


def _scores(
    found: Labelled, test: NDArray[np.intp], orderings: Sequence[NDArray[np.intp]], sizes: Sequence[int]
) -> NDArray[np.float64]:
    """Log-odds of the held-out rows [draw, budget, row], NaN where a label set has one class."""
    fit = _probe()
    features = _reduced(found.features, orderings[0])
    scores = np.full((len(orderings), len(sizes), len(test)), np.nan)
    for k, order in enumerate(orderings):
        for b, size in enumerate(sizes):
            rows = order[:size]
            labels = found.labels[rows]
            if labels.min() < labels.max():
                weights, intercept = fit(features[rows].astype(np.float32), labels.astype(np.int32))
                scores[k, b] = features[test] @ np.asarray(weights, np.float64) + float(intercept)
    return scores


@functools.cache
def _probe() -> Callable[[NDArray[np.float32], NDArray[np.int32]], tuple[Any, Any]]:
    """The compiled fit of a linear probe: features [n, feature], labels [n] -> weights [feature] and intercept."""
    from biasprop.hardware import environment

    environment.configure()
    import jax
    import jax.numpy as jnp

    from biasprop.protocols import PROTOCOLS
    from biasprop.tasks import TASKS

    task: Any = TASKS["disease"]()
    # No validation set: cross-validation within the labels chooses the penalty at every budget.
    probe: Any = PROTOCOLS["linear_probe"].model_validate({"min_labels": 10_000})
    return jax.jit(lambda x, y: probe.fit(task, x, y, jnp.int32(len(y)), x[:1], y[:1], jnp.int32(0)))


def _reduced(features: NDArray[np.float32], pool: NDArray[np.intp]) -> NDArray[np.float64]:
    """Standardised features, at most :data:`MAX_FEATURES` of them."""
    mean, sd = features[pool].mean(axis=0, dtype=np.float64), features[pool].std(axis=0, dtype=np.float64)
    scaled = (features - mean) / np.where(sd > 0, sd, 1.0)
    if features.shape[1] <= MAX_FEATURES:
        return scaled
    _, vectors = np.linalg.eigh(scaled[pool].T @ scaled[pool])
    return scaled @ vectors[:, : -MAX_FEATURES - 1 : -1]


def _curve(
    found: Labelled,
    test: NDArray[np.intp],
    scores: NDArray[np.float64],
    attribute: str,
    group: str,
    inside: NDArray[np.bool_],
    sizes: Sequence[int],
    pool: int,
    margin: Margin,
    level: float,
) -> LabelCurve:
    here = inside[test]
    rows = test[here]
    clusters, cluster = np.unique(found.person[rows], return_inverse=True)
    labels, weight = found.labels[rows], found.weight[rows]
    areas = np.full(scores.shape[:2], np.nan)
    moves = np.full((*scores.shape[:2], len(clusters)), np.nan)  # of the AUC with each person
    for index in np.ndindex(areas.shape):
        given = scores[index][here]
        if not np.isnan(given).any():
            areas[index], _, moves[index] = contributions.area(given, labels, weight, cluster, len(clusters))
    defined = np.isfinite(areas).all(axis=0)
    if not defined.any() or len(clusters) < 3:
        positive = int(labels.sum())
        why = f"undefined for {positive:,} diseased and {len(rows) - positive:,} healthy people who are held out"
        return _without(found, test, attribute, group, inside, why)
    kept = np.flatnonzero(defined)
    areas, moves = areas[:, kept], moves[:, kept]
    sizes = [sizes[k] for k in kept.tolist()]
    mean = areas.mean(axis=0)
    inner = (mean > 0) & (mean < 1)  # an AUC of 0 or 1 has no z, and no interval
    slope = np.where(inner, auc_slope(probit(np.where(inner, mean, 0.5))), np.nan)
    parts = moves.mean(axis=0) / slope[:, None]
    z = probit(mean) + (areas - mean) / slope  # of each draw, to first order: the area of one draw may be 1
    shares = np.array(sizes) / pool
    points = []
    for k, size in enumerate(sizes):
        half = _half_width(parts[k], z[:, k], shares[k], level)
        low, high = (float(auc_of_z(probit(mean[k]) + sign * half)) for sign in (-1, 1))
        points.append(Point(size, float(mean[k]), low, high))
    judged = (parts, z) if margin.scale == "z" else (moves.mean(axis=0), areas)
    enough = _enough(*judged, shares, sizes, margin.value, level)
    reason = "" if enough else f"no smaller budget is within {margin} of {sizes[-1]:,} labels for certain"
    return LabelCurve(attribute, group, len(rows), int(labels.sum()), tuple(points), enough, reason)


def _enough(
    parts: NDArray[np.float64],
    values: NDArray[np.float64],
    shares: NDArray[np.float64],
    sizes: Sequence[int],
    margin: float,
    level: float,
) -> int | None:
    """The smallest budget down to which all differences to the largest one are negligible.

    Budgets are tested from the largest down to the first that fails, a fixed sequence, so that no correction for their
    number is needed.

    Args:
        parts: [budget, person] contributions to the mean values, on the scale of the margin.
        values: [draw, budget] on the same scale.
        shares: [budget] of the pool.
        sizes: budgets.
        margin: on that scale.
        level: 1 - confidence.
    """
    enough = None
    for k in range(len(sizes) - 2, -1, -1):
        half = _half_width(parts[-1] - parts[k], values[:, -1] - values[:, k], shares[-1], level)
        difference = float((values[:, -1] - values[:, k]).mean())
        if zone(difference - half, difference + half, margin) != NEGLIGIBLE:
            break
        enough = sizes[k]
    return enough


def _half_width(parts: NDArray[np.float64], draws: NDArray[np.float64], share: float, level: float) -> float:
    """Half the width of an interval of a mean over draws, see the head of this module.

    Args:
        parts: [person] contributions of the held-out people to the mean.
        draws: [draw] values.
        share: of the pool that a draw uses.
        level: 1 - confidence.
    """
    n, r = len(parts), len(draws)
    of_people = float(parts @ parts) * n / (n - 1)
    of_labels = float(draws.var(ddof=1)) * (1 / r + share / (1 - share))
    total = of_people + of_labels
    if not total > 0:
        return float("nan")
    degrees = total**2 / (of_people**2 / (n - 1) + of_labels**2 / (r - 1))  # Satterthwaite
    return float(quantile(level, np.array(degrees)) * np.sqrt(total))


def _without(
    found: Labelled, test: NDArray[np.intp], attribute: str, group: str, inside: NDArray[np.bool_], why: str
) -> LabelCurve:
    rows = test[inside[test]]
    return LabelCurve(attribute, group, len(rows), int(found.labels[rows].sum()), (), None, why)
