"""Measurements as text tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MAX_ROWS = 12
"""Number of kinds of products that are shown."""


def text(found: Mapping[str, Any]) -> str:
    """All tables of one measurement.

    Args:
        found: the JSON object of ``measure``.
    """
    from biasprop.report import tables

    mark, machine = found["fingerprint"], found["machine"]
    loads = f"system load {machine['before']['load']} before, {machine['after']['load']} after"
    head = (
        f"{found['study']}: {mark['device']} ({mark['instructions']}), jax {mark['jax']}, "
        f"{mark['threads'] or 'all'} thread(s), {found['width']} cell(s) per batch; "
        f"{loads}, {machine['after']['cores']} cores\n\n"
    )
    sections = [_stages(found), _ceilings(found), _programs(found), _scaling(found)]
    return head + tables.text([table for table in sections if table is not None], 140) + _memory(found)


def _table(title: str, *columns: str) -> Table:
    from biasprop.report import tables

    table = tables.empty_table(title)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _stages(found: Mapping[str, Any]) -> Table | None:
    rows = found.get("stages", [])
    if not rows:
        return None
    title = (
        f"Stages, per image or fit; best and median of {found['repeats']} timings; "
        "spread: half the interquartile range;\nproducts: its matrix products on their own; achieved: products / best"
    )
    table = _table(
        title, "stage", "per", "best us", "median us", "spread", "MFLOP", "GFLOP/s", "products us", "achieved"
    )
    for row in rows:
        timed = "best_s" in row
        table.add_row(
            row["stage"],
            row["unit"],
            f"{1e6 * row['best_s']:.1f}" if timed else "",
            f"{1e6 * row['median_s']:.1f}" if timed else "",
            f"{row['spread']:.0%}" if timed else "",
            f"{row['flops'] / 1e6:.2f}",
            f"{row['gflops']:.1f}" if timed else "",
            f"{1e6 * row['products_s']:.1f}",
            f"{row['achieved']:.0%}" if timed else "",
        )
    return table


def _ceilings(found: Mapping[str, Any]) -> Table | None:
    rows = found.get("ceilings", [])
    if not rows:
        return None
    roles = dict(found["roles"])
    stage = roles.pop("stage")
    rates = ", ".join(f"{role} {rate:.1f}" for role, rate in roles.items())
    table = _table(
        f"Matrix products of the {stage} on their own, GFLOP/s: {rates}",
        "role",
        "shapes",
        "us per image",
        "GFLOP/s",
    )
    for row in rows[:MAX_ROWS]:
        table.add_row(
            row["role"], row["operands"], f"{1e6 * row['times'] * row['seconds']:.2f}", f"{row['gflops']:.1f}"
        )
    rest = sum(row["times"] * row["seconds"] for row in rows[MAX_ROWS:])
    if rest:
        table.add_row(f"{len(rows) - MAX_ROWS} more", "", f"{1e6 * rest:.2f}", "")
    return table


def _programs(found: Mapping[str, Any]) -> Table | None:
    rows = sorted(found.get("programs", []), key=lambda row: -(row["trace"] + row["lower"] + row["load"]))
    if not rows:
        return None
    table = _table("Compiled programs, seconds", "program", "trace", "lower", "compile", "from cache", "MB temporary")
    for row in rows:
        compiled = "" if row["compile"] is None else f"{row['compile']:.2f}"
        cells = (f"{row['trace']:.2f}", f"{row['lower']:.2f}", compiled, f"{row['load']:.2f}")
        table.add_row(row["name"], *cells, f"{row['buffers']['temporary'] / 1e6:.1f}")
    sums = {name: sum(row[name] or 0 for row in rows) for name in ("trace", "lower", "compile", "load")}
    compiled = f"{sums['compile']:.2f}" if rows[0]["compile"] is not None else ""
    table.add_row("all", f"{sums['trace']:.2f}", f"{sums['lower']:.2f}", compiled, f"{sums['load']:.2f}", "")
    return table


def _scaling(found: Mapping[str, Any]) -> Table | None:
    rows = found.get("scaling", [])
    if not rows:
        return None
    table = _table(
        "A pretraining step, us per image; for cells, us for the first steps",
        "axis",
        "value",
        "us",
        "compiled",
    )
    for row in rows:
        table.add_row(row["axis"], str(row["at"]), f"{1e6 * row['seconds']:.1f}", str(row["compiled"]))
    return table


def _memory(found: Mapping[str, Any]) -> str:
    if "memory" not in found:
        return ""
    return "peak memory: " + ", ".join(f"{name} {held / 1e9:.2f} GB" for name, held in found["memory"].items()) + "\n"
