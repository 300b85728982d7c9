"""A card: what is stated, what is measured, and what is said of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import biasprop
from biasprop.audit.arguments import named_values
from biasprop.audit.audited import AuditedTable, audit_table, case_mixes, margins_of
from biasprop.audit.columns import LabelledRows, read_labelled_rows, read_predictions
from biasprop.card import flags, studies
from biasprop.card.facts import NOTHING, STAGES, Fact, Facts, read_facts
from biasprop.card.flags import DEFAULT_MARGIN, DEFAULT_MEASURE, Flag, Untested
from biasprop.card.label_curve import DRAWS, LabelCurve, Labelled, Margin, label_curves
from biasprop.card.standards import NOTES, STANDARDS
from biasprop.card.studies import Resembling, StudyEvidence
from biasprop.card.unknown_groups import UnknownGroup, unknown_groups
from biasprop.component import Definition, InputError
from biasprop.statistics.group_measures import MEASURES
from biasprop.statistics.summary import plain

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "biasprop.card/1"
"""Version of the JSON; raised when a key changes its meaning or is no longer there."""
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Card:
    """Everything that a card says."""

    inputs: dict[str, str]
    """What was read: table, facts, embeddings, study."""
    facts: Facts
    case_mix: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Attribute -> groups of TABLE with their shares; see :func:`biasprop.statistics.case_mix.case_mix`."""
    audited: AuditedTable | None = None
    """None = there are no predictions."""
    flags: list[Flag] = field(default_factory=list)
    untested: list[Untested] = field(default_factory=list)
    margins: tuple[str, ...] = ()
    """Margins, and who states them."""
    curves: list[LabelCurve] = field(default_factory=list)
    """From embeddings."""
    enough_within: Margin | None = None
    """By which a curve says how many labels are enough; None = there is no curve."""
    study: StudyEvidence | None = None
    resembling: list[Resembling] = field(default_factory=list)
    """Studies of this package that resemble the case and were not given."""
    notes: tuple[str, ...] = ()
    """How the files were read."""
    doubts: tuple[str, ...] = ()
    """Notes on names in the facts that may be misspelt."""

    @property
    def decision(self) -> str:
        """ "flag", "clear" or "cannot tell" for all gaps together."""
        return flags.overall(self.flags, self.untested)

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON object, NaN as null; what is not stated is null."""
        mixes: list[dict[Any, Any]] = []
        for attribute, mix in self.case_mix.items():
            mixes += mix.assign(attribute=attribute).to_dict("records")
        measured = None
        if self.audited is not None:
            measured = {
                "decision": self.decision,
                "counts": flags.counted(self.flags),
                "margins": self.margins,
                "flags": [asdict(flag) for flag in self.flags],
                "audit": self.audited.to_json(),
            }
        return plain(
            {
                "schema": SCHEMA,
                "biasprop": biasprop.__version__,
                "inputs": self.inputs,
                "model": _stated(self.facts, "model"),
                "scope": _stated(self.facts, "scope"),
                "data": {
                    **{stage: _stated(self.facts, stage) for stage in STAGES},
                    "case_mix": mixes,
                },
                "validation": {
                    "stated": _stated(self.facts, "validation"),
                    "measured": measured,
                    "untested": [asdict(group) for group in self.untested],
                },
                "labels": {
                    "stated": _stated(self.facts, "labels"),
                    "curves": [asdict(curve) for curve in self.curves],
                    "enough_within": None if self.enough_within is None else asdict(self.enough_within),
                    "study": None if self.study is None else asdict(self.study),
                    "resembling": [one._asdict() for one in self.resembling],
                    "carries_over": studies.CARRIES_OVER if self.study or self.resembling else None,
                },
                "notes": self.notes,
                "standards": [{"field": name} | item._asdict() for name, item in STANDARDS.items()],
                "standards_notes": NOTES,
            }
        )


def make_card(options: argparse.Namespace) -> Card:
    """Read all files and answer the questions.

    Args:
        options: of :func:`biasprop.card.arguments.arguments`, without problems.

    Raises:
        InputError: a file, a column, a cell or an option cannot be used.
    """
    inputs = {name: str(file) for name in ("table", "facts", "embeddings", "study") if (file := getattr(options, name))}
    facts = read_facts(options.facts) if options.facts else NOTHING
    modality = facts.model.modality.text if facts.model.modality else ""
    found, audited, said, missing, curves = None, None, [], [], []
    margins: tuple[str, ...] = ()
    within = margin_of_curves(options)  # before the default for gaps is added
    if options.table is not None:
        options, margins = with_margin(options)
        if options.score:
            predictions = read_predictions(options)
            found, audited = predictions, audit_table(options, predictions)
            said = flags.flags(audited.audit)
        else:
            found = read_labelled_rows(options)
    mixes = {} if found is None else audited.case_mix if audited else case_mixes(options, found)
    unknown = unknown_groups(facts, {name: [str(g) for g in mix["group"]] for name, mix in mixes.items()})
    if audited:
        missing = _with_reasons(flags.untested(audited.audit, said, expected(facts, mixes)), unknown)
    said_of = {one: f"{facts.place(one.location)}: {one.why}" for one in unknown if mixes}
    notes = [*(audited.notes if audited else found.notes if found else []), *said_of.values()]
    if found and options.embeddings:
        rows = _with_features(options.embeddings, found, options, notes)
        curves = label_curves(rows, options.seed, within, options.confidence)
    columns = list(mixes)
    study = studies.read_study(options.study, modality, columns) if options.study else None
    cited = [one for one in studies.resembling(modality, columns) if study is None or one.name != study.name]
    return Card(
        inputs,
        facts,
        mixes,
        audited,
        said,
        missing,
        margins,
        curves,
        within if curves else None,
        study,
        cited,
        tuple(notes),
        tuple(text for one, text in said_of.items() if one.meant),
    )


def with_margin(options: argparse.Namespace) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Return the options with the default margin of discrimination where none is stated, and the margins in words."""
    given = named_values(options.margin)
    words = [f"{name}: {text} (stated with --margin)" for name, text in given.items()]
    if {"auc", DEFAULT_MEASURE} & set(given):
        return options, tuple(words)
    words.append(f"{DEFAULT_MEASURE}: {DEFAULT_MARGIN:g} (default of this card; no margin is stated for the AUC)")
    more = argparse.Namespace(**vars(options) | {"margin": [*options.margin, f"{DEFAULT_MEASURE}={DEFAULT_MARGIN}"]})
    return more, tuple(words)


