"""The store as an xarray dataset: the study as it was last run, in its order, and only finished draws visible.

Plain ``xr.open_zarr(path / "cube.zarr")`` opens the same arrays and coordinates in the store's order, unmasked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from biasprop.component import InputError
from biasprop.status import Status
from biasprop.store import group, ledger, metadata
from biasprop.store.coordinates import coordinates
from biasprop.store.layout import Label, left_out
from biasprop.store.store import Store
from biasprop.store.variables import DATA, VARIABLES
from biasprop.terminal import one_line

LEFT_OUT = "left_out"
"""The attribute that names stored levels and replicates that are not shown, JSON text; absent if all are."""


def open_cube(
    path: str | os.PathLike[str],
    study_levels: Mapping[str, Sequence[Label]] | None = None,
    replicates: int | None = None,
    *,
    everything: bool = False,
) -> xr.Dataset:
    """Open a result store for reading.

    It shows the study as it was last run, like every report of the store: levels and replicates that the study no
    longer has stay in the store and are named by the attribute ``left_out``.

    Args:
        path: the store's folder ``results/<study>-<digest>``, or ``cube.zarr`` in it; ``~`` is the home folder.
        study_levels: factor -> labels to show, in this order; by default those of the study as it was last run.
        replicates: show the first so many; by default those of the study as it was last run.
        everything: by default show every stored level and replicate: first the levels of the study, in its order.

    Returns:
        A dataset whose dims are the factors, ``replicate``, ``draw``, ``subgroup``, ``subject``, ``latent``,
        ``selection`` and ``calibration``. Values are read when they are used. Scores of draws whose status is not 1
        are NaN, integers of arms without a finished draw -1: what is unfinished, diverged or failed is never data.
        Attributes are text and numbers, so ``to_netcdf`` can write the dataset; ``overrides``, ``versions``,
        ``estimands``, ``ledger`` (rows of the difficulty ledger, where the store has them) and ``left_out`` (factor ->
        stored levels that are not shown, ``replicate`` -> numbers of replicates; where there are any) are JSON text.

    Raises:
        InputError: there is no store, it is damaged or of another format, or it lacks a factor or level asked for;
            on reading, an arm's file is damaged.
    """
    return xr.open_dataset(
        os.fspath(path), engine=CubeBackend, study_levels=study_levels, replicates=replicates, everything=everything
    )


class CubeBackend(BackendEntrypoint):
    """How xarray opens a store: ``xr.open_dataset(path, engine=CubeBackend)``."""

    description = "Result stores of biasprop"

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Sequence[str] | None = None,
        study_levels: Mapping[str, Sequence[Label]] | None = None,
        replicates: int | None = None,
        everything: bool = False,
    ) -> xr.Dataset:
        """See :func:`open_cube`."""
        store = Store.open(filename_or_obj, writable=False)
        _check_that_xarray_works()
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        try:
            last_levels, last_replicates = _everything(store) if everything else _last_run(store)
            shown = last_replicates if replicates is None else replicates
            return _dataset(store, study_levels or last_levels, shown, dropped)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"{store.path}: the store's metadata is damaged ({why})") from error

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never by guessing: a store is opened by name."""
        return False


def _check_that_xarray_works() -> None:
    """Raise InputError if xarray cannot make a variable: it imports dask, which reads the user's settings of dask."""
    try:
        xr.Variable((), 0)
    except ValueError as error:
        raise InputError(f"dask cannot be imported with its settings on this machine: {one_line(error)}") from error


