"""The cube as one netCDF file: ``to_netcdf``, but compressed, whole or not at all, and with clear errors."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import xarray as xr

from biasprop.component import InputError
from biasprop.paths import output_problems, reason, user_path
from biasprop.store import whole_files


def export_netcdf(cube: xr.Dataset, file: str | os.PathLike[str]) -> Path:
    """Write a cube to a netCDF-4 file, whole or not at all; an existing file is replaced, a link is written through.

    Args:
        cube: as :func:`biasprop.open_cube` gives it.
        file: where to; its folder exists.

    Returns:
        The file's absolute path.

    Raises:
        InputError: the folder is missing or cannot be written, or h5netcdf is not installed.
    """
    target = user_path(file).absolute()
    if problems := output_problems(target):
        raise InputError([f"{target}: {problem}" for problem in problems])
    try:
        import h5netcdf  # noqa: F401 - an optional extra: only its presence matters here
    except ImportError:
        raise InputError("--netcdf needs h5netcdf: pip install 'biasprop[netcdf]'") from None
    encoding: dict[Any, dict[str, Any]] = {
        name: {"zlib": True, "complevel": 4} for name, variable in cube.data_vars.items() if variable.size > 1
    }
    content = io.BytesIO()  # HDF5 crashes where a disk is full
    cube.to_netcdf(content, engine="h5netcdf", encoding=encoding)
    try:
        with whole_files.output(target) as whole:
            whole.write_bytes(content.getvalue())
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({reason(error)})") from error
    return target
