"""Tables of the difficulty ledger (how hard each subgroup is) and of the terms of a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biasprop.report.tables import DASH, bracket, empty_table, heading, number, with_interval
from biasprop.statistics.estimand import compared_pair
from biasprop.statistics.summary import LevelRow, Mean, Parts, Summary

if TYPE_CHECKING:
    from rich.table import Table

    from biasprop.observers.ledger import Entry
    from biasprop.statistics.difficulty import Ledger
    from biasprop.study.study import Study


def tables(study: Study, entries: Sequence[Entry], summary: Summary | None = None) -> list[Table]:
    """Return the ledger of every generator and disease and, with a summary of the cube, the terms of its gaps."""
    pair = compared_pair(study.estimands, study.subgroups) or (study.subgroups[0], study.subgroups[0])
    found = []
    for entry in entries:
        where = [f"{name} {', '.join(map(str, labels))}" for name, labels in entry.where.items()]
        rows = [
            row
            for row in (summary.levels if summary else ())
            if all(row.arm[name] in labels for name, labels in entry.where.items())
        ]
        title = "; ".join([entry.title, *where])
        found.append(ledger_table(entry.ledger, title, pair, rows, entry.note))
    return [*found, parts_table(summary.parts, pair)] if summary and summary.parts else found


def ledger_table(
    ledger: Ledger, title: str, pair: tuple[str, str], levels: Sequence[LevelRow] = (), note: str = ""
) -> Table:
    """Return what is known about how hard two subgroups are.

    Args:
        ledger: of one generator and encoder.
        title: names the generator and the arms that the ledger is of.
        pair: the subgroups.
        levels: arms of the study's cube, if there is one; the separability of their features is added as a row.
        note: remark below the table.
    """
    from biasprop.statistics.difficulty import MARGIN, equally_hard

    table = empty_table(f"Difficulty ledger, {title}: AUC of observers that know the subgroup, before any pretraining")
    table.add_column("observer", overflow="fold")
    table.add_column("type of row")
    heads = (*(f"AUC {name}" for name in pair), "separability", "difference", "KS of LLR")
    for name in heads:
        table.add_column(heading(name), justify="right", no_wrap=True)
    table.add_column("verdict")
    rows = {(row.observer, row.kind, row.subgroups): row for row in ledger.rows}
    tests = {(test.observer, test.kind, test.subgroups): test for test in ledger.comparisons}
    for kind, observer in sorted(dict.fromkeys((r.kind, r.observer) for r in ledger.rows), key=_kind_order):
        own = [rows.get((observer, kind, (name,))) for name in pair]
        apart = rows.get((observer, kind, pair))
        test = tests.get((observer, kind, pair))
        cells = [DASH if row is None else with_interval(Mean(row.auc, row.low, row.high, 0)) for row in (*own, apart)]
        difference = DASH if test is None else with_interval(Mean(test.value, test.low, test.high, 0), signed=True)
        distance = DASH if test is None else number(test.distance)
        table.add_row(observer, kind, *cells, difference, distance, test.verdict if test else "")
    probed = [row.across["separability"].value for row in levels]
    probed = [value for value in probed if not math.isnan(value)]
    if probed:
        table.add_row("probe of features, all arms", "separability", DASH, DASH, bracket(min(probed), max(probed)))
    verdict, basis = equally_hard(ledger, pair)
    brackets = [bracket(*ledger.bracket(name)) for name in pair]
    table.add_row("range of the ideal observer", "bracket", *brackets, DASH, DASH, DASH, f"{verdict} ({basis})")
    table.caption = (
        "exact: AUC of the ideal observer; lower, upper: bounds on it; model: AUC of the ideal observer of a simpler "
        "model; learner: a trained\nnetwork, which bounds the ideal observer from below and is not ideal itself. "
        "separability: AUC of telling the two subgroups apart.\nKS of LLR: largest Kolmogorov-Smirnov distance between "
        "the log-likelihood ratios of the subgroups. Brackets use the lower ends of\n95 % intervals over test subjects"
        f". verdict: zone of the difference of AUC, with a margin of {MARGIN:g}." + (f"\n{note}" if note else "")
    )
    table.caption_justify = "left"
    return table


def parts_table(parts: Sequence[Parts], pair: tuple[str, str]) -> Table:
    """Return the terms of every gap, the swap contrast first."""
    table = empty_table(
        f"Terms of each gap {pair[0]} - {pair[1]} on z: gap = physics + learner + adaptation + skew "
        "[95 % t interval over replicates]"
    )
    bracketed = any(math.isnan(row.terms["physics"].value) for row in parts)
    for name in parts[0].arm:
        table.add_column(name, overflow="fold")
    learner = "physics and learner" if bracketed else "learner"
    for name in ("swap contrast", "gap", "physics", learner, "adaptation", "skew", "reps", "note"):
        table.add_column(name, justify="right", no_wrap=True)
    notes: dict[str, int] = {}
    previous = None
    for row in parts:
        physics = row.terms["physics"].value
        cells = [bracket(*row.bracket, signed=True) if math.isnan(physics) else number(physics, signed=True)]
        cells += [with_interval(row.terms[name], signed=True) for name in (learner, "adaptation", "skew")]
        # Arms that differ only in their mix have one swap contrast.
        swap = "" if row.swap == previous else with_interval(row.swap, signed=True)
        previous = row.swap
        gap = row.terms["gap"]
        note = str(notes.setdefault(row.reason, len(notes) + 1)) if row.reason else ""
        levels = [str(level) for level in row.arm.values()]
        table.add_row(*levels, swap, with_interval(gap, signed=True), *cells, str(gap.replicates), note)
    caption = (
        "The swap contrast comes first, because asymmetries additive on z cancel in it. The terms depend on the order "
        "in which they are taken: physics\n(ideal observer), learner (network from scratch on many balanced labels), "
        "adaptation (balanced pretraining, this protocol and budget), skew\n(this mix). Taken in another order they "
        "would differ. Only skew is an effect of the mix."
    )
    if bracketed:
        caption += "\nPhysics is known only within its bracket, so the sum of physics and learner is given beside it."
    table.caption = "\n".join([caption, *(f"{number:>3} {note}" for note, number in notes.items())])
    table.caption_justify = "left"
    return table


def _kind_order(row: tuple[str, str]) -> int:
    """Position of a (kind, observer) by its kind."""
    from biasprop.statistics.difficulty import KINDS

    return KINDS.index(row[0])
