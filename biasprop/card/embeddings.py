"""Features of another model, one row per row of TABLE: an .npz, .npy or zarr file, or a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biasprop.audit.columns import LabelledRows
from biasprop.component import InputError
from biasprop.datasets import features
from biasprop.datasets.arrays import array_name


def read_embeddings(file: Path, found: LabelledRows, on: str | None, many: bool) -> NDArray[np.float32]:
    """Read the features of labelled rows.

    Args:
        file: see :func:`biasprop.datasets.features.read`; a file of several arrays has ``:NAME`` behind it.
        found: the rows.
        on: identifier by which the files are joined; None = they have the same rows in the same order.
        many: whether several rows of TABLE may have the same identifier.

    Returns:
        [n, feature], NaN where the file lacks a row.

    Raises:
        InputError: the file cannot be used; names the row and the column, or the array.
    """
    path, name = array_name(str(file))
    known = features.read(path, on, "--on", name)
    # TABLE may have been joined with --metadata.
    rows = known.rows_of(found.rows.tables[0], on, "--on", many)[found.rows.rows[0][found.audited]]
    there = rows >= 0
    values = np.full((len(rows), known.values.shape[1]), np.nan, np.float32)
    values[there] = known.values_of(rows[there])
    if there.any() and not (np.ptp(values[there], axis=0) > 0).any():
        raise InputError(f"{path}: all {int(there.sum()):,} rows have the same features")
    return values
