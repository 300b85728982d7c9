"""The result store of a study and the xarray view of it; knows no JAX."""

from biasprop.cube.export import export_netcdf
from biasprop.cube.layout import Factor, Layout
from biasprop.cube.store import Damage, Store
from biasprop.cube.view import CubeBackend, open_cube

__all__ = ["CubeBackend", "Damage", "Factor", "Layout", "Store", "export_netcdf", "open_cube"]
