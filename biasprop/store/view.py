"""The store as an xarray dataset: named dims, levels in the study's order, and only finished draws visible."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from biasprop.component import InputError
from biasprop.status import Status
from biasprop.store import ledger, zarr_arrays
from biasprop.store.layout import Label, Layout
from biasprop.store.store import Store
from biasprop.store.variables import DATA, VARIABLES


def open_cube(
    path: str | os.PathLike[str],
    study_levels: Mapping[str, Sequence[Label]] | None = None,
    replicates: int | None = None,
) -> xr.Dataset:
    """Open a result store for reading.

    Args:
        path: the store's folder.
        study_levels: factor -> labels to show, in this order. Without it every stored level is shown: first those of
            the study as it was last run, in its order, then levels the study no longer has.
        replicates: show the first so many; all without it.

    Returns:
        A dataset whose dims are the factors, ``replicate``, ``draw``, ``subgroup``, ``subject``, ``latent``,
        ``selection`` and ``calibration``. Values are read when they are used. Scores of draws whose status is not 1
        are NaN, integers of arms without a finished draw -1: what is unfinished, diverged or failed is never data.
        Its attribute ``ledger``, where the store has one, holds the rows of the difficulty ledger.

    Raises:
        InputError: there is no store, it is damaged or of a later format, or it lacks a factor or level asked for;
            on reading, an arm's file is damaged.
    """
    return xr.open_dataset(os.fspath(path), engine=CubeBackend, study_levels=study_levels, replicates=replicates)


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
    ) -> xr.Dataset:
        """See :func:`open_cube`."""
        store = Store.open(filename_or_obj, writable=False)
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        try:
            return _dataset(store, study_levels, replicates, dropped)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"{store.path}: the store's metadata is damaged ({why})") from error

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never by guessing: a store is opened by name."""
        return False


def _dataset(
    store: Store, study_levels: Mapping[str, Sequence[Label]] | None, replicates: int | None, dropped: set[str]
) -> xr.Dataset:
    levels = study_levels or _levels(store)
    try:
        shown = store.layout.select(levels, replicates)
    except KeyError as error:
        raise InputError(f"{store.path}: {error.args[0]}") from None
    places = _places(store.layout, shown)
    status = store.status()[np.ix_(*places)].transpose(*_axes(store.layout, shown), -1)
    variables = {}
    for name in [name for name in VARIABLES if name not in dropped]:
        valid = status == Status.OK if name in DATA else None
        array = _ArmArray(store, name, shown, places, valid)
        variables[name] = (
            (*shown.dims, *VARIABLES[name].dims),
            status if name == "status" else indexing.LazilyIndexedArray(array),
            {"long_name": VARIABLES[name].long_name, "units": "1", **VARIABLES[name].attrs},
        )
    attrs = {name: value for name, value in store.attrs.items() if name != zarr_arrays.OWN}
    if (told := ledger.read(store.path)) is not None:
        attrs["ledger"] = told
    return xr.Dataset(variables, coords=_coords(shown), attrs=attrs)


