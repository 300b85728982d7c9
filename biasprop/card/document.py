"""A card in blocks: the four answers first, then what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import biasprop
from biasprop.audit.audited import CHOSEN_HERE, AuditedTable
from biasprop.card import studies
from biasprop.card.answers import NOT_STATED, Card
from biasprop.card.facts import STAGES, Fact
from biasprop.card.flags import counted
from biasprop.card.label_curve import LabelCurve, Margin
from biasprop.card.standards import NOTES, STANDARDS
from biasprop.component import Definition
from biasprop.html.blocks import Block, DescriptionList, Folded, Page, Paragraphs, Section, Table
from biasprop.report import audit_tables
from biasprop.report.html_tables import html_table
from biasprop.report.tables import DASH, bounds, number
from biasprop.statistics.audit_result import OVERALL
from biasprop.statistics.estimand import AUC_PER_Z
from biasprop.statistics.verdict import CANNOT_TELL, CLEAR, FLAG

QUESTIONS = (
    ("scope", "Scope: what is it meant for?"),
    ("data", "Data: whose data has it seen?"),
    ("validation", "Validation: how does it do in subgroups?"),
    ("labels", "Labels: how many does it need?"),
)
"""Id of a section -> its question."""

DECISIONS = {
    FLAG: "flag: a gap is larger than its margin",
    CLEAR: "clear: no gap is as large as its margin, and each such gap is detectable",
    CANNOT_TELL: "cannot tell: the numbers do not exclude a gap as large as the margin",
}
MAX_ROWS = 60
"""Most gaps that are listed; flagged ones come first, and the JSON has all."""
FOOTER = (
    f"Made by biasprop {biasprop.__version__}. How often a card flags and clears simulated models whose gap is known "
    "is printed by python -m biasprop.coverage."
)


def document(card: Card) -> Page:
    """Return a card as a page: ``str`` makes HTML of it, :func:`biasprop.card.markdown.markdown` Markdown."""
    name = card.facts.model.model_name
    blocks = {"scope": _scope(card), "data": _data(card), "validation": _validation(card), "labels": _labels(card)}
    answers = _answers(card)
    said = [(question, answers[key]) for key, question in QUESTIONS]
    answered = Table("Four questions", ["question", "answer"], said, text=frozenset({1}))
    read = DescriptionList(
        {key: value for key, value in card.inputs.items()} | ({"notes": card.notes} if card.notes else {})
    )
    return Page(
        title=name.text if name else "Model whose name is not stated",
        kind="Adoption card",
        lead="What is stated of a model, what was measured, and what cannot be told, before it is adopted.",
        sections=[
            Section("answers", "Answers", [answered]),
            *(Section(key, question, blocks[key]) for key, question in QUESTIONS),
            Section("appendix", "Appendix", [read, _standards(), Paragraphs(NOTES)]),
        ],
        footer=FOOTER,
        notices=_notices(card),
    )


def _notices(card: Card) -> list[str]:
    found = [f"A name in the facts may be misspelt: {doubt}" for doubt in card.doubts]
    if card.audited and card.audited.audit.threshold_origin.startswith(CHOSEN_HERE):
        found.append(
            f"The operating threshold was {card.audited.audit.threshold_origin}. Rates at it are optimistic; "
            "--threshold-from sets it on other people."
        )
    return found


def _answers(card: Card) -> dict[str, str]:
    """Question -> its answer in a line or two."""
    return {
        "scope": _scope_answer(card),
        "data": "\n".join(_data_answer(card, stage) for stage in STAGES),
        "validation": _validation_answer(card),
        "labels": _labels_answer(card),
    }


def _scope_answer(card: Card) -> str:
    scope, modality = card.facts.scope, card.facts.model.modality
    fields = list(type(scope).model_fields)
    known = [name for name in fields if card.facts.by(scope, name)]
    if not known and modality is None:
        return NOT_STATED
    said = "; ".join(dict.fromkeys(card.facts.by(scope, name) for name in known))
    stated = f"{len(known)} of {len(fields)} fields stated ({said})" if known else NOT_STATED
    read = NOT_STATED if modality is None else f"{modality.text} ({card.facts.by(card.facts.model, 'modality')})"
    return f"{stated}\nmodality: {read}"


def _data_answer(card: Card, stage: str) -> str:
    table = getattr(card.facts, stage)
    words = {"pretraining": "pretraining", "finetuning": "fine-tuning"}[stage]
    if shares := table.shares:
        return f"{words}: shares by {', '.join(shares)} stated ({card.facts.by(table, 'shares')})"
    other = any(card.facts.by(table, name) for name in type(table).model_fields if name != "stated_by")
    return f"{words}: shares of groups {NOT_STATED}" if other else f"{words}: {NOT_STATED}"


def _validation_answer(card: Card) -> str:
    if card.audited is None:
        stated = any(card.facts.by(card.facts.validation, name) for name in type(card.facts.validation).model_fields)
        return "not tested here: there are no predictions" + ("; see what is stated" if stated else f"; {NOT_STATED}")
    words = {FLAG: "flagged", CLEAR: "cleared", CANNOT_TELL: "cannot tell"}
    counts = ", ".join(f"{count:,} {words[decision]}" for decision, count in counted(card.flags).items())
    groups = f"\ngroups untested, tested in part or too small: {len(card.untested):,}" if card.untested else ""
    return f"{DECISIONS[card.decision]}\ngaps: {counts}{groups}"


def _labels_answer(card: Card) -> str:
    lines = []
    first = next((curve for curve in card.curves if curve.attribute == OVERALL), None)
    if first is not None:
        lines.append(_enough(first, card.enough_within))
    if card.study is not None:
        lines.append(f"study {card.study.name}: simulated, see below")
    if card.facts.labels.labels_needed is not None:
        who = card.facts.by(card.facts.labels, "labels_needed")
        lines.append(f"stated ({who}): {card.facts.labels.labels_needed.text}")
    return "\n".join(lines) or f"{NOT_STATED}, and there are no embeddings or study to tell from"


def _enough(curve: LabelCurve, within: Margin | None) -> str:
    """What a curve says in words."""
    if not curve.points:
        return f"no learning curve: {curve.reason}"
    last = curve.points[-1]
    reached = f"AUC {number(last.auc)} {bounds(last.low, last.high)} with {last.labels:,} labels"
    if curve.enough is None:
        return f"{reached}; {curve.reason}"
    return f"{curve.enough:,} labels are enough to come within {within} of {last.labels:,}; {reached}"


def _stated_table(card: Card, name: str, caption: str) -> Table:
    table: Definition = getattr(card.facts, name)
    rows = []
    for key in type(table).model_fields:
        value = getattr(table, key)
        if key == "stated_by" or key == "shares":
            continue
        who = card.facts.by(table, key)
        text = value.text if isinstance(value, Fact) else NOT_STATED if value is None else f"{value:,}"
        rows.append((key.replace("_", " ").capitalize(), text, who or DASH))
    return Table(caption, ["field", "stated", "by whom"], rows, text=frozenset({1, 2}))


def _scope(card: Card) -> list[Block]:
    return [
        _stated_table(card, "model", "Model, as stated"),
        _stated_table(card, "scope", "Scope, as stated"),
    ]


def _data(card: Card) -> list[Block]:
    return [
        _demographics(card),
        _stated_table(card, "pretraining", "Pretraining data, as stated"),
        _stated_table(card, "finetuning", "Fine-tuning data, as stated"),
    ]


def _demographics(card: Card) -> Table:
    """Shares of groups: stated of each stage, in the audited table, and in the stated population."""
    stated = {stage: getattr(card.facts, stage).shares for stage in STAGES}
    attributes = dict.fromkeys([*card.case_mix, *(name for shares in stated.values() for name in shares)])
    rows = []
    for attribute in attributes:
        measured: dict[str, Any] = {}
        if attribute in card.case_mix:
            records: Any = card.case_mix[attribute].to_dict("records")
            measured = {str(row["group"]): row for row in records}
        groups = dict.fromkeys([*measured, *(g for shares in stated.values() for g in shares.get(attribute, {}))])
        for group in groups:
            shares = (stated[stage].get(attribute, {}).get(group) for stage in STAGES)
            cells = [NOT_STATED if share is None else number(share) for share in shares]
            row = measured.get(group)
            if row is None:
                where = "not in the table" if attribute in card.case_mix else "not measured"
                cells += [DASH, where, NOT_STATED, DASH]
            else:
                share = f"{number(row['share'])} {bounds(row['low'], row['high'])}"
                population = NOT_STATED if row["stated"] != row["stated"] else number(row["stated"])
                cells += [f"{row['n']:,}", share, population, number(row["prevalence"])]
            rows.append((f"{attribute}: {group}", *cells))
    if not rows:
        rows = [("(no attribute)", NOT_STATED, NOT_STATED, DASH, DASH, NOT_STATED, DASH)]
    head = ["group", "pretraining", "fine-tuning", "n in TABLE", "share in TABLE", "target population", "prevalence"]
    note = "Stated shares are as they were given; shares in TABLE have exact binomial intervals."
    who = [
        f"{stage}: stated by {card.facts.by(getattr(card.facts, stage), 'shares')}" for stage in STAGES if stated[stage]
    ]
    return Table("Shares of groups among the people of each stage", head, rows, notes=[note, *who])


def _validation(card: Card) -> list[Block]:
    blocks: list[Block] = []
    if card.audited is None:
        blocks.append(Paragraphs(["No predictions were given, so no subgroup was tested."]))
    else:
        audit = card.audited.audit
        level = f"{100 * audit.confidence:g} %"
        blocks.append(Paragraphs([DECISIONS[card.decision], *_method(card, card.audited)], lead=True))
        blocks.append(_flags(card, level))
        if card.untested:
            blocks.append(_untested(card))
        found = audit_tables.tables(audit, {}, card.audited.stated)
        blocks += [html_table(table) for table in found]
        blocks.append(Paragraphs([*audit_tables.threshold_lines(audit), *audit_tables.undefined_lines(audit)]))
    blocks.append(_stated_table(card, "validation", "Validation in subgroups, as stated"))
    return [block for block in blocks if not (isinstance(block, Paragraphs) and not block.texts)]


def _method(card: Card, audited: AuditedTable) -> list[str]:
    """How gaps are judged, by which margins, and which are not."""
    origin = "stated in advance" if audited.stated else "all pairs of groups, none stated in advance"
    judged = {flag.metric for flag in card.flags}
    # AUC and z are one measure on two scales.
    judged |= {"auc", "z"} if judged & {"auc", "z"} else set()
    others = [
        audit_tables.HEADINGS[one] for one in dict.fromkeys(audited.audit.contrasts["metric"]) if one not in judged
    ]
    unjudged = [f"No margin is given (--margin) for {', '.join(others)}: their gaps are shown without a decision."]
    return [
        f"Gaps: {origin}. A gap is flagged if its interval lies beyond the margin. It is cleared if the interval lies "
        "within the margin and a gap as large as the margin would have been found with a probability of 80 %. "
        "Otherwise nothing can be told. Intervals hold for all gaps of a measure at once.",
        f"Margins: {'; '.join(card.margins)}.",
        *(unjudged if others else ()),
    ]


def _flags(card: Card, level: str) -> Table:
    rows = []
    for flag in card.flags[:MAX_ROWS]:
        counts = [f"{n:,} ({d:,})" for n, d in zip(flag.n, flag.n_positive, strict=True)]
        heading = audit_tables.HEADINGS[flag.metric]
        value = f"{number(flag.value, signed=True)} {bounds(flag.low, flag.high, signed=True)}"
        names = (f"{flag.attribute}: {flag.group} - {flag.against}", heading, flag.decision)
        rows.append((*names, value, f"{flag.margin:g}", number(flag.resolvable), " / ".join(counts), flag.why))
    head = ["gap", "measure", "decision", "value", "margin", "detectable gap (80 %)", "n (diseased)", "why"]
    notes = []
    if any(flag.metric == "z" for flag in card.flags):
        notes.append(
            "z(AUC) is sqrt(2) times the inverse normal CDF of the AUC: near an AUC of 0.85 a difference of 0.1 on z "
            f"is one of {0.1 * AUC_PER_Z:.3f} in AUC."
        )
    if more := len(card.flags) - len(rows):
        notes.append(f"{more:,} more gaps, none of them more serious, are in the JSON.")
    title = f"Gaps with a margin, first minus second group, with {level} intervals"
    return Table(title, head, rows, names=3, text=frozenset({7}), notes=notes)


def _untested(card: Card) -> Table:
    rows = [(f"{one.attribute}: {one.group}", f"{one.n:,}", f"{one.n_positive:,}", one.why) for one in card.untested]
    return Table(
        "Groups that are not tested, only in part, or too small",
        ["group", "n", "diseased", "why"],
        rows,
        text=frozenset({3}),
    )


def _labels(card: Card) -> list[Block]:
    blocks: list[Block] = [_stated_table(card, "labels", "Labels needed, as stated")]
    if card.curves:
        blocks += [_curves(card.curves), Paragraphs([ON_CURVES, f"Margin of enough labels: {card.enough_within}."])]
    else:
        blocks.append(Paragraphs(["No embeddings were given, so no learning curve was measured."]))
    if card.study is not None:
        blocks += _study(card)
    if card.resembling:
        cited = (f"studies/{one.name}.toml ({', '.join(one.attributes)}): {one.asks}" for one in card.resembling)
        blocks.append(Paragraphs(["Studies of this package that resemble the case:", *cited]))
    elif card.facts.model.modality is None:
        blocks.append(Paragraphs([f"Studies of this package that resemble the case: the modality is {NOT_STATED}."]))
    if card.study or card.resembling:
        blocks.append(Paragraphs([studies.CARRIES_OVER]))
    return blocks


def _curves(curves: Sequence[LabelCurve]) -> Table:
    sizes = sorted({point.labels for curve in curves for point in curve.points})
    rows = []
    for curve in curves:
        at = {point.labels: point for point in curve.points}
        cells = [f"{number(at[s].auc)}\n{bounds(at[s].low, at[s].high)}" if s in at else DASH for s in sizes]
        enough = DASH if curve.enough is None else f"{curve.enough:,}"
        name = audit_tables.group_name(curve.attribute, curve.group)
        rows.append((name, f"{curve.n:,}", f"{curve.n_positive:,}", *cells, enough))
    head = ["group", "n held out", "diseased", *(f"{size:,} labels" for size in sizes), "enough"]
    notes = [f"{audit_tables.group_name(one.attribute, one.group)}: {one.reason}" for one in curves if one.reason]
    return Table("AUC of a linear probe on held-out people, by labels, with intervals", head, rows, notes=notes)


ON_CURVES = (
    "Probes are fitted to labels of people as they come, at the case-mix of TABLE; their penalty is chosen by "
    "cross-validation within the labels. Intervals have both the held-out people and the label sets as sources of "
    "error. Enough: the fewest labels down to which every budget comes within the margin of the largest one, for "
    "certain. Nothing is extrapolated: the curve may rise beyond the largest budget."
)
"""Said below learning curves."""


def _study(card: Card) -> list[Block]:
    assert card.study is not None
    study = card.study
    rows = [
        (
            point.subgroup,
            point.pretraining,
            point.labels,
            number(point.auc),
            bounds(point.low, point.high),
            str(point.replicates),
        )
        for point in study.points
    ]
    held = ", ".join(f"{name} {level}" for name, level in study.arm.items())
    title = f"Study {study.name} ({study.generator}): AUC by pretraining and labels{', ' if held else ''}{held}"
    head = ["subgroup", "pretraining", "labels", "AUC", "interval", "replicates"]
    return [
        Paragraphs([f"Study {study.name} of this package: {study.resembles}. It is simulated."]),
        Table(title, head, rows, names=2),
        Folded(f"Answer of the study {study.name} (digest {study.digest[:12]})", [Paragraphs(study.answer)]),
    ]


def _standards() -> Table:
    rows = [(name, *(part or DASH for part in item)) for name, item in STANDARDS.items()]
    head = ["field", "CHAI Applied Model Card", "TRIPOD+AI", "STANDING Together", "EU AI Act, FDA"]
    return Table("Fields, and what reporting standards call them", head, rows, text=frozenset({1, 2, 3, 4}))