def margin_of_curves(options: argparse.Namespace) -> Margin:
    """Return the margin of learning curves: that of the AUC where one is stated, else that of z, else the default.

    Raises:
        InputError: a margin is not a number above 0, or not of a measure.
    """
    stated = margins_of(options.margin, MEASURES)
    if "auc" in stated:
        return Margin("auc", stated["auc"])
    if "z" in stated:
        return Margin("z", stated["z"])
    return Margin(DEFAULT_MEASURE, DEFAULT_MARGIN, "default of this card")


def expected(facts: Facts, mixes: Mapping[str, pd.DataFrame]) -> dict[str, set[str]]:
    """Return attribute of the table -> groups that are named in stated data or in the stated population."""
    named = {attribute: {str(g) for g in mix["group"][mix["stated"].notna()]} for attribute, mix in mixes.items()}
    for stage in STAGES:
        for attribute, shares in getattr(facts, stage).shares.items():
            if attribute in named:
                named[attribute] |= {group for group, share in shares.items() if share > 0}
    return named


def _with_reasons(untested: Sequence[Untested], unknown: Sequence[UnknownGroup]) -> list[Untested]:
    """Groups that are not tested; those that only the facts name with what is known of them."""
    reasons = {(one.attribute, one.group): f"is stated; {one.why}" for one in unknown if one.group}
    return [replace(one, why=reasons.get((one.attribute, one.group), one.why)) for one in untested]


def _with_features(file: Path, found: LabelledRows, options: argparse.Namespace, notes: list[str]) -> Labelled:
    """Rows that have features, a label and a weight above 0."""
    from biasprop.card.embeddings import read_embeddings

    # A person may have one embedding for all rows.
    features = read_embeddings(file, found, options.on, many=options.on == options.person)
    weight = np.ones(len(found.labels)) if found.weight is None else found.weight
    kept = np.isfinite(features[:, 0]) & ~np.isnan(found.labels) & (weight > 0)
    if lost := int((~np.isfinite(features[:, 0])).sum()):
        notes.append(f"{lost:,} rows have no features in {file}; they are not in the learning curve")
    labels = found.labels[kept].astype(np.int64)
    if not len(labels) or labels.min() == labels.max():
        classes = "no row" if not len(labels) else f"all {len(labels):,} rows have the same label"
        raise InputError(f"{file}: {classes} with features and a label; a learning curve needs both classes")
    person = np.arange(len(kept)) if found.person is None else found.person
    groups = {
        (name, str(group)): (one.codes == code)[kept]
        for name, one in found.groups.items()
        for code, group in enumerate(one.categories)
    }
    numbers = np.unique(person[kept], return_inverse=True)[1].astype(np.int64)
    how = f"{DRAWS} label sets, half of the people held out"
    notes.append(f"{file}: {features.shape[1]:,} features of {len(labels):,} rows; {how}")
    return Labelled(features[kept], labels, numbers, weight[kept], groups)


def chai_name(table: str, name: str) -> str:
    """Return the name of a field in a card's JSON: that of CHAI where it has the field, else its own.

    Args:
        table: of a facts file.
        name: of its field.
    """
    camel = "".join(part.capitalize() for part in name.split("_"))
    return camel if STANDARDS[f"{table}.{name}"].chai.rpartition(".")[2] == camel else name


def _stated(facts: Facts, table: str) -> dict[str, Any]:
    """Fields of a table: what is stated and by whom, or None."""
    stated: Definition = getattr(facts, table)
    result: dict[str, Any] = {}
    for name in type(stated).model_fields:
        if name == "stated_by":
            continue
        value, who = getattr(stated, name), facts.by(stated, name)
        said = {"text": value.text} if isinstance(value, Fact) else {"value": value}
        result[chai_name(table, name)] = said | {"stated_by": who} if who else None
    return result