class _ArmArray(BackendArray):
    """One variable in the order shown, read arm by arm from the store's arrays and masked by status."""

    def __init__(
        self, store: Store, name: str, shown: Layout, places: list[np.ndarray], valid: np.ndarray | None
    ) -> None:
        variable = VARIABLES[name]
        self.array: zarr.Array = store.array(name)
        self.path, self.name, self.variable, self.layout, self.shown = store.path, name, variable, store.layout, shown
        self.places, self.valid = places, valid
        self.dtype = np.dtype(variable.dtype)
        self.shape = shown.shape + variable.shape(shown.sizes)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        chosen = [np.atleast_1d(np.arange(size)[k]) for size, k in zip(self.shape, key, strict=True)]
        outer, inner = chosen[: len(self.shown.shape)], chosen[len(self.shown.shape) :]
        valid = None
        if self.valid is not None:
            draws = [inner[0]] if self.variable.dims[0] == "draw" else [np.arange(self.valid.shape[-1])]
            valid = self.valid[np.ix_(*outer, *draws)]
        axes = _axes(self.layout, self.shown)
        back = np.argsort(axes)
        places = [self.places[axis][outer[view]] for axis, view in enumerate(back)]
        stored = None if valid is None else np.any(valid, axis=-1, keepdims=True)[..., 0].transpose(*back)
        values = self._arms(places, inner, stored)
        values = values.transpose(*axes, *range(len(axes), values.ndim))
        if valid is not None:
            kept = valid if self.variable.dims[0] == "draw" else valid.any(-1)
            kept = kept.reshape(kept.shape + (1,) * (values.ndim - kept.ndim))
            values = np.where(kept, values, self.dtype.type(self.variable.absent))
        return values[tuple(0 if np.ndim(k) == 0 and not isinstance(k, slice) else slice(None) for k in key)]

    def _arms(self, places: list[np.ndarray], inner: list[np.ndarray], stored: np.ndarray | None) -> np.ndarray:
        """Read the arms at these places; where one cannot be read, find out whether it matters and which it is."""
        within = tuple(_slice(k) for k in inner)
        try:
            return np.asarray(self.array.oindex[(*(_slice(k) for k in places), *within)])
        except zarr_arrays.UNREADABLE:
            shape = tuple(len(k) for k in (*places, *inner))
            values = np.full(shape, self.variable.absent, self.dtype)
            for at in np.ndindex(*shape[: len(places)]):
                index = tuple(int(k[i]) for k, i in zip(places, at, strict=True))
                if stored is None or stored[at]:
                    values[at] = self._arm(index)[np.ix_(*inner)]
            return values

    def _arm(self, index: tuple[int, ...]) -> np.ndarray:
        try:
            return zarr_arrays.read(self.array, index, self.variable.shape(self.layout.sizes))
        except zarr_arrays.UNREADABLE as error:
            arm, replicate = self.layout.arm(index)
            raise InputError(
                f"{self.path}: {self.name} of {arm}, replicate {replicate}, is damaged on disk; "
                "call verify() of its biasprop.store.store.Store, then run the study again"
            ) from error


def _slice(positions: np.ndarray) -> slice | np.ndarray:
    """The same positions as a slice where they are consecutive, which zarr reads faster."""
    if len(positions) and (np.diff(positions) == 1).all():
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _levels(store: Store) -> dict[str, list[Label]]:
    view: dict[str, list[Label]] = dict(store.attrs[zarr_arrays.OWN].get("view", []))
    names = [name for name in view if name in store.layout.dims]
    names += [factor.name for factor in store.layout.factors if factor.name not in names]
    levels = {}
    for name in names:
        stored = store.layout.factor(name).labels
        first = [label for label in view.get(name, []) if label in stored]
        levels[name] = first + [label for label in stored if label not in first]
    return levels


def _places(stored: Layout, shown: Layout) -> list[np.ndarray]:
    """For each dim of the store, where the levels shown lie along it."""
    places = [
        np.array([factor.position(label) for label in shown.factor(factor.name).labels], int)
        for factor in stored.factors
    ]
    return [*places, np.arange(shown.replicates)]


def _axes(stored: Layout, shown: Layout) -> list[int]:
    """For each dim shown, its axis in the store."""
    return [stored.dims.index(dim) for dim in shown.dims]


def _coords(shown: Layout) -> dict[str, Any]:
    coords: dict[str, Any] = {}
    for factor in shown.factors:
        labels = factor.labels
        numeric = all(isinstance(label, int | float) for label in labels)
        values = np.array(labels) if numeric and labels else np.array([str(label) for label in labels])
        coords[factor.name] = (factor.name, values, {"long_name": f"level of the factor {factor.name}"})
    coords["replicate"] = ("replicate", np.arange(shown.replicates), {"long_name": "replicate"})
    coords["draw"] = ("draw", np.arange(shown.draws), {"long_name": "draw of the fine-tuning subjects"})
    coords["subgroup"] = ("subgroup", np.array(shown.subgroups), {"long_name": "subgroup"})
    coords["latent"] = ("latent", np.array(shown.latents), {"long_name": "latent of the generator"})
    for name, (dims, values) in shown.coords.items():
        coords[name] = (dims, _coord_values(values), {"long_name": name})
    return coords


def _coord_values(values: Any) -> np.ndarray:
    flat = np.array(values, object)
    if all(item is None or isinstance(item, int | float) for item in flat.ravel()):
        return flat.astype(float)
    return np.vectorize(lambda item: "" if item is None else str(item), otypes=[str])(flat)
