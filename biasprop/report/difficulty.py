"""Tables of how hard each subgroup is, and of what a gap is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biasprop.report.tables import DASH, between, empty_table, number, stated
from biasprop.statistics.summary import LevelRow, Mean, Parts, Summary

if TYPE_CHECKING:
    from rich.table import Table

    from biasprop.difficulty.ledger import Entry
    from biasprop.statistics.difficulty import Ledger
    from biasprop.study.study import Study


def tables(study: Study, entries: Sequence[Entry], summary: Summary | None = None) -> list[Table]:
    """The ledger of every generator and, with a summary of the cube, what its gaps are made of."""
    pair = sorted(study.estimands, key=lambda estimand: not estimand.primary)[0].subgroups
    found = []
    for entry in entries:
        where = [f"{name} {', '.join(map(str, labels))}" for name, labels in entry.where.items()]
        rows = [
            row
            for row in (summary.levels if summary else ())
            if all(row.arm[name] in labels for name, labels in entry.where.items())
        ]
        title = "; ".join([entry.condition.generator.kind, *where])
        found.append(ledger_table(entry.ledger, title, pair, rows, entry.note))
    return [*found, parts_table(summary.parts, pair)] if summary and summary.parts else found


def ledger_table(
    ledger: Ledger, title: str, pair: tuple[str, str], levels: Sequence[LevelRow] = (), note: str = ""
) -> Table:
    """What is known about how hard two subgroups are.

    Args:
        ledger: of one generator and encoder.
        title: whose.
        pair: the subgroups.
        levels: arms of the study's cube, if there is one; they say how well features tell subgroups apart.
        note: what has to be said beside it.
    """
    from biasprop.statistics.difficulty import equally_hard

    table = empty_table(f"Difficulty ledger, {title}: what observers reach who know the subgroup")
    table.add_column("observer", overflow="fold")
    table.add_column("row is")
    heads = (*(f"AUC {name}" for name in pair), "told apart", "difference", "KS of LLR")
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    rows = {(row.observer, row.kind, row.subgroups): row for row in ledger.rows}
    tests = {(test.observer, test.kind, test.subgroups): test for test in ledger.comparisons}
    for kind, observer in sorted(dict.fromkeys((r.kind, r.observer) for r in ledger.rows), key=_kind_order):
        own = [rows.get((observer, kind, (name,))) for name in pair]
        apart = rows.get((observer, kind, pair))
        test = tests.get((observer, kind, pair))
        cells = [DASH if row is None else stated(Mean(row.auc, row.low, row.high, 0)) for row in (*own, apart)]
        difference = DASH if test is None else stated(Mean(test.value, test.low, test.high, 0), signed=True)
        far = DASH if test is None else number(test.distance)
        table.add_row(observer, kind, *cells, difference, far, test.verdict if test else "")
    probed = [row.across["separability"].value for row in levels]
    probed = [value for value in probed if not math.isnan(value)]
    if probed:
        table.add_row("probe of features, all arms", "separability", DASH, DASH, between(min(probed), max(probed)))
    verdict, why = equally_hard(ledger, pair)
    ends = [between(*ledger.bracket(name)) for name in pair]
    table.add_row("the ideal observer lies in", "bracket", *ends, DASH, DASH, DASH, f"{verdict} ({why})")
    table.caption = (
        "exact: the ideal observer's AUC; lower, upper: bounds of it; model: the ideal observer's of a simpler law; "
        "learner: a trained network,\nwhich bounds the ideal observer from below and never is it. Brackets use the "
        "lower ends of intervals (95 %, over test subjects)." + (f"\n{note}" if note else "")
    )
    table.caption_justify = "left"
    return table


def parts_table(parts: Sequence[Parts], pair: tuple[str, str]) -> Table:
    """What every gap is made of, the swap contrast first."""
    table = empty_table(
        f"What each gap {pair[0]} - {pair[1]} is made of, on z: gap = physics + learner + adaptation + skew "
        "[95 % t interval over replicates]"
    )
    bracketed = any(math.isnan(each.terms["physics"].value) for each in parts)
    for name in parts[0].arm:
        table.add_column(name)
    shown = ("physics and learner",) if bracketed else ("learner",)
    for name in ("swap contrast", "gap", "physics", *shown, "adaptation", "skew", "reps", "note"):
        table.add_column(name, justify="right", no_wrap=True)
    notes: dict[str, int] = {}
    before = None
    for each in parts:
        physics = each.terms["physics"].value
        cells = [between(*each.bracket, signed=True) if math.isnan(physics) else number(physics, signed=True)]
        cells += [stated(each.terms[name], signed=True) for name in (*shown, "adaptation", "skew")]
        # Arms that differ only in their mix have one swap contrast.
        swap = "" if each.swap == before else stated(each.swap, signed=True)
        before = each.swap
        gap = each.terms["gap"]
        note = str(notes.setdefault(each.reason, len(notes) + 1)) if each.reason else ""
        levels = [str(level) for level in each.arm.values()]
        table.add_row(*levels, swap, stated(gap, signed=True), *cells, str(gap.replicates), note)
    order = (
        "The swap contrast leads: what adds to z cancels in it. The terms depend on the order in which they are taken: "
        "physics, then learner,\nthen adaptation, then skew; taken apart in another order they would be others. Only "
        "skew is the mix's."
    )
    if bracketed:
        order += "\nPhysics is known only within its bracket; the learner's part is what is left of the sum."
    table.caption = "\n".join([order, *(f"{number:>3} {note}" for note, number in notes.items())])
    table.caption_justify = "left"
    return table


def _kind_order(row: tuple[str, str]) -> int:
    from biasprop.statistics.difficulty import KINDS

    return KINDS.index(row[0])
