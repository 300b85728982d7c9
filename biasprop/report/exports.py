"""A study's cube and estimates as files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biasprop.report.results import Report


def export(report: Report, *, netcdf: Path | None = None, csv: Path | None = None) -> None:
    """Write the cube as netCDF and all estimates as CSV, each if a file is given.

    Args:
        report: of the store.
        netcdf: file of the cube.
        csv: file of the estimates.
    """
    if netcdf:
        from biasprop.store.netcdf import export_netcdf

        export_netcdf(report.cube, netcdf)
    if csv:
        from biasprop.report import tidy_table

        tidy_table.write_csv(tidy_table.tabulated(report.summary), csv)
