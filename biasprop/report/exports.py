"""A study's cube and estimates as files of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biasprop.observers.ledger import Entry
    from biasprop.study.study import Study


def export(
    study: Study, store: Path, entries: Sequence[Entry], *, netcdf: Path | None = None, csv: Path | None = None
) -> None:
    """Write the cube as netCDF and all estimates as CSV, each if a file is given.

    Args:
        study: whose store.
        store: folder of the cube.
        entries: of its difficulty ledger.
        netcdf: file of the cube.
        csv: file of the estimates.
    """
    from biasprop.report import results

    if netcdf:
        from biasprop.store.netcdf import export_netcdf

        export_netcdf(results.open_study_cube(study, store), netcdf)
    if csv:
        from biasprop.report import tidy_table

        summary = results.summarise(study, results.open_study_cube(study, store).load(), entries)
        tidy_table.write_csv(tidy_table.tabulated(summary), csv)
