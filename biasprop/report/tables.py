"""Tables of levels, estimates and planned precision, and the JSON object of ``--json``, all made from a ``Summary``.

Heavy libraries are imported inside functions, so that a finished study is reported from its cache without loading them.
"""

from __future__ import annotations

import io
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from biasprop import terminal
from biasprop.report.margin import margin_in_patients
from biasprop.statistics.summary import Estimate, LevelRow, Mean, Summary, place, plain, where

if TYPE_CHECKING:
    from rich.table import Table

    from biasprop.metrics import Metric
    from biasprop.statistics.precision import Precision

FOLD = 24
"""Characters of a heading, and columns of a name, after which a line may be broken."""

MEANING = 120
"""Columns of a line of text below a table."""

TABLE_WIDTH = 200
"""Columns of tables that do not go to a terminal."""

DASH = "-"
"""Text for NaN and for empty cells of a table."""


def as_json(
    estimates: Sequence[Estimate], *, study: str, digest: str, store: Path | str, done: int, total: int
) -> dict[str, Any]:
    """Return the object that ``--json`` prints, NaN as null.

    Args:
        estimates: all estimates of the study.
        study: name of the study.
        digest: digest of the study.
        store: folder of the store; made absolute.
        done: number of finished cells.
        total: number of cells of the study.

    Returns:
        study, digest, store, cells {done, total}, estimates [{name, arm, value, low, high, method, replicates, verdict,
        and the other fields of an estimate}].
    """
    return {
        "study": study,
        "digest": digest,
        "store": str(Path(store).absolute()),
        "cells": {"done": done, "total": total},
        "estimates": [plain(asdict(estimate)) for estimate in estimates],
    }


def tables(summary: Summary, difficulty: Sequence[Table] = ()) -> list[Table]:
    """Return the tables of a summary: discrimination, operating point, calibration and optimism of every arm, the
    pretext loss where it was measured, all subgroups where an estimand compares them, contrasts on every scale, and
    last the estimates.

    Args:
        summary: estimates and levels of the study.
        difficulty: tables from :mod:`biasprop.report.difficulty`, placed before the estimates.
    """
    by_arm = (_discrimination, _operating_point, _calibration, _optimism) if summary.levels else ()
    levels = [table_of(summary) for table_of in by_arm]
    measured = [row for row in summary.levels if any(m["pretext_loss"].replicates for m in row.subgroups.values())]
    levels += [_pretext(measured)] if measured else []
    beside = []
    if summary.against_mean:
        from biasprop.report.against_mean import against_mean_table

        beside.append(against_mean_table(summary.against_mean))
    if summary.scales:
        from biasprop.report.scales import scales_table

        beside.append(scales_table(summary.scales))
    return [*levels, *difficulty, *beside, _estimates(summary)]


def table_width() -> int:
    """Columns of the terminal, or :data:`TABLE_WIDTH`."""
    return max(get_terminal_size().columns, 100) if sys.stdout.isatty() else TABLE_WIDTH


def text(tables: Sequence[Table], width: int) -> str:
    """Return tables as plain text, ``width`` columns wide, or more where numbers would be cut otherwise."""
    # Not of stdout: cached text must not depend on where it was first printed.
    lines = io.StringIO()
    plain = {"no_color": True, "force_terminal": False, "force_jupyter": False}
    for table in tables:
        terminal.console(file=lines, width=max(width, _least_width(table)), **plain).print(table)
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines()) + "\n"


def _least_width(table: Table) -> int:
    """The width in which no number is cut, and names have :data:`FOLD` columns; sets those of each column."""
    from rich.cells import cell_len

    for column in table.columns:
        lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
        widest = max(map(cell_len, lines), default=0)
        column.min_width = widest if column.no_wrap else min(widest, FOLD)
    return sum(column.min_width or 0 for column in table.columns) + 2 * len(table.columns) + 1


