"""Measures of groups of people, and their variances: from formulas where there are any, else from a bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from biasprop.metrics import METRICS, calibration_intercept, calibration_slope, z_of_auc
from biasprop.metrics.counts import rows_of
from biasprop.statistics import contributions
from biasprop.statistics.bootstrap import resamples
from biasprop.statistics.group_intervals import Spread
from biasprop.statistics.people import Attribute, People

AREAS = ("auc", "z")
RATES = tuple(name for name, metric in METRICS.items() if "threshold" in metric.needs and not metric.twins)
PREDICTIVE = ("ppv", "npv")
"""Rates among people on one side of the threshold."""
CALIBRATION = tuple(
    name for name, metric in METRICS.items() if metric.needs == ("labels",) and not metric.count and name != "auc"
)
DECISIONS = tuple(name for name, metric in METRICS.items() if "threshold_probability" in metric.needs)
"""Measures of decisions at a threshold probability."""
OF_PROBABILITIES = (*CALIBRATION, *DECISIONS)
"""Measures that need scores which are probabilities; they read log-odds."""
MEASURES = (*AREAS, *RATES, *OF_PROBABILITIES)
REFERENCES = ("ece_expected",)
"""Measures that others are read beside; they have no interval and no contrasts."""

MEANS = ("brier", *DECISIONS)
"""Measures that are means over people."""
FORMULAS = ("auc", *RATES, *MEANS, "calibration_intercept", "calibration_slope")
"""Measures whose variance has a formula; that of the others is from a bootstrap."""

RATE_INTERVALS = {"wilson": "Wilson", "exact": "Clopper-Pearson"}
"""Intervals of rates, of ``group_intervals.INTERVALS``, and their names in tables."""

RESAMPLED: Mapping[str, Callable[..., NDArray]] = {
    "calibration_intercept": partial(calibration_intercept, min_per_class=1),
    "calibration_slope": partial(calibration_slope, min_per_class=1),
}
"""Functions for resamples, where they differ from those for samples."""

FORMULA_NAMES = {"auc": "DeLong"} | dict.fromkeys(MEANS, "linearised")
"""Names of the formulas in tables, where they are no sandwich variances."""

MIN_DEFINED = 0.95
"""Share of the resamples in which a measure must be defined; the variance of a selection of them means little."""


def kind(name: str, rate_interval: str = "wilson") -> str:
    """Return which of ``group_intervals.INTERVALS`` a measure has."""
    if name in AREAS:
        return "z" if name == "z" else "area"
    if name == "brier":
        return "mean square"
    return rate_interval if name in RATES else "other"


@dataclass(frozen=True)
class Bootstrap:
    """How people are resampled."""

    number: int
    """Resamples, >= 2."""
    seed: int
    everything: bool
    """Whether measures that have a formula are resampled as well."""


@dataclass(frozen=True)
class Measured:
    """One measure of all groups of an attribute."""

    spread: Spread
    interval: str
    """Its kind of interval, of ``group_intervals.INTERVALS``."""
    method: str
    """Where the variance comes from; empty = there is none."""
    resamples: NDArray[np.int64]
    """[group], resamples in which the measure is defined; 0 without a bootstrap."""


class Groups:
    """The people of one attribute's groups whose score, target and group are known and whose weight is above 0."""

    def __init__(
        self,
        people: People,
        attribute: Attribute,
        log_odds: NDArray[np.float64],
        threshold: float,
        threshold_probability: float,
    ):
        counts = ~np.isnan(people.scores) & (people.labels >= 0)
        if people.weight is not None:
            counts &= people.weight > 0
        self.attribute = attribute
        self.people, self.log_odds, self.threshold = people, log_odds, threshold
        self.threshold_probability = threshold_probability
        small = np.int32 if len(counts) < 2**31 else np.int64  # tables may have millions of rows
        inside = (counts & (attribute.member == g) for g in range(len(attribute.groups)))
        self.rows = [np.flatnonzero(one).astype(small) for one in inside]
        """Of each group."""
        self.all_rows = np.flatnonzero(counts & (attribute.member >= 0)) if people.clustered else None
        """Of all groups together; None without clusters, where nothing needs them."""
        self.shared = False
        """Whether a cluster has entries in several groups, so that the groups are not independent."""
        if self.all_rows is not None:
            inside, groups = people.cluster[self.all_rows], attribute.member[self.all_rows]
            pairs = np.unique(inside.astype(np.int64) * len(attribute.groups) + groups)
            self.shared = len(pairs) > len(np.unique(inside))

    def weight(self, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        """Weights of rows, 1 where none were given."""
        return np.ones(len(rows)) if self.people.weight is None else self.people.weight[rows]

    def clusters(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.integer], int]:
        """Cluster numbers of rows and how many there are: those of all groups where clusters are shared."""
        if not self.people.clustered:
            return np.arange(len(rows)), len(rows)
        cluster = self.people.cluster
        among = cluster[self.all_rows if self.shared else rows]
        if len(among) < len(cluster) // 16:
            known = np.unique(among)
            return np.searchsorted(known, cluster[rows]), len(known)
        there = np.zeros(int(cluster.max()) + 1, bool)  # as above, without sorting
        there[among] = True
        return (np.cumsum(there, dtype=np.int32) - 1)[cluster[rows]], int(there.sum())

    def clusters_in(self, rows: NDArray[np.integer]) -> int:
        """Number of clusters that rows are of."""
        return len(pd.unique(self.people.cluster[rows])) if self.people.clustered else len(rows)

    def called(self, rows: NDArray[np.integer]) -> int:
        """Number of rows that are called diseased."""
        return int((self.people.scores[rows] > self.threshold).sum())

    def values(self, name: str, rows: NDArray[np.integer], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Compute a measure of rows: weights [..., row] or None -> [...]."""
        if not len(rows):
            return np.full(() if weight is None else weight.shape[:-1], np.nan)
        metric = METRICS[name]
        resampled = weight is not None and weight.ndim > 1
        function = RESAMPLED.get(name, metric.function) if resampled else metric.function
        scores = self.log_odds if name in OF_PROBABILITIES else self.people.scores
        leading = () if weight is None else weight.shape[:-1]
        needs = {
            "labels": self.people.labels[rows],
            "threshold": np.full(leading, self.threshold),
            "threshold_probability": np.full(leading, self.threshold_probability),
        }
        return function(scores[rows], *(needs[need] for need in metric.needs), weight)


def measured(
    groups: Groups, names: Sequence[str], bootstrap: Bootstrap, rate_interval: str = "wilson"
) -> dict[str, Measured]:
    """Compute measures of every group with their variances.

    Args:
        groups: people of one attribute.
        names: of :data:`MEASURES`; those of probabilities need log-odds, rates a threshold.
        bootstrap: how people are resampled.
        rate_interval: of :data:`RATE_INTERVALS`.

    Returns:
        Measure -> its values and variances. ``z`` has its value, and the variance of the AUC.
    """
    given = groups.people.weight
    sample = {
        name: np.array([groups.values(name, rows, None if given is None else given[rows]) for rows in groups.rows])
        for name in {"auc" if name == "z" else name for name in names}
    }
    drawn = [name for name in sample if name not in REFERENCES and (bootstrap.everything or name not in FORMULAS)]
    draws = _bootstrapped(groups, [name for name in drawn if not np.isnan(sample[name]).all()], bootstrap)
    result = {}
    for name in names:
        source, interval = "auc" if name == "z" else name, kind(name, rate_interval)
        if name in REFERENCES:
            one = _unmeasured(groups, sample[source])
        elif source in drawn:
            one = _from_draws(groups, source, sample[source], draws.get(source), bootstrap, interval)
        else:
            one = _from_formula(groups, source, sample[source], interval)
        if name == "z":
            labels = groups.people.labels
            count = [(len(rows), int((labels[rows] == 1).sum())) for rows in groups.rows]
            z, _ = z_of_auc(sample["auc"], *np.array(count).reshape(-1, 2).T)
            one = replace(one, spread=one.spread._replace(value=z))
        result[name] = one
    return result


def _from_formula(groups: Groups, name: str, sample: NDArray[np.float64], interval: str) -> Measured:
    """Variances from the contributions of people."""
    people, found = groups.people, []
    for rows in groups.rows:
        rows = _about(groups, name, rows) if name in RATES else rows
        labels, weight, members = people.labels[rows], groups.weight(rows), groups.clusters(rows)
        if name in RATES:
            # Which of the two outcomes is counted does not matter to the variance.
            called = people.scores[rows] > groups.threshold
            found.append(contributions.mean(labels == 1 if name in PREDICTIVE else called, weight, *members))
        elif name in MEANS:
            found.append(contributions.mean(_terms(groups, name, rows), weight, *members))
        elif name == "auc":
            found.append(contributions.area(rows_of(people.scores, rows), labels, weight, *members))
        else:
            slope_free = name == "calibration_slope"
            found.append(
                contributions.calibration(rows_of(groups.log_odds, rows), labels, weight, *members, slope_free)
            )
    correlation, variances = np.eye(len(found)), np.array([one.variance for one in found])
    if groups.shared:
        correlation = contributions.correlations([one.contribution for one in found])
    del found  # contributions of millions of clusters
    spread = _spread(groups, name, sample, variances, correlation)
    formula = RATE_INTERVALS.get(interval) or FORMULA_NAMES.get(name, "sandwich")
    method = f"{formula} (clusters)" if people.clustered else formula
    return Measured(spread, interval, method, np.zeros(len(variances), np.int64))


def _terms(groups: Groups, name: str, rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """What each person adds to a measure that is a mean over people."""
    log_odds, diseased = groups.log_odds[rows], groups.people.labels[rows] == 1
    if name == "brier":
        return np.square(expit(log_odds) - diseased)
    p = groups.threshold_probability
    return np.where(log_odds > logit(p), np.where(diseased, 1.0, -p / (1.0 - p)), 0.0)


def _from_draws(
    groups: Groups,
    name: str,
    sample: NDArray[np.float64],
    draws: NDArray[np.float64] | None,
    bootstrap: Bootstrap,
    interval: str,
) -> Measured:
    """Variances of a measure over resamples [resample, group]."""
    method = "bootstrap of clusters" if groups.people.clustered else "bootstrap of people"
    draws = np.full((bootstrap.number, len(sample)), np.nan) if draws is None else draws
    there = ~np.isnan(draws)
    defined = there.sum(axis=0)
    enough = defined >= max(2, MIN_DEFINED * bootstrap.number)
    mean = np.where(there, draws, 0.0).sum(axis=0) / np.maximum(defined, 1)
    deviation = np.where(there, draws - mean, 0.0)
    variance = np.where(enough, np.square(deviation).sum(axis=0) / np.maximum(defined - 1, 1), np.nan)
    correlation = contributions.correlations(list(deviation.T)) if groups.shared else np.eye(len(sample))
    return Measured(_spread(groups, name, sample, variance, correlation), interval, method, defined)


def _unmeasured(groups: Groups, sample: NDArray[np.float64]) -> Measured:
    nothing = np.full(len(sample), np.nan)
    spread = _spread(groups, "", sample, nothing, np.eye(len(sample)))
    return Measured(spread, "other", "", np.zeros(len(sample), np.int64))


def _bootstrapped(groups: Groups, names: Sequence[str], bootstrap: Bootstrap) -> dict[str, NDArray[np.float64]]:
    """Compute measures of resamples: name -> [resample, group].

    Groups of different people are resampled one by one, each with its own number of people; groups that share clusters
    together, so that a resample has the same clusters in all of them.
    """
    attribute, people = groups.attribute, groups.people
    draws = {name: np.full((bootstrap.number, len(groups.rows)), np.nan) for name in names}
    if not names:
        return draws
    strata = [(g, rows) for g, rows in enumerate(groups.rows)]
    for stratum, rows in [(None, groups.all_rows)] if groups.shared and groups.all_rows is not None else strata:
        label = attribute.name if stratum is None else f"{attribute.name}={attribute.groups[stratum]}"
        start = 0
        for block in resamples(people.cluster[rows], bootstrap.seed, label, bootstrap.number):
            weight = block * groups.weight(rows)
            for g in range(len(groups.rows)) if stratum is None else (stratum,):
                inside = attribute.member[rows] == g
                for name in names:
                    value = groups.values(name, rows[inside], weight[:, inside])
                    draws[name][start : start + len(block), g] = value
            start += len(block)
    return draws


def _spread(
    groups: Groups,
    name: str,
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    correlation: NDArray[np.float64],
) -> Spread:
    entries, units, degrees = [], [], []
    for rows in groups.rows:
        rows = _about(groups, name, rows) if name in RATES else rows
        weight = groups.weight(rows)
        members, _ = groups.clusters(rows)
        entries.append(contributions.effective_number(weight, np.arange(len(rows))))
        units.append(contributions.effective_number(weight, members))
        degrees.append(groups.clusters_in(rows) - 1 if groups.people.clustered else np.inf)
    return Spread(value, variance, correlation, np.array(entries), np.array(units), np.array(degrees, np.float64))


def _about(groups: Groups, name: str, rows: NDArray[np.integer]) -> NDArray[np.integer]:
    """The people that a rate is a share of: the healthy for a specificity, those called diseased for a positive
    predictive value, the others for a negative one, else the diseased."""
    if name in PREDICTIVE:
        return rows[(groups.people.scores[rows] > groups.threshold) == (name == "ppv")]
    return rows[groups.people.labels[rows] == (0 if name == "specificity" else 1)]
