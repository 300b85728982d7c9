"""The audit of a table: threshold, gaps, case-mix, and the measures of ``biasprop.audit_scores``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from biasprop.audit.arguments import named_values
from biasprop.audit.columns import LabelledRows, Predictions, read_predictions
from biasprop.component import InputError, closest, suggestion
from biasprop.metrics import operating_threshold
from biasprop.statistics.audit import audit_scores
from biasprop.statistics.audit_result import Audit
from biasprop.statistics.case_mix import case_mix
from biasprop.statistics.group_measures import DECISIONS, MEASURES, OF_PROBABILITIES
from biasprop.statistics.people import MAX_GROUPS
from biasprop.statistics.summary import plain
from biasprop.terminal import clipped, printable, quoted_option

CHOSEN_HERE = "chosen on the data it judges"
"""Mark of a threshold that was set on the audited rows, so that rates at it are optimistic."""
MAX_LISTED, MAX_LENGTH = 20, 200
"""Groups of an attribute that a message lists, and characters of a text in which it looks for them."""
NOT_MEASURED = ("ece", "ece_expected")
"""Measures of ``audit_scores`` that the command leaves out: they depend on bins and have a bias of their own."""


@dataclass(frozen=True)
class AuditedTable:
    """An audit, and what can be said of the table."""

    audit: Audit
    case_mix: Mapping[str, pd.DataFrame]
    """Attribute -> groups with their shares, see :func:`biasprop.statistics.case_mix.case_mix`."""
    notes: list[str]
    """How the table was read."""
    stated: bool
    """Whether the gaps were stated in advance (``--gap``)."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON object, NaN as null."""
        mixes = [mix.assign(attribute=name) for name, mix in self.case_mix.items()]
        records = [row for mix in mixes for row in mix.to_dict("records")]
        rest = {"case_mix": records, "notes": self.notes, "gaps_stated_in_advance": self.stated}
        return self.audit.to_json() | plain(rest)


def audit_table(options: argparse.Namespace, found: Predictions | None = None) -> AuditedTable:
    """Audit the predictions of a table.

    Args:
        options: of :func:`biasprop.audit.arguments.arguments`, without problems.
        found: what they say to read, if it has been read already.

    Raises:
        InputError: a file, a column, a cell or an option cannot be used.
    """
    found = read_predictions(options) if found is None else found
    threshold, origin = _threshold(found, options)
    attributes = {name: [str(group) for group in one.categories] for name, one in found.groups.items()}
    crossed = prod(map(len, attributes.values()))
    intersections = len(attributes) > 1 and crossed <= MAX_GROUPS
    notes = list(found.notes)
    if crossed > MAX_GROUPS and len(attributes) > 1:
        notes.append(f"intersections are left out: {crossed:,} groups, at most {MAX_GROUPS}")
    pairs = _gaps(options.gap, attributes, intersections)
    mixes = case_mixes(options, found)
    ranking = found.score_is == "ranking"
    if ranking and options.net_benefit_at is not None:
        raise InputError(f"--net-benefit-at: needs probabilities or log-odds, and {options.score} is a ranking")
    left_out = {*NOT_MEASURED, *(OF_PROBABILITIES if ranking else DECISIONS if options.net_benefit_at is None else ())}
    metrics = [name for name in MEASURES if name not in left_out]
    audit = audit_scores(
        found.scores,
        found.labels,
        found.groups,
        score_is=found.score_is,  # pyright: ignore[reportArgumentType]
        weight=found.weight,
        cluster=found.person,
        threshold=threshold,
        threshold_origin=origin,
        threshold_probability=options.net_benefit_at,
        metrics=metrics,
        pairs=pairs,
        intersections=intersections,
        margin=margins_of(options.margin, metrics) or None,
        method=options.method,
        rate_interval="exact",
        n_bootstrap=options.resamples,
        seed=options.seed,
        confidence=options.confidence,
    )
    return AuditedTable(audit, mixes, notes, bool(options.gap))


def case_mixes(options: argparse.Namespace, found: LabelledRows) -> dict[str, pd.DataFrame]:
    """Return the case-mix of each attribute, beside the stated population.

    Args:
        options: with ``population`` and ``confidence``.
        found: the rows.

    Raises:
        InputError: a stated population cannot be used.
    """
    attributes = {name: [str(group) for group in one.categories] for name, one in found.groups.items()}
    mixes = _stated_shares(options.population, attributes)
    return {
        name: case_mix(
            np.asarray(one.codes, np.int64),
            tuple(attributes[name]),
            np.where(np.isnan(found.labels), -1, found.labels),
            found.person,
            mixes.get(name),
            options.confidence,
        )
        for name, one in found.groups.items()
    }


def _threshold(found: Predictions, options: argparse.Namespace) -> tuple[float, str]:
    """The operating threshold, and where it comes from."""
    if options.threshold is not None:
        value = options.threshold / found.scale
        if found.score_is == "probability" and not 0.0 <= value <= 1.0:
            allowed = f"[0, {found.scale:g}]"
            raise InputError(f"--threshold {options.threshold:g}: scores are probabilities; has to be in {allowed}")
        return value, options.threshold_origin or "given"
    scores, labels, weight = found.others or (found.scores, found.labels, found.weight)
    labels = np.where(np.isnan(labels), -1, labels)
    value = float(operating_threshold(scores, labels, options.specificity, weight))
    healthy = int(((labels == 0) & ~np.isnan(scores)).sum())
    where = f"specificity {options.specificity:g} on {healthy:,} healthy rows"
    if found.others is None:
        return value, f"{CHOSEN_HERE}: {where}"
    if np.isnan(value):
        counted = f"a score and a weight ({options.weight}) above 0" if options.weight else "a score"
        where = found.rows.file(options.threshold_from.partition("=")[0].strip())
        raise InputError(f"{where}: --threshold-from {options.threshold_from}: no healthy row there has {counted}")
    return value, f"{where} of {options.threshold_from}"


