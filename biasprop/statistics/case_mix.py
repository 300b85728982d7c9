"""Case-mix: who is in a test, beside a stated population."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biasprop.statistics import contributions
from biasprop.statistics.group_intervals import Spread, clopper_pearson


def case_mix(
    member: NDArray[np.integer],
    groups: tuple[str, ...],
    labels: NDArray[np.integer],
    person: NDArray[np.integer] | None = None,
    stated: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the share and the prevalence of each group of one attribute.

    Args:
        member: [n], the number of each entry's group; -1 = not known, left out.
        groups: names.
        labels: [n], 1, 0, or negative where missing.
        person: [n], the person (cluster) of each entry; None = every person is one entry.
        stated: group -> its share of the population that the model is meant for; may have groups that are not here.
        confidence: level of the intervals.

    Returns:
        One row per group, those of ``stated`` that are not here last: ``group``, ``n`` entries, ``share`` of them with
        its Clopper-Pearson interval ``low`` and ``high``, the ``stated`` share (NaN = none), ``share`` minus ``stated``
        as ``difference``, ``n_positive`` and ``prevalence`` (NaN where no label is known).
    """
    known = member >= 0
    member, labels = member[known], labels[known]
    cluster = np.arange(len(member)) if person is None else np.unique(person[known], return_inverse=True)[1]
    clusters = int(cluster.max()) + 1 if len(cluster) else 0
    ones = np.ones(len(member))
    stated = {} if stated is None else stated
    absent = tuple(name for name in stated if name not in groups)
    units = contributions.effective_number(ones, cluster)
    degrees = np.inf if person is None else clusters - 1.0
    rows = []
    for number, name in enumerate((*groups, *absent)):
        inside = member == number
        found = contributions.mean(inside, ones, cluster, clusters)
        value, variance, entries = (np.array([float(x)]) for x in (found.value, found.variance, len(member)))
        spread = Spread(value, variance, np.eye(1), entries, np.array([units]), np.array([degrees]))
        (low,), (high,) = clopper_pearson(spread, 1.0 - confidence)
        with_label, positive = int((labels[inside] >= 0).sum()), int((labels[inside] == 1).sum())
        prevalence = positive / with_label if with_label else np.nan
        wanted = stated.get(name, np.nan)
        difference = found.value - wanted
        rows.append((name, int(inside.sum()), found.value, low, high, wanted, difference, positive, prevalence))
    names = ["group", "n", "share", "low", "high", "stated", "difference", "n_positive", "prevalence"]
    return pd.DataFrame(rows, columns=names)
