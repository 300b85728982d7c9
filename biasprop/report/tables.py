"""What a study prints: tables of levels and estimates, of difficulty and of what a gap is made of; the JSON object.

Everything printed is first put into one ``Summary``, so that tables, JSON and the cache cannot disagree.
Nothing heavy is imported until it is needed: a finished study is reported from its cache within moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.statistics.estimand import KINDS
from biasprop.statistics.summary import Estimate, LevelRow, Mean, Summary, plain, where

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from biasprop.statistics.decomposition import Place
    from biasprop.statistics.estimand import Estimand
    from biasprop.statistics.precision import Precision

DASH = "-"
"""What a table shows for NaN."""


def summarise(
    cube: xr.Dataset, estimands: Sequence[Estimand], target_specificity: float, places: Sequence[Place] = ()
) -> Summary:
    """Compute every number a study prints from its stored scores.

    Args:
        cube: as ``biasprop.open_cube`` gives it; it may be partly filled.
        estimands: of the study.
        target_specificity: at which the common threshold is set, in (0, 1].
        places: arms whose gap is taken apart.
    """
    from biasprop.statistics.decomposition import decompose
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.levels import compared, levels
    from biasprop.statistics.measures import measure

    measures = measure(cube, target_specificity)
    found = estimates(measures, estimands)
    pair = compared(measures, estimands)
    parts = decompose(measures, places, pair, estimands) if pair else []
    return Summary(found, levels(measures, estimands), target_specificity, parts)


def as_json(
    estimates: Sequence[Estimate], *, study: str, digest: str, store: Path | str, done: int, total: int
) -> dict[str, Any]:
    """The object that ``--json`` prints, NaN as null.

    Args:
        estimates: from ``estimates`` or a summary.
        study: its name.
        digest: of the study.
        store: folder of the cube; made absolute.
        done: cells that are finished.
        total: cells of the study.

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
    """Rich tables of a summary: discrimination, operating point and calibration of every arm, then the estimates.

    Args:
        summary: of the study.
        difficulty: tables of :func:`ledger_table` and :func:`parts_table`, to stand before the estimates.
    """
    own = (_discrimination, _operating_point, _calibration, _fit) if summary.levels else ()
    groups = [make(summary) for make in own]
    asked = [row for row in summary.levels if any(e["pretext_loss"].replicates for e in row.subgroups.values())]
    groups += [_pretext(asked)] if asked else []
    return [*groups, *difficulty, _estimates(summary)]


def as_text(summary: Summary, width: int = 160) -> str:
    """The tables as plain text, at most ``width`` columns wide."""
    return text(tables(summary), width)


def text(tables: Sequence[Table], width: int) -> str:
    """Tables as plain text, at most ``width`` columns wide."""
    from rich.console import Console

    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def precision_text(found: Sequence[Precision], half_width: float, width: int = 160) -> str:
    """What ``--power`` prints: for every estimand and arm the replicates that intervals so wide need."""
    title = f"Replicates for a 95 % interval of half-width {half_width:g}, by the sd of those in the store"
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
    table.caption = "needed: the expected half-width is that; for 80 %: it is at most that with probability 80 %"
    table.caption_justify = "left"
    return text([table], width)


def between(low: float, high: float, signed: bool = False) -> str:
    if low == high:
        return number(low, 3, signed)
    return _bounds(low, high, signed) if math.isfinite(low) and math.isfinite(high) else DASH


def _discrimination(summary: Summary) -> Table:
    first = summary.levels[0]
    moved = any(row.moved for row in summary.levels)
    columns = [*(f"AUC {name}" for name in first.subgroups), "worst", "AUC gap", "z gap", "down", "reps", "missing"]
    title = "Discrimination: mean over replicates [95 % t interval]. Gaps are {}; down = levelling down{}."
    pair = " - ".join(first.compared) or "not defined for one subgroup"
    note = "; moved = AUCs of 0 or 1 moved in by half a pair" if moved else ""
    table = _table(title.format(pair, note), first, columns + ["moved"] * moved)
    for row in summary.levels:
        cells = [_interval(entry["auc"]) for entry in row.subgroups.values()]
        cells += [_value(row.across["worst_auc"]), _value(row.across.get("auc_gap"), signed=True)]
        cells += [_interval(row.across.get("z_gap"), signed=True)]
        cells += [{None: DASH, True: "yes", False: "no"}[row.levelling_down], str(row.replicates)]
        cells += [", ".join(f"{n} {why}" for why, n in row.missing.items() if n) or DASH]
        table.add_row(*_arm(row), *cells, *[str(row.moved)] * moved)
    return table


def _operating_point(summary: Summary) -> Table:
    first = summary.levels[0]
    heads = {"sensitivity": "sens.", "specificity": "spec.", "underdiagnosis": "underdiag."}
    columns = ["threshold", *(f"{head}\n{subgroup}" for head in heads.values() for subgroup in first.subgroups)]
    columns += ["twin\nflips", "score\nshift", "separa-\nbility"]
    title = f"Decisions at one threshold for all (specificity {summary.target_specificity:g} on the calibration set)"
    table = _table(title, first, columns)
    for row in summary.levels:
        cells = [_value(row.across["threshold"], signed=True)]
        cells += [_value(entry[name]) for name in heads for entry in row.subgroups.values()]
        cells += [_value(row.across["flip_rate"]), _value(row.across["score_shift"], signed=True)]
        table.add_row(*_arm(row), *cells, _value(row.across["separability"]))
    return table


