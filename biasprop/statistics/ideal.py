"""The ideal observer of every arm and subgroup, read from a cube's difficulty ledger."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from biasprop.statistics.difficulty import Ledger


def ideal_z(cube: xr.Dataset) -> xr.DataArray:
    """z of the ideal observer of every subgroup where it is known exactly.

    Args:
        cube: as ``biasprop.open_cube`` gives it; its attribute ``ledger`` has the difficulty ledger of each generator,
            and the levels of factors that it is of.

    Returns:
        [factors, subgroup]; NaN where there is no exact row, or the ledger is not of the arm's test set.
    """
    factors = [str(name) for name in cube["status"].dims if name not in ("replicate", "draw")]
    coords = {name: cube[name].values for name in (*factors, "subgroup")}
    found = xr.DataArray(np.full([len(values) for values in coords.values()], np.nan), coords, list(coords))
    for where, ledger in _stored_ledgers(cube):
        # Numbers are text in the coord of a factor that also has names.
        at = {
            name: [level for level in coords[name].tolist() if level in labels or level in map(str, labels)]
            for name, labels in where.items()
        }
        for row in ledger.rows:
            if row.kind == "exact" and row.subgroups[0] in coords["subgroup"].tolist():
                found.loc[at | {"subgroup": row.subgroups[0]}] = row.z
    return found


def _stored_ledgers(cube: xr.Dataset) -> list[tuple[dict[str, list[Any]], Ledger]]:
    """Ledgers of a cube's attribute that apply to the whole of their arms, with the levels they are of; none if the
    attribute is missing or damaged."""
    try:
        entries = json.loads(cube.attrs["ledger"])["entries"]
        stored = [(dict(entry["where"]), Ledger.from_json(entry)) for entry in entries if not entry.get("note")]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    return [(where, ledger) for where, ledger in stored if where.keys() <= set(cube.dims)]
