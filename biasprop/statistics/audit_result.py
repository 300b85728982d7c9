"""Result of an audit: tables of estimates and contrasts, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biasprop.metrics import calibration_undefined
from biasprop.statistics.extreme_groups import between, bounds, resolvable, smallest_groups, worst_groups
from biasprop.statistics.group_intervals import z_error
from biasprop.statistics.group_measures import MIN_DEFINED, PREDICTIVE, RATES, REFERENCES, Groups, Measured
from biasprop.statistics.summary import plain
from biasprop.statistics.verdict import zone

FITTED = ("calibration_intercept", "calibration_slope")
"""Measures that are fitted, and undefined for more causes than a class without people."""
OVERALL = "overall"
"""The attribute that has all people in one group."""


@dataclass(frozen=True)
class Audit:
    """Result of ``biasprop.audit_scores``: measures of groups of people and signed contrasts between groups."""

    estimates: pd.DataFrame
    """One row per attribute, group and measure: ``value``, ``low``, ``high``, ``se``, ``n`` entries that count and
    ``n_positive`` of them diseased, ``n_missing`` without score or target, ``n_clusters``, ``method`` (where the
    variance is from), ``resamples`` in which the measure is defined, and the ``reason`` where something is NaN. The
    attribute ``overall`` has all people."""
    contrasts: pd.DataFrame
    """One row per attribute, measure and pair of groups: ``value`` of ``group`` minus that of ``against`` with ``low``
    and ``high``; ``adjusted_low`` and ``adjusted_high`` hold for all contrasts of the measure at once (Bonferroni), and
    ``verdict`` compares them with ``margin``. ``resolvable`` is the size of a true difference whose adjusted interval
    would have left out 0 with a probability of 80 %."""
    worst: pd.DataFrame
    """The worst group of each attribute and measure, corrected for having been picked; see
    :func:`biasprop.statistics.extreme_groups.worst_groups`."""
    smallest: pd.DataFrame
    """The smallest group of each attribute and what it could have resolved; see
    :func:`biasprop.statistics.extreme_groups.smallest_groups`."""
    threshold: float
    """Operating threshold on the scale of the scores; NaN = none."""
    threshold_origin: str
    """Where it comes from."""
    threshold_probability: float
    """Threshold probability of net benefit; NaN = none."""
    left_out: dict[str, str]
    """Measures that were not computed -> reason."""
    without_group: dict[str, int]
    """Attribute -> entries whose group is not known."""
    confidence: float
    """Level of the intervals."""
    n_bootstrap: int
    """Resamples of each bootstrap."""
    seed: int
    """Of the resamples."""

    @property
    def by_group(self) -> pd.DataFrame:
        """Values as a table of groups (rows: attribute, group) and measures (columns), with the counts."""
        return self._wide(self.estimates.query("attribute != @OVERALL"))

    @property
    def overall(self) -> pd.Series:
        """Values for all people together, with the counts."""
        return self._wide(self.estimates.query("attribute == @OVERALL")).iloc[0].rename(None)

    def _repr_html_(self) -> str:
        """Values by group and the contrasts that have a verdict, for a notebook."""
        from biasprop.html.templates import fragment
        from biasprop.statistics.audit_html import audit_blocks

        return fragment(audit_blocks(self))

    def to_dataframe(self) -> pd.DataFrame:
        """Return estimates and contrasts as one table; the column ``table`` tells them apart."""
        tables = {"estimate": self.estimates, "contrast": self.contrasts}
        return pd.concat([table.assign(table=name) for name, table in tables.items() if len(table)], ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON object, NaN as null."""
        tables = {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame)}
        rest = {name: value for name, value in vars(self).items() if name not in tables}
        return plain({name: table.to_dict("records") for name, table in tables.items()} | rest)

    @staticmethod
    def _wide(rows: pd.DataFrame) -> pd.DataFrame:
        index = ["attribute", "group"]
        values = rows.pivot(index=index, columns="metric", values="value")[list(dict.fromkeys(rows["metric"]))]
        counts = rows.drop_duplicates(index).set_index(index)[["n", "n_positive", "n_missing"]]
        return counts.join(values).rename_axis(columns=None)