def _calibration(summary: Summary) -> Table:
    first = summary.levels[0]
    heads = {
        "calibration_intercept": "intercept",
        "calibration_slope": "slope",
        "ece": "ECE",
        "ece_expected": "expected",
    }
    heads |= {"n": "n", "n_positive": "n+"}
    columns = [f"{head}\n{subgroup}" for head in heads.values() for subgroup in first.subgroups]
    title = "Calibration: perfect is intercept 0, slope 1 and the expected ECE; n subjects, n+ with the disease"
    table = _table(title, first, columns)
    for row in summary.levels:
        entries = [(name, entry[name]) for name in heads for entry in row.subgroups.values()]
        digits = {"n": 0, "n_positive": 0}
        cells = [_value(mean, digits.get(name, 3), name == "calibration_intercept") for name, mean in entries]
        table.add_row(*_arm(row), *cells)
    return table


def _fit(summary: Summary) -> Table:
    first = summary.levels[0]
    columns = [f"AUC {what}\n{subgroup}" for what in ("of labelled", "less test's") for subgroup in first.subgroups]
    title = "Fit: AUC on the labelled subjects themselves, and what of it test twins do not bear out [95 % t interval]"
    table = _table(title, first, columns)
    for row in summary.levels:
        entries = row.subgroups.values()
        cells = [_value(entry["train_auc"]) for entry in entries]
        table.add_row(*_arm(row), *cells, *(_interval(entry["optimism"], signed=True) for entry in entries))
    return table


def _pretext(rows: Sequence[LevelRow]) -> Table:
    title = "Pretext loss on strangers: mean over replicates [95 % t interval]; arms of one encoder once"
    table = _table(title, rows[0], list(rows[0].subgroups))
    shown: set[tuple[Mean, ...]] = set()
    for row in rows:
        means = tuple(entry["pretext_loss"] for entry in row.subgroups.values())
        if means not in shown:
            shown.add(means)
            table.add_row(*_arm(row), *(_interval(mean) for mean in means))
    return table


def _estimates(summary: Summary) -> Table:
    columns = ("value", "95 % interval", "adjusted interval", "SE", "p differs", "p inside", "method", "reps")
    title = (
        "Estimates. Holm over all but the primary one (*), which stands as it is: over their difference tests\n"
        "(adjusted interval, p differs) and, apart from these, over their equivalence tests (p inside)."
    )
    table = empty_table(title)
    notes: dict[str, int] = {}
    table.add_column("estimand", overflow="fold")
    table.add_column("arm", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("note", justify="right", no_wrap=True)
    for estimate in summary.estimates:
        kind = KINDS[estimate.kind]
        digits, signed = kind.digits, kind.tested
        table.add_row(
            estimate.name + ("*" if estimate.primary else ""),
            where(estimate.arm) or DASH,
            number(estimate.value, digits, signed),
            _bounds(estimate.low, estimate.high, signed),
            _bounds(estimate.adjusted_low, estimate.adjusted_high, signed),
            number(estimate.se),
            _p(estimate.adjusted_p_difference),
            _p(estimate.adjusted_p_equivalence),
            estimate.method or DASH,
            str(estimate.replicates),
            estimate.verdict,
            str(notes.setdefault(estimate.reason, len(notes) + 1)) if estimate.reason else "",
        )
    table.caption = "\n".join(f"{number:>3} {note}" for note, number in notes.items())
    table.caption_justify = "left"
    return table


def _table(title: str, first: LevelRow, columns: Sequence[str]) -> Table:
    table = empty_table(title)
    for name in first.arm:
        table.add_column(name)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def empty_table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _arm(row: LevelRow) -> list[str]:
    return [str(level) for level in row.arm.values()]


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    return DASH if math.isnan(value) else f"{value:{'+' if signed else ''}.{digits}f}"


def _p(value: float) -> str:
    return DASH if math.isnan(value) else ("<0.0001" if value < 0.0001 else f"{value:.4f}")


def _bounds(low: float, high: float, signed: bool) -> str:
    return DASH if math.isnan(low) else f"[{number(low, 3, signed)}, {number(high, 3, signed)}]"


def _value(mean: Mean | None, digits: int = 3, signed: bool = False) -> str:
    return DASH if mean is None else number(mean.value, digits, signed)


def _interval(mean: Mean | None, signed: bool = False) -> str:
    if mean is None or math.isnan(mean.value):
        return DASH
    return f"{number(mean.value, 3, signed)} {_bounds(mean.low, mean.high, signed)}"


def stated(mean: Mean, signed: bool = False) -> str:
    """A value that may be known, which then has no interval."""
    known = math.isnan(mean.low) or mean.low == mean.high
    return _value(mean, 3, signed) if known else _interval(mean, signed)
