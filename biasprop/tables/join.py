"""Rows of two tables that belong together, by a key."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError
from biasprop.tables.read import Table


class Join(NamedTuple):
    """Which rows of a second table belong to those of a first one."""

    rows: NDArray[np.int64]
    """[row of the first], row of the second; -1 = none."""
    unused: int
    """Rows of the second table that no row of the first has."""


def joined(first: Table, second: Table, key: str, many: bool = False) -> Join:
    """Find the row of a second table for each row of a first one.

    Args:
        first, second: have the column ``key`` as a key.
        key: name of the column.
        many: whether several rows of ``first`` may have the same key.

    Raises:
        InputError: a key is there twice, or no key is in both tables.
    """
    ours, theirs = (table.columns[key, "key"].data for table in (first, second))
    if not many:
        refuse_repeated(first, key)
    refuse_repeated(second, key)
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs, ours, sorter=order), len(theirs) - 1)
    rows = np.where(theirs[order[place]] == ours, order[place], -1)
    if not (rows >= 0).any():
        raise InputError(f"{first.at(0, key)}: no value of this column is in {second.file}, nor is any other one of it")
    return Join(rows, len(theirs) - len(np.unique(rows[rows >= 0])))


def refuse_repeated(table: Table, key: str) -> None:
    """Check that a key differs in every row.

    Args:
        table: has the column ``key`` as a key.
        key: name of the column.

    Raises:
        InputError: two rows have the same; names the first that repeats one.
    """
    values = table.columns[key, "key"].data
    order = np.argsort(values, kind="stable")
    same = np.flatnonzero(np.diff(values[order]) == 0)
    if len(same):
        again = order[same + 1]
        earliest = again.argmin()
        before = table.places[order[same[earliest]]]
        more = f" ({len(same):,} rows repeat one)" if len(same) > 1 else ""
        raise InputError(f"{table.at(int(again[earliest]), key)}: is the same as in {table.unit} {before}{more}")