def precision_text(found: Sequence[Precision], half_width: float, width: int = 160) -> str:
    """Return the text of ``--precision``: replicates needed for a half-width, for every estimand and arm.

    Args:
        found: planned precision of every estimand and arm.
        half_width: target half-width of the 95 % interval.
        width: of the text, in columns.
    """
    title = f"Replicates needed for 95 % intervals of half-width {half_width:g}, from the sd between stored replicates"
    table = empty_table(title)
    for name in ("estimand", "arm"):
        table.add_column(name, overflow="fold")
    for name in ("in store", "half-width", "needed", "for 80 %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in found:
        needed = [DASH if count is None else str(count) for count in (row.expected, row.likely)]
        numbers = [str(row.replicates), number(row.half_width), *needed]
        table.add_row(row.name, where(row.arm) or DASH, *numbers, row.reason)
    table.caption = (
        f"needed: fewest replicates with an expected half-width of at most {half_width:g}; "
        "for 80 %: fewest with which the half-width is at most that with probability 80 %"
    )
    table.caption_justify = "left"
    return text([table], width)


def bracket(low: float, high: float, signed: bool = False) -> str:
    """Return the bounds of an unknown value as text: one number if they are equal."""
    if low == high:
        return number(low, 3, signed)
    return bounds(low, high, signed) if math.isfinite(low) and math.isfinite(high) else DASH


def _discrimination(summary: Summary) -> Table:
    first = summary.levels[0]
    any_moved = any(row.moved for row in summary.levels)
    columns = [*(f"AUC {name}" for name in first.subgroups), "worst", "AUC gap", "z gap", "down", "reps", "missing"]
    pair = " - ".join(first.compared) or "not defined for one subgroup"
    title = (
        f"Discrimination: AUC of each subgroup, mean over replicates [95 % t interval]. Gaps are {pair};\n"
        "down = levelling down: the gap is smaller than at the reference only because the better subgroup got worse"
    )
    title += "; moved = number of AUCs of 0 or 1, moved inward by half a pair for z" if any_moved else ""
    table = _table(title, first, columns + ["moved"] * any_moved)
    for row in summary.levels:
        cells = [_interval(entry["auc"]) for entry in row.subgroups.values()]
        cells += [_value(row.across["worst_auc"]), _value(row.across.get("auc_gap"), signed=True)]
        cells += [_interval(row.across.get("z_gap"), signed=True)]
        cells += [{None: DASH, True: "yes", False: "no"}[row.levelling_down], str(row.replicates)]
        cells += [", ".join(f"{n} {why}" for why, n in row.missing.items() if n) or DASH]
        table.add_row(*_arm(row), *cells, *[str(row.moved)] * any_moved)
    return table


def _operating_point(summary: Summary) -> Table:
    first = summary.levels[0]
    metrics = _metrics_of("operating point")
    of_twins = {name: metric for name, metric in metrics.items() if metric.twins}
    columns = ["threshold", *_headings(metrics, first), *(metric.heading for metric in of_twins.values())]
    columns += ["separa-\nbility"]
    title = (
        "Operating point: one threshold for all subgroups, set at a specificity of "
        f"{summary.target_specificity:g} on the calibration set;\n"
        "twin flips = share of subjects whose decision differs between twins; "
        "score shift = log-odds, first subgroup minus others;\n"
        "separability = AUC of a probe of features that tells the last subgroup from the first"
    )
    table = _table(title, first, columns)
    for row in summary.levels:
        cells = [_value(row.across["threshold"], signed=True)]
        cells += _cells(metrics, row)
        cells += [_value(row.across[name], metric.digits, metric.signed) for name, metric in of_twins.items()]
        table.add_row(*_arm(row), *cells, _value(row.across["separability"]))
    return table


def _metrics_of(table: str) -> dict[str, Metric]:
    """The metrics that are columns of a table, by name."""
    from biasprop.metrics import METRICS

    return {name: metric for name, metric in METRICS.items() if metric.table == table}


def _headings(metrics: Mapping[str, Metric], first: LevelRow) -> list[str]:
    """Headings of metrics of subgroups, one per subgroup."""
    own = [metric.heading for metric in metrics.values() if not metric.twins]
    return [f"{heading}\n{subgroup}" for heading in own for subgroup in first.subgroups]


def _cells(metrics: Mapping[str, Metric], row: LevelRow) -> list[str]:
    """Means of metrics of subgroups, in the order of :func:`_headings`."""
    return [
        _value(entry[name], metric.digits, metric.signed)
        for name, metric in metrics.items()
        if not metric.twins
        for entry in row.subgroups.values()
    ]


def _calibration(summary: Summary) -> Table:
    from biasprop.metrics.calibration import MIN_PER_CLASS

    first = summary.levels[0]
    metrics = _metrics_of("calibration")
    title = (
        "Calibration: a calibrated model has intercept 0, slope 1 and an ECE equal to its expected value; "
        "n test subjects, n+ with the disease"
    )
    rows = [_cells(metrics, row) for row in summary.levels]
    if any(DASH in cells for cells in rows):
        title += (
            f";\n{DASH}: undefined, because a class has fewer than {MIN_PER_CLASS} subjects, or scores separate the "
            "classes or do not vary"
        )
    table = _table(title, first, _headings(metrics, first))
    for row, cells in zip(summary.levels, rows, strict=True):
        table.add_row(*_arm(row), *cells)
    return table


def _optimism(summary: Summary) -> Table:
    first = summary.levels[0]
    columns = [f"{head}\n{subgroup}" for head in ("training AUC", "optimism") for subgroup in first.subgroups]
    title = "Optimism: training AUC (on the labelled subjects) minus test AUC [95 % t interval]"
    table = _table(title, first, columns)
    for row in summary.levels:
        entries = row.subgroups.values()
        cells = [_value(entry["train_auc"]) for entry in entries]
        table.add_row(*_arm(row), *cells, *(_interval(entry["optimism"], signed=True) for entry in entries))
    return table


def _pretext(rows: Sequence[LevelRow]) -> Table:
    title = "Pretext loss on held-out subjects: mean over replicates [95 % t interval]; one row per encoder"
    table = _table(title, rows[0], list(rows[0].subgroups))
    shown: set[tuple[Mean, ...]] = set()
    for row in rows:
        means = tuple(entry["pretext_loss"] for entry in row.subgroups.values())
        if means not in shown:
            shown.add(means)
            table.add_row(*_arm(row), *(_interval(mean) for mean in means))
    return table


def _estimates(summary: Summary) -> Table:
    from biasprop.estimands import ESTIMANDS

    columns = ("role", "value", "95 % interval", "deciding interval", "margin", "SE", "method", "reps")
    family = sum(estimate.role == "secondary" for estimate in summary.estimates)
    title = (
        "Estimates. One interval decides the verdict, the first that holds: material (wholly beyond the margin), "
        "negligible (wholly\ninside it), present, size unclear (leaves out 0), not resolved. "
        "It is the 95 % interval of the primary estimate (*)"
    )
    title += f";\nthose of the {family} secondary ones hold together at 95 % (Bonferroni)" if family else ""
    table = empty_table(f"{title}. Exploratory estimates have no verdict.")
    notes: dict[str, int] = {}  # note -> its number in the caption
    table.add_column("estimand", overflow="fold")
    table.add_column("arm", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("note", justify="right", no_wrap=True)
    for estimate in summary.estimates:
        kind = ESTIMANDS[estimate.kind]
        digits, signed = kind.digits, kind.tested
        table.add_row(
            estimate.name + ("*" if estimate.primary else ""),
            place(estimate.subgroups, estimate.arm) or DASH,
            estimate.role,
            number(estimate.value, digits, signed),
            bounds(estimate.low, estimate.high, signed, digits),
            bounds(estimate.zone_low, estimate.zone_high, signed),
            DASH if estimate.role == "exploratory" else f"{estimate.margin:g}",
            number(estimate.se),
            estimate.method or DASH,
            str(estimate.replicates),
            estimate.verdict,
            str(notes.setdefault(estimate.reason, len(notes) + 1)) if estimate.reason else "",
        )
    levels = [(row.arm, {name: means["auc"].value for name, means in row.subgroups.items()}) for row in summary.levels]
    meaning = margin_in_patients([vars(one) for one in summary.estimates], levels, summary.target_specificity)
    lines = textwrap.wrap(meaning, MEANING)
    table.caption = "\n".join([*lines, *(f"{number:>3} {note}" for note, number in notes.items())])
    table.caption_justify = "left"
    return table


def _table(title: str, first: LevelRow, columns: Sequence[str]) -> Table:
    table = empty_table(title)
    for name in first.arm:
        table.add_column(name, overflow="fold")
    for name in columns:
        table.add_column(heading(name), justify="right", no_wrap=True)
    return table


def empty_table(title: str) -> Table:
    """Return a table without columns, in the style of all tables; its rule can be printed in every encoding."""
    from rich.box import Box
    from rich.table import Table

    rule = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    return Table(title=title, title_justify="left", box=rule, padding=(0, 1, 0, 0), pad_edge=False)


def heading(text: str) -> str:
    """Return the heading of a column of numbers, broken where a name makes it long."""
    lines = [textwrap.wrap(line, FOLD, break_on_hyphens=False) for line in text.split("\n")]
    return "\n".join(part for line in lines for part in line)


def _arm(row: LevelRow) -> list[str]:
    return [str(level) for level in row.arm.values()]


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Return a number as text, NaN as :data:`DASH`."""
    return DASH if math.isnan(value) else f"{value:{'+' if signed else ''}.{digits}f}"


def bounds(low: float, high: float, signed: bool = False, digits: int = 3) -> str:
    """Return an interval as text, such as ``[0.1, 0.3]``, or ``> 0.1`` where it is open; NaN as :data:`DASH`."""
    ends = [number(end, digits, signed) for end in (low, high)]
    if math.isnan(low) or (math.isinf(low) and math.isinf(high)):
        return DASH
    if math.isinf(high):
        return f"> {ends[0]}"
    return f"< {ends[1]}" if math.isinf(low) else f"[{ends[0]}, {ends[1]}]"


def _value(mean: Mean | None, digits: int = 3, signed: bool = False) -> str:
    return DASH if mean is None else number(mean.value, digits, signed)


def _interval(mean: Mean | None, signed: bool = False) -> str:
    if mean is None or math.isnan(mean.value):
        return DASH
    return f"{number(mean.value, 3, signed)} {bounds(mean.low, mean.high, signed)}"


def with_interval(mean: Mean, signed: bool = False) -> str:
    """Return a value and its interval as text; without the interval if there is none or it has width 0."""
    exact = math.isnan(mean.low) or mean.low == mean.high
    return _value(mean, 3, signed) if exact else _interval(mean, signed)
