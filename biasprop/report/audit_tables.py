"""Tables of an audit on the terminal: how the table was read, measures by group, gaps, the worst and smallest groups.

A value that is undefined is "-", with the counts that say why below the tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from biasprop.report.tables import DASH, bounds, empty_table, number, table_width
from biasprop.report.tables import text as text_of
from biasprop.statistics.audit_result import OVERALL
from biasprop.statistics.tests import POWER
from biasprop.terminal import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from biasprop.statistics.audit_result import Audit

HEADINGS = {
    "auc": "AUC",
    "z": "z(AUC)",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "underdiagnosis": "underdiagnosis",
    "calibration_intercept": "intercept",
    "calibration_slope": "slope",
    "brier": "Brier",
    "net_benefit": "net benefit",
}
"""Measure -> heading of its column."""
BLOCKS = (
    ("Discrimination and decisions", ("auc", "sensitivity", "specificity", "ppv", "npv", "underdiagnosis")),
    ("Calibration and net benefit", ("calibration_intercept", "calibration_slope", "brier", "net_benefit")),
)
"""Title -> measures that are columns of one table."""
UNBOUNDED = ("z", "calibration_intercept", "calibration_slope", "net_benefit")
"""Measures whose differences may be larger than 1."""
MAX_REASONS = 12
"""Lines that say why values are undefined."""


def text(audit: Audit, case_mix: Mapping[str, pd.DataFrame], notes: Sequence[str], stated: bool) -> str:
    """Return an audit as text; for the arguments see :func:`tables`.

    Args:
        audit, case_mix, stated: as there.
        notes: lines on how the table was read.
    """
    lines = [*notes, *threshold_lines(audit), ""]
    body = text_of(tables(audit, case_mix, stated), table_width())
    return "\n".join(map(printable, lines)) + "\n" + body + "".join(f"{line}\n" for line in undefined_lines(audit))


def tables(audit: Audit, case_mix: Mapping[str, pd.DataFrame], stated: bool) -> list[Table]:
    """Return measures by group, gaps, the worst and the smallest groups, and the case-mix.

    Args:
        audit: result of ``biasprop.audit_scores``.
        case_mix: attribute -> its groups, from ``statistics.case_mix``; empty = without its table.
        stated: whether the contrasts were stated in advance.
    """
    found = [_measures(audit, title, names) for title, names in BLOCKS]
    found += [_contrasts(audit, title, names, stated) for title, names in BLOCKS]
    found += [_worst(audit), _smallest(audit), _case_mix(case_mix) if case_mix else None]
    return [table for table in found if table is not None]


def aggregate_text(results: pd.DataFrame) -> str:
    """Return a table of results of others as text, see :func:`aggregate_table`."""
    return text_of([aggregate_table(results)], table_width())


def aggregate_table(results: pd.DataFrame) -> Table:
    """Return a table of results of others: mean and sd as they were given, no interval.

    Args:
        results: from ``audit.aggregate.read_aggregate``.
    """
    table = empty_table("Results as given: mean (sd). An sd over seeds or folds is no interval, and none is made of it")
    metrics = list(dict.fromkeys(results["metric"]))
    table.add_column("group", overflow="fold")
    for metric in metrics:
        table.add_column(printable(metric), justify="right")
    rows: Any = results.to_dict("records")
    cells = {(row["group"], row["metric"]): _mean_and_sd(row) for row in rows}
    for group in dict.fromkeys(results["group"]):
        table.add_row(printable(group), *(cells.get((group, metric), DASH) for metric in metrics))
    return table


def _mean_and_sd(row: Any) -> str:
    return number(row["mean"]) + (f" ({number(row['sd'])})" if math.isfinite(row["sd"]) else "")


def threshold_lines(audit: Audit) -> list[str]:
    """Return lines that say where the threshold and that of net benefit are from."""
    if math.isnan(audit.threshold):
        return []
    said = [f"threshold: {audit.threshold:.6g} ({audit.threshold_origin})"]
    if not math.isnan(audit.threshold_probability):
        said.append(f"net benefit: at the threshold probability {audit.threshold_probability:g}")
    return said


def _level(audit: Audit) -> str:
    return f"{100 * audit.confidence:g} %"


def group_name(attribute: str, group: str) -> str:
    """Name of a group in tables and figures."""
    return printable(attribute if attribute == OVERALL else f"{attribute}: {group}")


def _numeric(table: Table, names: Sequence[str]) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table; z, on which AUC has its own column, is left out."""
    rows: Any = table.to_dict("records")
    return [row for row in rows if row["metric"] != "z"]