def _gaps(
    texts: list[str], attributes: Mapping[str, list[str]], intersections: bool
) -> dict[str, list[tuple[str, str]]] | None:
    """Pairs of groups that were stated, by attribute; None = all."""
    if not texts:
        return None
    whole = dict(attributes)
    if intersections:
        whole[" x ".join(attributes)] = [", ".join(names) for names in product(*attributes.values())]
    pairs: dict[str, list[tuple[str, str]]] = {}
    for text in texts:
        found = [(name, pair) for name, groups in whole.items() for pair in _pairs_in(text, name, groups)]
        if not found:
            raise InputError(f"{quoted_option('--gap', text)}: {_no_pair(text, whole)}")
        if len(found) > 1:
            names = ", ".join(f"--gap {name}={text}" for name, _ in found)
            raise InputError(f"{quoted_option('--gap', text)}: is ambiguous; state the attribute: {names}")
        name, pair = found[0]
        pairs.setdefault(name, []).append(pair)
    return {name: list(dict.fromkeys(chosen)) for name, chosen in pairs.items()}


def _pairs_in(text: str, name: str, groups: list[str]) -> list[tuple[str, str]]:
    """Ways to read a text as two groups of an attribute; names of groups may have commas."""
    text = text.removeprefix(f"{name}=")
    ways = ((text[:i].strip(), text[i + 1 :].strip()) for i, letter in enumerate(text) if letter == ",")
    return [(a, b) for a, b in ways if a in groups and b in groups and a != b]


def _no_pair(text: str, whole: Mapping[str, list[str]]) -> str:
    """Why a text is no pair of groups: the groups of each attribute, and the pair that was probably meant."""
    named = max((name for name in whole if text.startswith(f"{name}=")), key=len, default=None)
    about = whole if named is None else {named: whole[named]}
    listed = []
    for name, groups in about.items():
        more = f" and {len(groups) - MAX_LISTED:,} more" if len(groups) > MAX_LISTED else ""
        listed.append(f"{name} = {' | '.join(printable(clipped(group)) for group in groups[:MAX_LISTED])}{more}")
    said = f"has to be two groups of one attribute, A,B; allowed: {'; '.join(listed)}"
    rest = text if named is None else text.removeprefix(f"{named}=")
    for name, groups in about.items():
        for i, letter in enumerate(rest[:MAX_LENGTH]):
            pair = [closest(side.strip(), groups) for side in (rest[:i], rest[i + 1 :])] if letter == "," else [None]
            if None not in pair and pair[0] != pair[1]:
                return f"{said}; did you mean {name}={pair[0]},{pair[1]}?"
    return said


def margins_of(texts: Sequence[str], metrics: Sequence[str]) -> dict[str, float]:
    """Return the margins that options state, by measure.

    Args:
        texts: ``MEASURE=M`` each.
        metrics: names of the measures that may have one.

    Raises:
        InputError: there is no such measure, or M is not a finite number above 0.
    """
    margins = {}
    for name, text in named_values(texts).items():
        if name not in metrics:
            raise InputError(f"{quoted_option('--margin', name)}: no such measure; {suggestion(name, metrics)}")
        try:
            margins[name] = float(text)
        except ValueError:
            margins[name] = float("nan")
        if not 0 < margins[name] < float("inf"):
            raise InputError(f"{quoted_option('--margin', f'{name}={text}')}: has to be a number above 0")
    return margins


def _stated_shares(texts: list[str], attributes: Mapping[str, list[str]]) -> dict[str, dict[str, float]]:
    """Attribute -> group -> share of the stated population."""
    stated = {}
    for name, text in named_values(texts).items():
        option = quoted_option("--population", f"{name}={text}")
        if name not in attributes:
            raise InputError(f"{option}: no such attribute; {suggestion(name, attributes)}")
        shares: dict[str, float] = {}
        for part in text.split(","):
            group, colon, share = (word.strip() for word in part.rpartition(":"))
            try:
                value = float(share.removesuffix("%")) / (100.0 if share.endswith("%") else 1.0)
            except ValueError:
                value = -1.0
            if not colon or not 0.0 <= value <= 1.0:
                raise InputError(f"{option}: {clipped(part)!r} has to be GROUP:SHARE with a share of 0 to 1")
            if group in shares:
                raise InputError(f"{option}: {group!r} is there twice")
            shares[group] = value
        if lacking := [group for group in attributes[name] if group not in shares]:
            extra = [group for group in shares if group not in attributes[name]]
            told = f"; did {extra[0]!r} mean it?" if extra else ""
            raise InputError(f"{option}: lacks the group {lacking[0]!r}, which may have the share 0{told}")
        if abs(sum(shares.values()) - 1.0) > 0.005:
            raise InputError(f"{option}: shares add up to {sum(shares.values()):g}; they have to add up to 1")
        stated[name] = shares
    return stated
