"""A study as blocks of HTML: its estimands on the report page, and all of it in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biasprop.html.blocks import Block, DescriptionList, Paragraphs, Table

if TYPE_CHECKING:
    from biasprop.study.study import Study

SAID = {"name", "kind", "scale", "margin", "primary", "secondary"}
"""Fields of an estimand that have a column of their own."""


def study_blocks(study: Study) -> list[Block]:
    """Return title, question, design and estimands of a study."""
    facts = {
        "file": f"{study.stem}.toml" + (" (smoke)" if study.origin.smoke else ""),
        "digest": study.digest[:12],
        "seed": str(study.seed),
        "replicates": f"{study.replicates:,}",
        "subgroups": ", ".join(study.subgroups),
        "generator": study.generator.kind,
        "encoder": study.encoder.kind,
        **factor_facts(study),
    }
    return [Paragraphs([study.title, study.question], lead=True), DescriptionList(facts), estimands_table(study)]


def factor_facts(study: Study) -> dict[str, list[str]]:
    """Return the levels of every factor: words for the factor -> names of its levels."""
    return {f"factor {name}": [str(level.label) for level in study.levels(name)] for name in study.factors}


def estimands_table(study: Study) -> Table:
    """Return a table of the estimands of a study, one per row, with their margins."""
    rows = []
    for one in study.estimands:
        of = one.model_dump(mode="json", exclude_defaults=True, exclude=SAID)
        margin = "-" if one.margin_used is None else f"{one.margin_used:g}"
        rows.append([one.name, one.kind, one.role, one.scale, _words(of), margin])
    reasons = {one.kind: one.margin_reason for one in study.estimands if one.margin is None and one.margin_used}
    notes = [f"Margin of {kind}: {reason}" for kind, reason in reasons.items() if reason]
    head = ("estimand", "kind", "role", "scale", "of", "margin")
    return Table("Estimands, as they were stated", head, rows, text=frozenset({1, 2, 3, 4}), notes=notes)


def _words(value: Any) -> str:
    """A value of TOML in words."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {_words(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return str(value)
