"""The cube as one netCDF file: ``to_netcdf``, but compressed, whole or not at all, and with clear errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xarray as xr

from biasprop.component import InputError


def export_netcdf(cube: xr.Dataset, file: str | os.PathLike[str]) -> Path:
    """Write a cube to a netCDF-4 file, whole or not at all; an existing file is replaced.

    Args:
        cube: as :func:`biasprop.open_cube` gives it.
        file: where to; its folder exists.

    Returns:
        The file's absolute path.

    Raises:
        InputError: the folder is missing or cannot be written, or h5netcdf is not installed.
    """
    target = Path(file).absolute()
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise InputError(f"{target}: this is a folder; name a file")
    try:
        import h5netcdf  # noqa: F401 - an optional extra: only its presence matters here
    except ImportError:
        raise InputError("--netcdf needs h5netcdf: pip install 'biasprop[netcdf]'") from None
    encoding: dict[Any, dict[str, Any]] = {
        name: {"zlib": True, "complevel": 4} for name, variable in cube.data_vars.items() if variable.size > 1
    }
    aside = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        cube.to_netcdf(aside, engine="h5netcdf", encoding=encoding)
        os.replace(aside, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        aside.unlink(missing_ok=True)
    return target
