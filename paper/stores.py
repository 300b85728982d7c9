"""Where the stores of studies lie: the only place that knows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from biasprop.store.provenance import Provenance as Provenance
from biasprop.store.provenance import in_words as in_words
from biasprop.store.provenance import provenance as provenance

if TYPE_CHECKING:
    import xarray as xr

METADATA = ("zarr.json", "cube.zarr/zarr.json")
"""What a folder holds that is a store; its time of change is the store's age."""


def newest(results: Path, name: str | None = None) -> dict[Path, xr.Dataset]:
    """The newest store of each study, by name, with its cube.

    Unless a store is named outright, only those count that were run as their study file says: no smoke runs, nothing
    overridden (a named scale of the file is part of it).

    Args:
        results: folder of stores.
        name: a study's name, or the name of a store's folder; None for all studies.

    Raises:
        InputError: there is none, or the one that is named cannot be read.
    """
    from biasprop.component import InputError
    from biasprop.store.view import open_cube

    found: dict[str, tuple[Path, xr.Dataset]] = {}
    for store in folders(results):
        stem = stem_of(store)
        if name not in (None, stem, store.name):
            continue
        try:
            cube = open_cube(store)
        except InputError as error:  # such as a store of an earlier format
            if name is not None:
                raise
            print(f"left out: {error}", file=sys.stderr)
            continue
        if name == store.name or not overridden(cube):
            found[stem] = store, cube
    if not found:
        which = f"of {name!r}" if name else "of any study"
        raise InputError(f"{results}: there is no store {which}; run `python -m biasprop.run STUDY` first")
    return dict(found[stem] for stem in sorted(found))


def overridden(cube: xr.Dataset) -> bool:
    """Whether a store was run other than its study file says: as a smoke run or with ``--set``."""
    from biasprop.store.metadata import table

    overrides = table(cube.attrs, "overrides", {})
    return bool(overrides.get("smoke") or overrides.get("set"))


def folders(results: Path) -> list[Path]:
    """The stores in a folder, oldest first."""
    ages = {
        folder: file.stat().st_mtime
        for folder in results.glob("*-*")
        for file in (folder / metadata for metadata in METADATA)
        if file.is_file()
    }
    return sorted(ages, key=lambda folder: (ages[folder], folder.name))


def stem_of(store: Path) -> str:
    """Name of the study of a store."""
    return store.name.rpartition("-")[0]
