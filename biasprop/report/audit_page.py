"""The page of an audit: gaps with bars and verdicts, tables, a figure, and how the table was read, in one HTML file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from biasprop import __version__
from biasprop.html.blocks import Block, Folded, IntervalBar, Page, Paragraphs, Picture, Section, Table
from biasprop.report import audit_tables, plotting
from biasprop.report.audit_tables import HEADINGS
from biasprop.report.figures import audited
from biasprop.report.html_tables import html_table
from biasprop.report.interval_bars import RULE, ends, in_words
from biasprop.report.tables import bounds, number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from biasprop.statistics.audit_result import Audit

MAX_ROWS = 60
"""Most gaps of a measure that have a bar; the tables have all."""
ENDS = ("low", "high", "adjusted_low", "adjusted_high")
KIND = "audit by group"
FOOTER = f"Written by biasprop {__version__} from predictions alone, without looking anything up."


def audit_page(
    name: str,
    audit: Audit,
    case_mix: Mapping[str, pd.DataFrame],
    notes: Sequence[str],
    stated: bool,
    figure: Figure | None = None,
) -> Page:
    """Return the page of an audit.

    Args:
        name: of the table.
        audit, case_mix, stated: see :func:`biasprop.report.audit_tables.tables`.
        notes: lines on how the table was read.
        figure: from :func:`biasprop.report.figures.audited.draw`; None draws it.
    """
    people: Any = audit.overall.to_dict()
    lead = f"{int(people['n']):,} audited rows, {int(people['n_positive']):,} of them diseased; by "
    attributes = dict.fromkeys(audit.estimates.query("attribute != 'overall'")["attribute"])
    sections = [
        Section("verdicts", "Gaps and verdicts", list(_gaps(audit, stated))),
        Section("tables", "Tables", [html_table(one) for one in audit_tables.tables(audit, case_mix, stated)]),
        Section("figure", "Figure", [_picture(figure or audited.draw(audit), "Measures", audited.CAPTION)]),
        Section("reading", "How the table was read", [Paragraphs(_reading(audit, notes))]),
    ]
    return Page(name, KIND, f"{lead}{', '.join(attributes)}.", sections, FOOTER)


def aggregate_page(name: str, results: pd.DataFrame, figure: Figure | None = None) -> Page:
    """Return the page of a table of results of others.

    Args:
        name: of the table.
        results: from ``audit.aggregate.read_aggregate``.
        figure: from :func:`biasprop.report.figures.audited.draw_aggregate`; None draws it.
    """
    drawn = figure or audited.draw_aggregate(results)
    sections = [
        Section("tables", "Tables", [html_table(audit_tables.aggregate_table(results))]),
        Section("figure", "Figure", [_picture(drawn, "Results as given", audited.AGGREGATE_CAPTION)]),
    ]
    return Page(name, KIND, "Results that others have computed, as they were given.", sections, FOOTER)


def _picture(figure: Figure, name: str, caption: str) -> Picture:
    return Picture(plotting.svg(figure), f"{name} by group; the tables have the numbers.", caption)


def _gaps(audit: Audit, stated: bool) -> Iterator[Block]:
    """A table for each measure; those with verdicts are open, and the first one if there are none."""
    rows: Any = audit.contrasts.to_dict("records")
    metrics = list(dict.fromkeys(row["metric"] for row in rows if row["metric"] in HEADINGS and row["metric"] != "z"))
    judged = {row["metric"] for row in rows if row["verdict"]}
    if judged:
        yield Paragraphs([f"The adjusted interval and a margin decide, {RULE}"])
    else:
        yield Paragraphs(["No margin was stated (--margin MEASURE=SIZE), so gaps have no verdict."])
    if not stated and rows:
        yield Paragraphs(["All pairs of groups are compared; none was stated in advance (--gap A,B)."])
    for metric in metrics:
        found = _gap_table(metric, [row for row in rows if row["metric"] == metric])
        is_open = metric in judged or (not judged and metric == metrics[0])
        yield found if is_open else Folded(found.label, [found])


def _gap_table(metric: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = rows[:MAX_ROWS]
    margin = float(rows[0]["margin"])
    axis = _axis(shown, margin)
    band = f"; band: margin {margin:g}" if margin > 0 else ""
    name = f"{HEADINGS[metric][:1].upper()}{HEADINGS[metric][1:]}"
    caption = (
        f"{name}: first minus second group. Bars run from {ends(axis)}; line: 0{band}; thick: plain interval; "
        "thin: adjusted interval, which holds for all pairs at once; arrow: it continues."
    )
    notes = [f"{len(rows) - len(shown):,} more gaps are in the tables."] if len(rows) > len(shown) else []
    head = ["gap", "verdict", "bar", "value", "interval", "adjusted interval"]
    return Table(caption, head, [_gap(row, axis) for row in shown], text=frozenset({1, 2}), notes=notes)


def _gap(row: Mapping[str, Any], axis: tuple[float, float]) -> list[Any]:
    plain, deciding = (row["low"], row["high"]), (row["adjusted_low"], row["adjusted_high"])
    value = number(row["value"], signed=True)
    numbers = [value, bounds(*plain, signed=True), bounds(*deciding, signed=True)]
    verdict = in_words(row["verdict"])
    words = f"{value}, interval {numbers[1]}, adjusted {numbers[2]}" + (f", {verdict}" if row["verdict"] else "")
    drawn = IntervalBar(row["value"], plain, deciding, row["margin"], axis, words, row["verdict"])
    return [f"{row['attribute']}: {row['group']} - {row['against']}", verdict, drawn, *numbers]


def _axis(rows: Sequence[Mapping[str, Any]], margin: float) -> tuple[float, float]:
    """Ends of an axis that includes 0, the margin and every interval."""
    known = [0.0, *([-margin, margin] if margin > 0 else [])]
    known += [row[name] for row in rows for name in ("value", *ENDS) if math.isfinite(row[name])]
    pad = 0.04 * (max(known) - min(known)) or 1.0
    return min(known) - pad, max(known) + pad


def _reading(audit: Audit, notes: Sequence[str]) -> list[str]:
    lines = [*audit_tables.threshold_lines(audit), *notes, *audit_tables.undefined_lines(audit)]
    return [f"{line[:1].upper()}{line[1:]}." for line in lines]