def _dataset(store: Store, order: Mapping[str, Sequence[Label]], replicates: int, dropped: set[str]) -> xr.Dataset:
    dims = store.layout.dims
    try:
        if set(order) != set(dims[:-1]):
            raise KeyError(f"the cube has the factors {dims[:-1]}, not {tuple(order)}")
        factors = {name: store.layout.factor(name) for name in order}
        chosen = {name: [factors[name].position(label) for label in labels] for name, labels in order.items()}
    except KeyError as error:
        raise InputError(f"{store.path}: {error.args[0]}") from None
    status = store.status()
    variables = {}
    for name in [name for name in VARIABLES if name not in dropped]:
        values = status if name == "status" else indexing.LazilyIndexedArray(_ArmArray(store, name, status))
        variables[name] = ((*dims, *VARIABLES[name].dims), values, VARIABLES[name].attributes)
    attrs = {name: value for name, value in store.attrs.items() if name != metadata.OWN}
    if (entries := ledger.read(store.path)) is not None:
        attrs["ledger"] = metadata.as_attribute(entries)
    if beyond := left_out(store.layout, order, replicates):
        attrs[LEFT_OUT] = metadata.as_attribute(beyond)
    cube = xr.Dataset(variables, coords=coordinates(store.layout), attrs=attrs)
    cube = cube.isel({name: _slice(np.array(places, int)) for name, places in chosen.items()})
    cube = cube.isel(replicate=slice(0, replicates))
    return cube if (*chosen, "replicate") == dims else cube.transpose(*chosen, "replicate", ...)


class _ArmArray(BackendArray):
    """One variable in the store's order, read lazily; absent where its draw, or every draw of its arm, is not OK."""

    def __init__(self, store: Store, name: str, status: np.ndarray) -> None:
        self.store, self.name, self.variable, self.array = store, name, VARIABLES[name], store.array(name)
        self.dtype, self.shape = np.dtype(self.variable.dtype), self.array.shape
        self.valid = np.ones(store.layout.shape, bool)
        if name in DATA:
            ok = status == Status.OK
            self.valid = ok if self.variable.dims[0] == "draw" else ok.any(-1)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        chosen = [np.atleast_1d(np.arange(size)[k]) for size, k in zip(self.shape, key, strict=True)]
        valid = self.valid[np.ix_(*chosen[: self.valid.ndim])]
        values = self._stored(chosen, valid)
        valid = valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim))
        values = np.where(valid, values, self.dtype.type(self.variable.absent))
        return values[tuple(0 if np.ndim(k) == 0 and not isinstance(k, slice) else slice(None) for k in key)]

    def _stored(self, chosen: list[np.ndarray], valid: np.ndarray) -> np.ndarray:
        """Values at these positions of every dim; where they cannot be read, only of the arms that matter."""
        try:
            return np.asarray(self.array.oindex[tuple(map(_slice, chosen))])
        except group.UNREADABLE:
            arms = len(self.store.layout.shape)
            values = np.full([len(k) for k in chosen], self.variable.absent, self.dtype)
            for at in np.argwhere(valid.reshape(*valid.shape[:arms], -1).any(-1)):
                index = tuple(int(k[i]) for k, i in zip(chosen, at, strict=False))
                values[tuple(at)] = self._arm(index)[np.ix_(*chosen[arms:])]
            return values

    def _arm(self, index: tuple[int, ...]) -> np.ndarray:
        try:
            return np.asarray(self.array[index])
        except group.UNREADABLE as error:
            arm, replicate = self.store.layout.arm(index)
            raise InputError(
                f"{self.store.path}: {self.name} of {arm}, replicate {replicate}, is damaged on disk; "
                "call verify() of its biasprop.store.store.Store, then run the study again"
            ) from error


def _slice(positions: np.ndarray) -> slice | np.ndarray:
    """The same positions as a slice where they are consecutive, which zarr reads faster."""
    if len(positions) and (np.diff(positions) == 1).all():
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _last_run(store: Store) -> tuple[dict[str, list[Label]], int]:
    """Levels and replicates of the study as it was last run."""
    own, layout = json.loads(store.attrs[metadata.OWN]), store.layout
    levels = {str(name): list(labels) for name, labels in own["view"]}
    known = {factor.name: factor.labels for factor in layout.factors}
    if levels.keys() != known.keys() or not all(label in known[name] for name in known for label in levels[name]):
        raise ValueError("its view names other factors or levels than it has")
    return levels, min(int(own.get("view_replicates", layout.replicates)), layout.replicates)


def _everything(store: Store) -> tuple[dict[str, list[Label]], int]:
    """Every stored level, those of the study as it was last run first, in its order; every replicate."""
    first, _ = _last_run(store)
    stored = {name: store.layout.factor(name).labels for name in first}
    others = {name: [label for label in labels if label not in first[name]] for name, labels in stored.items()}
    return {name: [*first[name], *others[name]] for name in first}, store.layout.replicates
