"""Tables of results that others have computed: group, metric, mean, and perhaps the sd and the number of people.

A mean and an sd over seeds or folds say nothing of how precise the mean is for the people of a group, so no interval is
made from them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from biasprop.component import InputError
from biasprop.tables.read import Kind, read_table
from biasprop.tables.source import Source, open_table

NAMES = {
    "group": ("group", "subgroup", "cohort"),
    "metric": ("metric", "measure"),
    "mean": ("mean", "value", "estimate"),
    "sd": ("sd", "std", "stdev"),
}
"""Column -> its names in a table, in lower case."""


def read_aggregate(file: Path) -> pd.DataFrame:
    """Read a table of results.

    Args:
        file: with the columns of :data:`NAMES`, of which ``sd`` may be missing.

    Returns:
        One row per group and metric: ``group``, ``metric``, ``mean`` and ``sd`` (NaN where there is none).

    Raises:
        InputError: the file is no such table, or a cell cannot be used.
    """
    kinds: dict[str, Kind] = {"group": "category", "metric": "category", "mean": "number", "sd": "number"}
    with open_table(file, [name for names in NAMES.values() for name in names]) as source:
        columns = {name: _column(source, name) for name in NAMES}
        if missing := [name for name in ("group", "metric", "mean") if columns[name] is None]:
            raise InputError(
                f"{file}: no column {' or '.join(NAMES[missing[0]])}, so it is no table of results (group, metric, "
                "mean, sd); for a table of predictions give --label, --score and --by"
            )
        table = read_table(file, source, [(name, kinds[one]) for one, name in columns.items() if name is not None])
    found = {}
    for one, name in columns.items():
        if name is None:
            found[one] = np.full(len(table.places), np.nan)
            continue
        column = table.columns[name, kinds[one]]
        found[one] = column.data
        if kinds[one] == "category":
            if (column.data < 0).any():
                raise InputError(f"{table.at(int(np.argmax(column.data < 0)), name)}: is empty")
            found[one] = np.array(column.parser.values, dtype=object)[column.data]
    result = pd.DataFrame(found)
    negative = np.flatnonzero(result["sd"].to_numpy() < 0)
    if len(negative):
        row = int(negative[0])
        raise InputError(f"{table.at(row, str(columns['sd']))}: is {result['sd'][row]:g}; an sd is not negative")
    twice = result.duplicated(["group", "metric"]).to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        what = f"{result['metric'][row]} of {result['group'][row]} is there twice"
        raise InputError(f"{table.at(row, str(columns['group']))}: {what}")
    return result


def _column(source: Source, name: str) -> str | None:
    """Name of the column in the table; None if it has none."""
    lower = {column.lower(): column for column in reversed(source.names)}
    return next((lower[one] for one in NAMES[name] if one in lower), None)
