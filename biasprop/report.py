"""What a study prints: tables of levels and estimates, the JSON object, and a cache of both.

Everything printed is first put into one ``Summary``, so that tables, JSON and the cache cannot disagree.
Nothing heavy is imported until it is needed: a finished study is reported from its cache within moments.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.statistics.summary import Estimate, LevelRow, Mean, Summary, plain

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from biasprop.statistics.estimand import Estimand

DASH = "-"
"""What a table shows for NaN."""


def summarise(cube: xr.Dataset, estimands: Sequence[Estimand], target_specificity: float) -> Summary:
    """Compute every number a study prints from its stored scores.

    Args:
        cube: as ``biasprop.open_cube`` gives it; it may be partly filled.
        estimands: of the study.
        target_specificity: at which the common threshold is set, in (0, 1].
    """
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.levels import levels
    from biasprop.statistics.measures import measure

    measures = measure(cube, target_specificity)
    found = estimates(cube, estimands, target_specificity, measures)
    return Summary(found, levels(measures, estimands), target_specificity)


def cached_summary(
    store: Path,
    scores_digest: str,
    estimands: Sequence[Estimand],
    target_specificity: float,
    open_cube: Callable[[], xr.Dataset],
) -> Summary:
    """:func:`summarise`, or what it gave last time for the same scores, estimands and code.

    Args:
        store: folder of the cube; the cache lies in its folder ``cache``.
        scores_digest: of the stored scores and statuses; it must change when they do.
        estimands: of the study.
        target_specificity: in (0, 1].
        open_cube: called only if nothing usable is cached.
    """
    stated = [estimand.model_dump_json() for estimand in estimands]
    key = _hash(json.dumps([scores_digest, stated, target_specificity, _code()]))
    kept: list[Summary] = []

    def compute() -> dict[str, Any]:
        kept.append(summarise(open_cube(), estimands, target_specificity))
        return kept[0].to_json()

    content = cached(store, key, compute)
    if not kept:
        with suppress(KeyError, TypeError, ValueError):
            return Summary.from_json(content)
        compute()
    return kept[0]


def cached(store: Path, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A JSON object kept under ``<store>/cache/<key>.json``; a convenience, never a source.

    A missing, damaged or foreign file is ignored and written anew; a folder that cannot be written is no error.

    Args:
        store: folder of the cube.
        key: names everything the object depends on; letters and digits.
        compute: makes the object.
    """
    path = Path(store) / "cache" / f"{key}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["checksum"] == _hash(key + json.dumps(stored["content"])):
            return stored["content"]
    content = compute()
    text = json.dumps(content)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({"checksum": _hash(key + text), "content": content}), encoding="utf-8")
        partial.replace(path)  # whole or not at all, whoever else writes it
    return content


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


def tables(summary: Summary) -> list[Table]:
    """Rich tables of a summary: discrimination, operating point and calibration of every arm, then the estimates."""
    groups = [_discrimination(summary), _operating_point(summary), _calibration(summary)] if summary.levels else []
    return [*groups, _estimates(summary)]


def as_text(summary: Summary, width: int = 200) -> str:
    """The tables as plain text, ``width`` columns wide."""
    from rich.console import Console

    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        for table in tables(summary):
            console.print(table)
    return capture.get()


def _discrimination(summary: Summary) -> Table:
    first = summary.levels[0]
    columns = [f"AUC {name}" for name in first.subgroups]
    columns += ["worst AUC", "AUC gap", "z gap", "levelling down", "replicates", "missing", "AUC moved"]
    table = _table("Discrimination: mean over replicates [95 % t interval]; gaps are A - B", first, columns)
    for row in summary.levels:
        cells = [_interval(entry["auc"]) for entry in row.subgroups.values()]
        cells += [_value(row.across["worst_auc"])]
        cells += [_interval(row.across.get(name), signed=True) for name in ("auc_gap", "z_gap")]
        cells += [{None: DASH, True: "yes", False: "no"}[row.levelling_down], str(row.replicates)]
        cells += [", ".join(f"{n} {why}" for why, n in row.missing.items() if n) or DASH, str(row.moved)]
        table.add_row(*_arm(row), *cells)
    return table


