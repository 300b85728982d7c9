"""Audit of a model on independent people: measures of groups and contrasts between them, without a simulation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from biasprop.component import InputError, suggestion
from biasprop.metrics import operating_threshold
from biasprop.statistics.audit_result import OVERALL, Audit, tables
from biasprop.statistics.group_measures import (
    DECISIONS,
    MEASURES,
    OF_PROBABILITIES,
    RATE_INTERVALS,
    RATES,
    REFERENCES,
    Bootstrap,
    Groups,
    measured,
)
from biasprop.statistics.people import Attribute, People, read_people

SCORES = ("log-odds", "probability", "ranking")
METHODS = ("formula", "bootstrap")

Pairs = Sequence[tuple[str, str]] | Mapping[str, Sequence[tuple[str, str]]]


def audit_scores(
    scores: ArrayLike,
    target: ArrayLike,
    groups: Any,
    *,
    score_is: Literal["log-odds", "probability", "ranking"],
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    threshold: float | None = None,
    threshold_origin: str = "given",
    threshold_from: tuple[ArrayLike, ArrayLike] | None = None,
    target_specificity: float = 0.8,
    threshold_probability: float | None = None,
    metrics: Sequence[str] | None = None,
    pairs: Pairs | None = None,
    intersections: bool = False,
    margin: Mapping[str, float] | None = None,
    method: Literal["formula", "bootstrap"] = "formula",
    rate_interval: Literal["wilson", "exact"] = "wilson",
    n_bootstrap: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Audit:
    """Measure a model in groups of people and compare the groups, with intervals. No simulation, no JAX.

    >>> audit = biasprop.audit_scores(
    ...     table.p, table.disease, table[["sex", "age_group"]], score_is="probability", cluster=table.patient_id,
    ...     threshold_from=(validation.p, validation.disease), target_specificity=0.9, margin={"z": 0.2},
    ... )
    >>> audit.by_group                                       # as of fairlearn.metrics.MetricFrame
    >>> audit.estimates[["group", "metric", "value", "low", "high"]]
    >>> audit.contrasts.query("metric == 'z'")               # signed gaps, intervals, verdicts

    Measures: ``auc``; ``z`` = sqrt(2) * inverse normal CDF of the AUC, the scale of gaps in this package;
    ``sensitivity``, ``specificity``, ``underdiagnosis``, ``ppv`` and ``npv`` at one threshold for all groups (positive
    = score > threshold); ``calibration_intercept``, ``calibration_slope``, ``ece``, ``ece_expected`` (what ``ece``
    would be under perfect calibration) and ``brier``; ``net_benefit`` per person at ``threshold_probability``. What is
    undefined is NaN with counts and a reason, never 0 or 1.

    Intervals: of AUC and z normal on z, with DeLong's variance; of rates Wilson's, with the effective number of people
    where there are weights or clusters, or exact binomial ones; of calibration intercept and slope normal with the
    sandwich variance, of Brier score and net benefit normal with that of a mean, of other measures normal with that of
    a bootstrap. An AUC of 0 or 1 has no interval. A contrast is the difference on the
    measure's own scale; its interval comes from those of both groups (Zou and Donner, 2008; for rates Newcombe's). A
    bootstrap draws as many people as there are, within each group and not stratified by target.

    Entries of one cluster are never taken as independent: variances are sums over clusters (of the AUC, Obuchowski's),
    a bootstrap draws whole clusters, and quantiles are Student's t with clusters - 1 degrees of freedom. If clusters
    have entries in several groups (twins, or the left and right eyes of a person), a bootstrap draws the clusters of
    all groups together, and contrasts use the correlation between the groups.

    Args:
        scores: [n], NaN = missing. A larger score means that disease is more likely.
        target: [n], 0 or 1 (or bool); NaN or None = missing.
        groups: [n] group of each entry, or several attributes as a DataFrame or a mapping of name to [n]. Missing
            values belong to no group; unused categories of a categorical are empty groups.
        score_is: what the scores are. Calibration and net benefit are measured only of "log-odds" and "probability";
            "ranking" is any score whose order alone means something.
        weight: [n] sampling weights, finite and >= 0; 0 = left out.
        cluster: [n] cluster of each entry, such as the patient whose images they are.
        threshold: operating threshold on the scale of the scores; never set on the scores that are audited.
        threshold_origin: where ``threshold`` comes from, to be kept with the result.
        threshold_from: scores and targets of other people, on which the threshold is set at ``target_specificity``.
        target_specificity: in (0, 1].
        threshold_probability: of net benefit, in (0, 1): the probability of disease at which treating and not treating
            are worth the same. It follows from harms and benefits of the treatment and is never set on scores.
        metrics: names of measures; None = all that can be computed.
        pairs: pairs of groups to be compared, (A, B) = A minus B, or a mapping of attribute to pairs; None = all.
        intersections: also audit the groups formed by all attributes together.
        margin: measure -> the difference below which groups count as equal, > 0, on the measure's scale.
        method: "formula", or "bootstrap" for the variances of all measures.
        rate_interval: "wilson", or "exact" for intervals of Clopper and Pearson, whose coverage is at least
            ``confidence`` and mostly higher.
        n_bootstrap: resamples, >= 100.
        seed: of the resamples, >= 0. The same seed gives the same numbers; resamples of a group do not depend on the
            other groups.
        confidence: level of the intervals, in (0, 1).

    Returns:
        Estimates, contrasts, the worst and the smallest groups as pandas tables, with what is needed to read them.

    Raises:
        InputError: an argument is invalid; the message names it.
    """
    _one_of("score_is", score_is, SCORES)
    _one_of("method", method, METHODS)
    _one_of("rate_interval", rate_interval, RATE_INTERVALS)
    _within("confidence", 0.0 < confidence < 1.0, confidence, "in (0, 1)")
    _within("n_bootstrap", _whole(n_bootstrap) and n_bootstrap >= 100, n_bootstrap, "an integer of at least 100")
    _within("seed", _whole(seed) and seed >= 0, seed, "an integer of at least 0")
    people = read_people(scores, target, groups, weight, cluster, score_is, intersections)
    if any(attribute.name == OVERALL for attribute in people.attributes):
        raise InputError(f"groups: {OVERALL!r} cannot be the name of an attribute")
    cut, origin = _threshold(people, score_is, threshold, threshold_origin, threshold_from, target_specificity)
    if threshold_probability is not None:
        inside = 0.0 < threshold_probability < 1.0
        _within("threshold_probability", inside, threshold_probability, "in (0, 1)")
    p = float("nan") if threshold_probability is None else float(threshold_probability)
    names, left_out = _measures(metrics, score_is, cut, p)
    compared = _pairs(people.attributes, pairs)
    margins = _margins(margin, names)

    log_odds = logit(people.scores) if score_is == "probability" else people.scores
    bootstrap = Bootstrap(n_bootstrap, seed, everything=method == "bootstrap")
    overall = Attribute(OVERALL, ("all",), np.zeros(len(people.scores), np.int16))
    found = {}
    for attribute in (overall, *people.attributes):
        groups_of = Groups(people, attribute, log_odds, cut, p)
        found[attribute.name] = groups_of, measured(groups_of, names, bootstrap, rate_interval)
    return Audit(
        **tables(found, compared, margins, 1.0 - confidence, n_bootstrap),
        threshold=cut,
        threshold_origin=origin,
        threshold_probability=p,
        left_out=left_out,
        without_group={one.name: int((one.member < 0).sum()) for one in people.attributes},
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def _one_of(name: str, value: Any, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}: {value!r} is unknown; {suggestion(value, allowed)}")


def _within(name: str, inside: bool, value: Any, what: str) -> None:
    if not inside:
        raise InputError(f"{name}: must be {what}, not {value!r}")


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _threshold(
    people: People,
    score_is: str,
    threshold: float | None,
    origin: str,
    source: tuple[ArrayLike, ArrayLike] | None,
    target_specificity: float,
) -> tuple[float, str]:
    """The operating threshold and where it comes from; NaN where there is none."""
    if source is None:
        if threshold is None:
            return float("nan"), "none"
        _within("threshold", bool(np.isfinite(threshold)), threshold, "a finite number")
        return float(threshold), origin
    if threshold is not None:
        raise InputError("give threshold or threshold_from, not both")
    _within("target_specificity", 0.0 < target_specificity <= 1.0, target_specificity, "in (0, 1]")
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise InputError("threshold_from: must be a pair (scores, target)")
    try:
        other = read_people(*source, np.zeros(np.shape(source[0])), score_is=score_is)
    except InputError as error:
        raise InputError([f"threshold_from: {problem}" for problem in error.problems]) from error
    if np.array_equal(other.scores, people.scores, equal_nan=True):
        raise InputError("threshold_from: these are the scores that are audited; take those of other people")
    value = float(operating_threshold(other.scores, other.labels, target_specificity))
    _within("threshold_from", not np.isnan(value), source[1], "scores of at least one healthy person")
    counts = int((~np.isnan(other.scores) & (other.labels == 0)).sum())
    return value, f"specificity {target_specificity:g} on {counts:,} healthy people of threshold_from"


def _measures(
    metrics: Sequence[str] | None, score_is: str, threshold: float, threshold_probability: float
) -> tuple[list[str], dict[str, str]]:
    """Measures to be computed, and those that cannot be with the reason."""
    impossible = {}
    if np.isnan(threshold):
        impossible |= dict.fromkeys(RATES, "no operating threshold: give threshold or threshold_from")
    if np.isnan(threshold_probability):
        impossible |= dict.fromkeys(DECISIONS, "no threshold probability: give threshold_probability")
    if score_is == "ranking":
        impossible |= dict.fromkeys(OF_PROBABILITIES, 'scores of which only the order is known (score_is="ranking")')
    if metrics is None:
        return [name for name in MEASURES if name not in impossible], impossible
    if isinstance(metrics, str):
        raise InputError(f"metrics: must be a list of names, such as [{metrics!r}]")
    for name in metrics:
        _one_of("metrics", name, MEASURES)
        if name in impossible:
            raise InputError(f"metrics: {name} cannot be computed: {impossible[name]}")
    return list(dict.fromkeys(metrics)), {}


def _pairs(attributes: Sequence[Attribute], pairs: Pairs | None) -> dict[str, list[tuple[str, str]]]:
    """Attribute -> pairs of its groups that are compared."""
    if pairs is None:
        return {one.name: list(combinations(one.groups, 2)) for one in attributes}
    if not isinstance(pairs, Mapping):
        if len(attributes) > 1:
            names = ", ".join(one.name for one in attributes)
            raise InputError(f"pairs: there are several attributes ({names}); give a mapping of attribute to pairs")
        pairs = {attributes[0].name: pairs}
    groups = {one.name: one.groups for one in attributes}
    for name, chosen in pairs.items():
        _one_of("pairs", name, groups)
        for pair in chosen:
            if isinstance(pair, str) or len(pair) != 2 or pair[0] == pair[1]:
                raise InputError(f"pairs: {pair!r} is not a pair of two groups")
            for group in pair:
                _one_of(f"pairs ({name})", str(group), groups[name])
    return {name: [(str(a), str(b)) for a, b in chosen] for name, chosen in pairs.items()}


def _margins(margin: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    if margin is None:
        return {}
    if not isinstance(margin, Mapping):
        raise InputError(f"margin: must be a mapping of measure to margin, such as {{'z': 0.1}}, not {margin!r}")
    for name, value in margin.items():
        _one_of("margin", name, [one for one in names if one not in REFERENCES])
        _within(f"margin ({name})", bool(np.isfinite(value) and value > 0), value, "above 0")
    return {name: float(value) for name, value in margin.items()}