def _grouped(rows: Sequence[dict[str, Any]], *keys: str) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Rows by these columns, and then by measure."""
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), {})[row["metric"]] = row
    return found


def _measures(audit: Audit, title: str, names: Sequence[str]) -> Table | None:
    rows = _records(audit.estimates)
    present = [name for name in names if any(row["metric"] == name for row in rows)]
    if not present:
        return None
    by_method: dict[str, list[str]] = {}
    for name, method in {row["metric"]: row["method"] for row in rows if row["metric"] in present}.items():
        by_method.setdefault(method, []).append(HEADINGS[name])
    how = "; ".join(f"{', '.join(headings)}: {method}" for method, headings in by_method.items())
    table = empty_table(f"{title}, with {_level(audit)} intervals ({how})")
    table.add_column("group", overflow="fold")
    counts = {"n": "n", "n_clusters": "people", "n_positive": "diseased", "n_missing": "missing"}
    if all(row["n_clusters"] == row["n"] for row in rows):
        del counts["n_clusters"]
    _numeric(table, [*counts.values(), *(HEADINGS[name] for name in present)])
    for (attribute, group), measures in _grouped(rows, "attribute", "group").items():
        first = measures[present[0]]
        cells = [_with_interval(measures[name], signed=name == "calibration_intercept") for name in present]
        table.add_row(group_name(attribute, group), *(f"{first[count]:,}" for count in counts), *cells)
    return table


def _with_interval(row: Mapping[str, Any], low: str = "low", high: str = "high", signed: bool = False) -> str:
    if math.isnan(row["value"]):
        return DASH
    return f"{number(row['value'], signed=signed)}\n{bounds(row[low], row[high], signed)}"


def _contrasts(audit: Audit, title: str, names: Sequence[str], stated: bool) -> Table | None:
    rows = _records(audit.contrasts)
    present = [name for name in names if any(row["metric"] == name for row in rows)]
    if not present:
        return None
    grouped = _grouped(rows, "attribute", "group", "against")
    origin = "stated in advance" if stated else "all pairs of groups, none stated in advance"
    at_once = f" that hold for all {len(grouped)} pairs at once" if len(grouped) > 1 else ""
    table = empty_table(f"Gaps ({origin}), {title.lower()}: first minus second group, with intervals{at_once}")
    table.add_column("gap", overflow="fold")
    _numeric(table, [HEADINGS[name] for name in present])
    for (attribute, group, against), measures in grouped.items():
        cells = []
        for name in present:
            verdict = measures[name]["verdict"]
            cell = _with_interval(measures[name], "adjusted_low", "adjusted_high", signed=True)
            cells.append(f"{cell}\n{verdict}" if verdict else cell)
        table.add_row(printable(f"{attribute}: {group} - {against}"), *cells)
    return table


def _worst(audit: Audit) -> Table | None:
    rows = _records(audit.worst)
    if not rows:
        return None
    table = empty_table(
        "Worst group of each attribute, corrected for having been picked: the interval is of the worst true value,\n"
        "whichever group has it; that of the gap is of the largest true gap, and reaches 0 where all may be equal"
    )
    for name in ("attribute", "measure", "worst group"):
        table.add_column(name, overflow="fold")
    _numeric(table, ["value", "interval", "groups"])
    table.add_column("best group", overflow="fold")
    _numeric(table, ["worst - best", "interval"])
    for row in rows:
        names = printable(row["attribute"]), HEADINGS[row["metric"]], printable(row["group"])
        first = number(row["value"]), bounds(row["low"], row["high"]), str(row["groups"])
        gap = number(row["gap"], signed=True), bounds(row["gap_low"], row["gap_high"], signed=True)
        table.add_row(*names, *first, printable(row["against"]), *gap)
    return table


def _smallest(audit: Audit) -> Table | None:
    rows = _records(audit.smallest)
    present = [name for _, names in BLOCKS for name in names if any(row["metric"] == name for row in rows)]
    if not present:
        return None
    table = empty_table(
        "Smallest group of each attribute: the true difference to the largest group that this test had\n"
        f"a chance of {100 * POWER:g} % to find ({_level(audit)} interval; none = not even the largest possible one)"
    )
    table.add_column("smallest group", overflow="fold")
    _numeric(table, ["n", "diseased"])
    table.add_column("largest group", overflow="fold")
    _numeric(table, [HEADINGS[name] for name in present])
    for (attribute, group), measures in _grouped(rows, "attribute", "group").items():
        first = measures[present[0]]
        counts = f"{first['n']:,}", f"{first['n_positive']:,}"
        sizes = [_size(name, measures[name]["resolvable"]) for name in present]
        table.add_row(group_name(attribute, group), *counts, printable(first["against"]), *sizes)
    return table


def _size(name: str, resolvable: float) -> str:
    """A resolvable difference; those of shares and areas are below 1."""
    return "none" if name not in UNBOUNDED and resolvable >= 1 else number(resolvable)


def _case_mix(case_mix: Mapping[str, pd.DataFrame]) -> Table:
    stated = any(mix["stated"].notna().any() for mix in case_mix.values())
    against = ", beside the stated population" if stated else "; --population states who the model is meant for"
    table = empty_table(f"Case-mix of the audited rows{against}")
    table.add_column("group", overflow="fold")
    _numeric(table, ["n", "share", "interval", *(["stated", "difference"] if stated else []), "prevalence"])
    for attribute, mix in case_mix.items():
        rows: Any = mix.to_dict("records")
        for row in rows:
            beside = [number(row["stated"]), number(row["difference"], signed=True)] if stated else []
            share = number(row["share"]), bounds(row["low"], row["high"])
            name = group_name(attribute, str(row["group"]))
            table.add_row(name, f"{row['n']:,}", *share, *beside, number(row["prevalence"]))
    return table


def undefined_lines(audit: Audit) -> list[str]:
    """Return lines that say why values are undefined, measures were left out, or rows are in no group."""
    why: dict[tuple[str, str], list[str]] = {}
    for row in _records(audit.estimates):
        if row["reason"]:
            key = group_name(row["attribute"], row["group"]), row["reason"]
            why.setdefault(key, []).append(HEADINGS[row["metric"]])
    lines = [f"{DASH} {name}: {', '.join(metrics)}: {reason}" for (name, reason), metrics in why.items()]
    if len(lines) > MAX_REASONS:
        lines = [*lines[:MAX_REASONS], f"{DASH} and {len(lines) - MAX_REASONS:,} more (--json has all)"]
    missing = {name: count for name, count in audit.without_group.items() if count}
    lines += [f"{count:,} rows have no {printable(name)}: overall only, in no group" for name, count in missing.items()]
    return lines