def tables(
    found: Mapping[str, tuple[Groups, Mapping[str, Measured]]],
    compared: Mapping[str, Sequence[tuple[str, str]]],
    margins: Mapping[str, float],
    alpha: float,
    number: int,
) -> dict[str, pd.DataFrame]:
    """Return the tables of an :class:`Audit` by name.

    Args:
        found: attribute -> its groups and their measures.
        compared: attribute -> pairs of its groups.
        margins: measure -> margin.
        alpha: 1 - confidence.
        number: of resamples.
    """
    estimates, contrasts = [], []
    adjusted = alpha / max(1, sum(len(pairs) for pairs in compared.values()))
    for attribute, (groups, measures) in found.items():
        for name, one in measures.items():
            reasons = [_reason(groups, name, one, g, number) for g in range(len(groups.rows))]
            estimates.append(_estimates(groups, name, one, reasons, alpha))
            if name not in REFERENCES and compared.get(attribute):
                margin = margins.get(name, np.nan)
                rows = _contrasts(groups, name, one, reasons, compared[attribute], (alpha, adjusted), margin)
                contrasts.append(rows.assign(attribute=attribute))
    first = ["attribute", "group", "against", "metric"]
    table = pd.concat(contrasts, ignore_index=True) if contrasts else pd.DataFrame(columns=first)
    return {
        "estimates": pd.concat(estimates, ignore_index=True),
        "contrasts": table.reindex(columns=[*first, *table.columns.drop(first)]),
        "worst": worst_groups(found, alpha),
        "smallest": smallest_groups(found, alpha),
    }


def _error(name: str, one: Measured) -> NDArray[np.float64]:
    return z_error(one.spread) if name == "z" else np.sqrt(one.spread.variance)


def _estimates(groups: Groups, name: str, one: Measured, reasons: list[str], alpha: float) -> pd.DataFrame:
    people, attribute = groups.people, groups.attribute
    low, high = bounds(one, alpha)
    n = np.array([len(rows) for rows in groups.rows])
    missing = np.isnan(people.scores) | (people.labels < 0)
    return pd.DataFrame(
        {
            "attribute": attribute.name,
            "group": list(attribute.groups),
            "metric": name,
            "value": one.spread.value,
            "low": low,
            "high": high,
            "se": _error(name, one),
            "n": n,
            "n_positive": [int((people.labels[rows] == 1).sum()) for rows in groups.rows],
            "n_missing": [int(missing[attribute.member == g].sum()) for g in range(len(n))],
            "n_clusters": [groups.clusters_in(rows) for rows in groups.rows],
            "method": one.method,
            "resamples": one.resamples,
            "reason": reasons,
        }
    )


def _contrasts(
    groups: Groups,
    name: str,
    one: Measured,
    reasons: list[str],
    pairs: Sequence[tuple[str, str]],
    alphas: tuple[float, float],
    margin: float,
) -> pd.DataFrame:
    a, b = (np.array([groups.attribute.groups.index(pair[k]) for pair in pairs]) for k in (0, 1))
    value, error, correlation = one.spread.value, _error(name, one), one.spread.correlation[a, b]
    limits = [limit for alpha in alphas for limit in between(one, a, b, alpha)]
    names = list(groups.attribute.groups)
    why = ["; ".join(f"{names[g]}: {reasons[g]}" for g in pair if reasons[g]) for pair in zip(a, b, strict=True)]
    return pd.DataFrame(
        {
            "group": [pair[0] for pair in pairs],
            "against": [pair[1] for pair in pairs],
            "metric": name,
            "value": value[a] - value[b],
            "low": limits[0],
            "high": limits[1],
            "adjusted_low": limits[2],
            "adjusted_high": limits[3],
            "se": np.sqrt(np.maximum(error[a] ** 2 + error[b] ** 2 - 2 * correlation * error[a] * error[b], 0.0)),
            "resolvable": resolvable(value[a] - value[b], limits[2], limits[3], alphas[1]),
            "margin": margin,
            "verdict": [zone(low, high, margin) if margin > 0 else "" for low, high in zip(*limits[2:], strict=True)],
            "method": one.method,
            "reason": why,
        }
    )


def _reason(groups: Groups, name: str, one: Measured, group: int, number: int) -> str:
    """Why a value or its interval is undefined; empty where both are defined."""
    rows = groups.rows[group]
    diseased = int((groups.people.labels[rows] == 1).sum())
    if np.isnan(one.spread.value[group]):
        called = f", {groups.called(rows):,} called diseased" if name in PREDICTIVE else ""
        cause = ""
        if name in FITTED:
            found = calibration_undefined(groups.log_odds[rows], groups.people.labels[rows])
            cause = f": {found or 'the fit does not converge'}"
        return f"undefined for {diseased:,} diseased and {len(rows) - diseased:,} healthy{called}{cause}"
    if name in RATES and one.spread.degrees[group] < 1:
        return "no interval: people of one cluster only"
    if name in REFERENCES or name in RATES:
        return ""
    variance = one.spread.variance[group]
    if one.method.startswith("bootstrap") and np.isnan(variance):
        return f"no interval: defined in {one.resamples[group]:,} of {number:,} resamples, fewer than {MIN_DEFINED:.0%}"
    if not variance > 0:
        return "no interval: an AUC of 0 or 1" if name in ("auc", "z") else "no interval: no variance"
    return ""
