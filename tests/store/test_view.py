"""The cube as a reader sees it."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.store import ledger
from biasprop.store.layout import Factor
from biasprop.store.metadata import as_attribute, table
from biasprop.store.netcdf import export_netcdf
from biasprop.store.store import Store
from biasprop.store.variables import VARIABLES
from biasprop.store.view import open_cube
from biasprop.study.checks.factors import RESERVED
from tests.store import small

ARM = {"pretraining": "50/50", "labels": 200}


@pytest.fixture
def partial(empty: Store) -> Store:
    """Draws of every status and an open replicate."""
    empty.write(ARM, 0, small.data(ARM, 0), [1, 2, 3], 1.0, {})
    other = {"pretraining": "scratch", "labels": 50}
    empty.write(other, 0, small.data(other, 0), [2, 2, 4], 1.0, {})
    return empty


def test_tables_among_the_attributes_are_json_text() -> None:
    attrs = {name: as_attribute(value) for name, value in {"overrides": {"smoke": True}, "estimands": ["a"]}.items()}
    assert table(attrs, "overrides") == {"smoke": True} and table(attrs, "estimands") == ["a"]
    assert table({"versions": {"jax": "1"}}, "versions") == {"jax": "1"}  # of a cube that was made in memory
    assert table({"ledger": "{"}, "ledger", 0) == 0 and table({"ledger": "1"}, "ledger", []) == []  # damaged
    assert table({}, "ledger") is None


def test_only_finished_draws_are_data(partial: Store) -> None:
    cube = open_cube(partial.path).load()
    at = cube.sel(ARM).isel(replicate=0)
    for name in ("score", "selection_score", "calibration_score"):
        assert np.isfinite(at[name][0]).all() and np.isnan(at[name][1:]).all()
    assert (at.label >= 0).all() and np.isfinite(at.latents).all() and np.isfinite(at.separability_score).all()
    diverged = cube.sel(pretraining="scratch", labels=50).isel(replicate=0)
    assert np.isnan(diverged.score).all() and (diverged.label == -1).all()
    assert all(np.isnan(diverged[f"{name}latents"]).all() for name in ("", "selection_", "calibration_"))
    assert diverged.status.values.tolist() == [2, 2, 4]
    assert np.isfinite(cube.score).sum() == 2 * 40
    assert (cube.status.isel(replicate=1) == 0).all()


def test_settings_that_keep_xarray_from_working_are_not_taken_for_damage(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of dask, which xarray imports."""

    def malformed(*_: object) -> None:
        raise ValueError("A dask config file at 'site.yaml' is malformed, original error message:\n\nline 1")

    monkeypatch.setattr(xr, "Variable", malformed)
    with pytest.raises(InputError, match=r"^dask cannot be imported .*: A dask config file at 'site.yaml' .*: line 1$"):
        open_cube(full.path)


def test_dims_types_and_attributes(full: Store) -> None:
    cube = open_cube(full.path)
    assert tuple(cube.dims) == (
        *("pretraining", "labels", "replicate", "draw", "subgroup", "subject", "latent", "selection", "calibration"),
    )
    assert cube.labels.dtype.kind == "i" and cube.subgroup.values.tolist() == ["light", "dark"]
    assert cube.latent.values.tolist() == ["ita", "severity"]
    for name, variable in VARIABLES.items():
        assert cube[name].dtype == np.dtype(variable.dtype)
        assert cube[name].dims == ("pretraining", "labels", "replicate", *variable.dims)
        assert cube[name].attrs["long_name"] and cube[name].attrs["units"]
    assert cube.attrs["Conventions"] == "CF-1.12" and "created" in cube.attrs["history"]
    for name in ("study", "digest", "numerics", "title", "question"):
        assert cube.attrs[name] == small.ATTRS[name]
    assert json.loads(cube.attrs["versions"]) == small.ATTRS["versions"] and "commit" not in cube.attrs
    assert datetime.fromisoformat(cube.attrs["date_created"]).tzinfo
    assert not any("biasprop" in name for name in cube.attrs)


def test_no_factor_can_have_the_name_of_a_variable(full: Store) -> None:
    cube = open_cube(full.path)
    assert {*cube.data_vars, *cube.dims, *cube.coords} - {"pretraining", "labels"} <= RESERVED


def test_values_are_read_when_used(full: Store) -> None:
    cube = open_cube(full.path)
    assert not cube.score.variable._in_memory
    full.write(ARM, 0, small.data(ARM, 0) | {"label": np.zeros(40, "i1")}, [1, 1, 1], 1.0, {})
    assert (cube.label.sel(ARM)[0] == 0).all()


@pytest.mark.parametrize(
    "pick",
    [
        {"replicate": 1, "draw": 2, "subgroup": 0},
        {"labels": slice(None, None, -1), "subject": slice(None, None, -3)},
        {"pretraining": [2, 0], "replicate": [1], "draw": [2, 1], "subject": [5, 5, 1]},
        {"pretraining": -1, "subject": slice(3, 30, 4)},
        {"replicate": slice(0, 0)},
    ],
)
def test_indexing_agrees_with_memory(partial: Store, pick: dict) -> None:
    memory = open_cube(partial.path).load()
    xr.testing.assert_identical(open_cube(partial.path).isel(pick).load(), memory.isel(pick))


def test_vectorised_indexing_agrees_with_memory(partial: Store) -> None:
    points = {"pretraining": xr.DataArray([1, 1, 2], dims="point"), "labels": xr.DataArray([1, 0, 0], dims="point")}
    memory = open_cube(partial.path).load()
    xr.testing.assert_identical(open_cube(partial.path).isel(points).load(), memory.isel(points))


