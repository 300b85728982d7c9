"""The result store of a study and the xarray view of it; knows no JAX.

xarray is imported when the view is asked for: workers and a run that finds nothing to do need only the store.
"""

from typing import TYPE_CHECKING, Any

from biasprop.cube.integrity import Damage
from biasprop.cube.layout import Factor, Layout
from biasprop.cube.store import Store

if TYPE_CHECKING:
    from biasprop.cube.export import export_netcdf
    from biasprop.cube.view import CubeBackend, open_cube

__all__ = ["CubeBackend", "Damage", "Factor", "Layout", "Store", "export_netcdf", "open_cube"]


def __getattr__(name: str) -> Any:
    if name in ("CubeBackend", "open_cube"):
        from biasprop.cube import view

        return getattr(view, name)
    if name == "export_netcdf":
        from biasprop.cube.export import export_netcdf

        return export_netcdf
    raise AttributeError(name)