def _operating_point(summary: Summary) -> Table:
    first = summary.levels[0]
    names = ("sensitivity", "specificity", "underdiagnosis")
    columns = ["threshold", *(f"{name} {subgroup}" for name in names for subgroup in first.subgroups)]
    columns += ["twin flip rate", "score shift", "separability"]
    title = f"Decisions at the common threshold (specificity {summary.target_specificity:g} on the calibration set)"
    table = _table(title, first, columns)
    for row in summary.levels:
        cells = [_value(row.across["threshold"])]
        cells += [_value(entry[name]) for name in names for entry in row.subgroups.values()]
        cells += [_value(row.across[name]) for name in ("flip_rate", "score_shift", "separability")]
        table.add_row(*_arm(row), *cells)
    return table


def _calibration(summary: Summary) -> Table:
    first = summary.levels[0]
    heads = {
        "calibration_intercept": "intercept",
        "calibration_slope": "slope",
        "ece": "ECE",
        "ece_expected": "ECE if calibrated",
        "n": "n",
        "n_positive": "positive",
    }
    columns = [f"{head} {subgroup}" for head in heads.values() for subgroup in first.subgroups]
    table = _table("Calibration: perfect is intercept 0, slope 1, ECE as if calibrated", first, columns)
    for row in summary.levels:
        cells = [
            _value(entry[name], 0 if name.startswith("n") else 3) for name in heads for entry in row.subgroups.values()
        ]
        table.add_row(*_arm(row), *cells)
    return table


def _estimates(summary: Summary) -> Table:
    from rich.table import Table

    table = Table(title="Estimates: plain and adjusted 95 % intervals", title_justify="left")
    for column in ("estimand", "arm", "value", "plain", "adjusted", "SE", "p difference", "p equivalence"):
        table.add_column(column)
    for column in ("method", "replicates", "verdict", "remark"):
        table.add_column(column)
    for estimate in summary.estimates:
        digits, signed = (0, False) if estimate.kind == "halving_budget" else (3, estimate.kind != "retention")
        table.add_row(
            estimate.name + (" (primary)" if estimate.primary else ""),
            ", ".join(f"{name} {level}" for name, level in estimate.arm.items()) or DASH,
            _number(estimate.value, digits, signed),
            _bounds(estimate.low, estimate.high, signed),
            _bounds(estimate.adjusted_low, estimate.adjusted_high, signed),
            _number(estimate.se),
            _p(estimate.adjusted_p_difference),
            _p(estimate.adjusted_p_equivalence),
            estimate.method,
            str(estimate.replicates),
            estimate.verdict,
            estimate.reason,
        )
    return table


def _table(title: str, first: LevelRow, columns: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in first.arm:
        table.add_column(name)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _arm(row: LevelRow) -> list[str]:
    return [str(level) for level in row.arm.values()]


def _number(value: float, digits: int = 3, signed: bool = False) -> str:
    return DASH if math.isnan(value) else f"{value:{'+' if signed else ''}.{digits}f}"


def _p(value: float) -> str:
    return DASH if math.isnan(value) else ("<0.0001" if value < 0.0001 else f"{value:.4f}")


def _bounds(low: float, high: float, signed: bool) -> str:
    return DASH if math.isnan(low) else f"[{_number(low, 3, signed)}, {_number(high, 3, signed)}]"


def _value(mean: Mean, digits: int = 3) -> str:
    return _number(mean.value, digits)


def _interval(mean: Mean | None, signed: bool = False) -> str:
    if mean is None or math.isnan(mean.value):
        return DASH
    return f"{_number(mean.value, 3, signed)} {_bounds(mean.low, mean.high, signed)}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _code() -> str:
    """Digest of the code that makes a summary: other code may give other numbers."""
    here = Path(__file__).parent
    files = [Path(__file__), *sorted((here / "metrics").glob("*.py")), *sorted((here / "statistics").glob("*.py"))]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()