def test_unknown_levels_are_bad_input(full: Store) -> None:
    with pytest.raises(InputError, match="no level 'dark'"):
        open_cube(full.path, {"pretraining": ["dark"], "labels": [50]})
    with pytest.raises(InputError, match="factors"):
        open_cube(full.path, {"labels": [50]})


def test_mixed_labels_become_text(tmp_path: Path) -> None:
    layout = small.layout()
    mixed = Factor("labels", ((50, "50"), ("all", '"all"')))
    layout = type(layout)(**{**vars(layout), "factors": (layout.factors[0], mixed)})
    Store.create_or_grow(tmp_path / "store", layout, small.ATTRS)
    assert open_cube(tmp_path / "store").labels.values.tolist() == ["50", "all"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("how", [{}, {"consolidated": False}, {"chunks": None}], ids=str)
@pytest.mark.parametrize("state", ["finished", "partly finished", "grown"])
def test_plain_xarray_sees_the_labelled_cube(full: Store, state: str, how: dict) -> None:
    """Without a warning, and with the coordinates, types and attributes of the masked view."""
    if state == "partly finished":
        full.write(ARM, 1, {}, [3, 3, 3], 1.0, {})
    elif state == "grown":
        layout = small.layout((*small.MIXES, "all dark"), (50, 200, 0.5), replicates=3)
        Store.create_or_grow(full.path, replace(layout, draws=4), small.ATTRS)
    plain, cube = xr.open_zarr(full.path / "cube.zarr", **how).load(), open_cube(full.path).load()
    unplanned = (cube.status == 4) & (plain.status == 0)  # a draw that the store got after the arm was written
    assert unplanned.any() == (state == "grown")
    xr.testing.assert_equal(plain.assign(status=xr.where(unplanned, np.int8(4), plain.status)), cube)
    assert {*plain.coords} == {*cube.coords} >= {"share", "objective", "pretraining", "replicate", "latent"}
    assert plain.labels.dtype.kind == ("f" if state == "grown" else "i") and plain.subgroup.values.tolist()
    for name, variable in VARIABLES.items():
        assert plain[name].dtype == np.dtype(variable.dtype) and plain[name].attrs["long_name"], name
    assert plain.label.attrs["flag_meanings"] == "absent healthy disease"
    assert np.isnan(plain.share.sel(pretraining="scratch")).all()
    assert plain.attrs["Conventions"] == "CF-1.12" and plain.attrs["title"] == "Small"
    assert plain.attrs["date_created"] == cube.attrs["date_created"]


def test_missing_texts_and_numbers_of_coordinates(tmp_path: Path) -> None:
    coords = {
        "objective": (("pretraining",), ["contrastive", None, "scratch"]),
        "cohort_size": (("pretraining",), [100, None, float("nan")]),
    }
    store = Store.create_or_grow(tmp_path / "store", replace(small.layout(), coords=coords), small.ATTRS)
    for cube in (open_cube(store.path), xr.open_zarr(store.path / "cube.zarr")):
        assert cube.objective.values.tolist() == ["contrastive", "", "scratch"]
        np.testing.assert_array_equal(cube.cohort_size, [100, np.nan, np.nan])


def test_the_folder_the_group_and_the_home_folder(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(full.path.parent))
    cube = open_cube(full.path)
    for path in (str(full.path), full.path / "cube.zarr", "~/store", "~/store/cube.zarr/"):
        xr.testing.assert_identical(open_cube(path), cube)


def test_netcdf_round_trip(partial: Store, tmp_path: Path) -> None:
    cube = open_cube(partial.path)
    file = export_netcdf(cube, tmp_path / "cube.nc")
    export_netcdf(cube, file)
    with xr.open_dataset(file, engine="h5netcdf") as back:
        back.load()
    xr.testing.assert_equal(back, cube)
    assert all(back[name].dtype == cube[name].dtype for name in cube.data_vars)
    assert back.attrs == cube.attrs and '"margin"' in back.attrs["estimands"]
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["cube.nc"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("open_plain", [True, False])
def test_to_netcdf_needs_no_help(partial: Store, tmp_path: Path, open_plain: bool) -> None:
    """Strings, NaN and dates survive, also long texts."""
    ledger.write(partial.path, {"entries": ["x" * 100_000]})
    layout = replace(small.layout(), coords=small.layout().coords | {"note": (("pretraining",), ["\u00e9", None, ""])})
    Store.create_or_grow(partial.path, layout, small.ATTRS | {"study": "# " + "\u00fc" * 100_000})
    cube = xr.open_zarr(partial.path / "cube.zarr") if open_plain else open_cube(partial.path)
    cube.to_netcdf(tmp_path / "cube.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "cube.nc", engine="h5netcdf") as back:
        back.load()
    xr.testing.assert_equal(back, cube)
    assert {*back.coords} == {*cube.coords} and back.attrs == cube.attrs
    assert back.note.values.tolist() == ["\u00e9", "", ""] and back.pretraining.values.tolist() == [*small.MIXES]
    assert datetime.fromisoformat(back.attrs["date_created"])
    assert all(back[name].dtype == cube[name].dtype for name in cube.data_vars)


def test_netcdf_without_a_place_is_bad_input(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = open_cube(full.path)
    with pytest.raises(InputError, match="there is no folder"):
        export_netcdf(cube, tmp_path / "nowhere" / "cube.nc")
    with pytest.raises(InputError, match="folder"):
        export_netcdf(cube, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5netcdf", None)
    with pytest.raises(InputError, match=r"pip install 'biasprop\[netcdf\]'"):
        export_netcdf(cube, tmp_path / "cube.nc")
