"""A store grows by levels and replicates without touching what it has, and refuses what cannot be."""

import json
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.store import json_cache, metadata
from biasprop.store.layout import Factor, Layout, level_differences
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from tests.store import small

GROWN = small.layout(("all dark", "all light", "50/50", "scratch"), (20, 50, 200), replicates=3)
RETYPED = small.layout(("all dark", "all light", "50/50", "scratch"), (0.5, 50, 200), replicates=3)
"""A growth that turns the integers of a coordinate into other numbers."""


def test_growth_keeps_every_byte(full: Store) -> None:
    before = small.files(full.path)
    store = Store.create_or_grow(full.path, GROWN, small.ATTRS)
    grown = small.files(store.path)
    assert grown.items() >= before.items()
    added = {Path(name).parts[0] for name in grown.keys() - before.keys()}
    assert added == {"pretraining", "labels", "share", "objective"}, "coordinates"
    assert store.layout.shape == (4, 3, 3)
    status = store.status()
    for arm, replicate in small.arms(full):
        assert (status[store.index(arm, replicate)] == 1).all()
    assert (status == 1).all(-1).sum() == len(small.arms(full))
    small.fill(store)
    assert small.files(store.path).items() >= before.items()
    assert not store.verify()


def test_cube_is_in_the_studys_order(full: Store) -> None:
    small.fill(Store.create_or_grow(full.path, GROWN, small.ATTRS))
    cube = open_cube(full.path)
    assert cube.pretraining.values.tolist() == ["all dark", "all light", "50/50", "scratch"]
    assert cube.labels.values.tolist() == [20, 50, 200]
    np.testing.assert_array_equal(cube.share.sel(subgroup="light"), [0.0, 1.0, 0.5, np.nan])
    assert cube.objective.values.tolist() == ["contrastive"] * 3 + ["scratch"]
    for mix in cube.pretraining.values:
        for labels in cube.labels.values:
            arm = {"pretraining": str(mix), "labels": int(labels)}
            np.testing.assert_array_equal(cube.score.sel(arm)[2], small.data(arm, 2)["score"])


def test_reordered_factors_are_transposed(full: Store) -> None:
    layout = small.layout()
    Store.create_or_grow(full.path, replace(layout, factors=layout.factors[::-1]), small.ATTRS)
    cube = open_cube(full.path)
    assert cube.score.dims[:3] == ("labels", "pretraining", "replicate")
    arm = {"pretraining": "scratch", "labels": 50}
    np.testing.assert_array_equal(cube.score.sel(arm)[1], small.data(arm, 1)["score"])
    np.testing.assert_array_equal(
        cube.score[1:, ::-1, 0, 1].values[0, 0], small.data(arm | {"labels": 200}, 0)["score"][1]
    )


def test_smaller_study_is_a_view(full: Store) -> None:
    store = Store.create_or_grow(full.path, small.layout(("50/50",), (200,), 1), small.ATTRS)
    assert store.layout.shape == (3, 2, 2)
    everything = open_cube(full.path, everything=True)
    assert everything.pretraining.values.tolist() == ["50/50", "all light", "scratch"]
    assert everything.labels.values.tolist() == [200, 50] and everything.sizes["replicate"] == 2
    cube = open_cube(full.path)
    xr.testing.assert_identical(cube, open_cube(full.path, {"pretraining": ["50/50"], "labels": [200]}, replicates=1))
    assert json.loads(cube.attrs["left_out"]) == {
        "pretraining": ["all light", "scratch"],
        "labels": [50],
        "replicate": [1],
    }
    assert "left_out" not in everything.attrs
    assert cube.score.shape[:3] == (1, 1, 1)
    np.testing.assert_array_equal(cube.score[0, 0, 0], small.data({"pretraining": "50/50", "labels": 200}, 0)["score"])
    np.testing.assert_array_equal(cube.share, [[0.5, 0.5]])


def test_a_read_only_store_shows_fewer_replicates(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what it says of the last run stays as it was; growth, and another study text, have to be written."""

    def read_only(store: Path, files: metadata.Files) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(metadata, "write", read_only)
    fewer = small.layout(replicates=1)
    assert Store.create_or_grow(full.path, fewer, small.ATTRS).layout.replicates == 2
    assert open_cube(full.path).sizes["replicate"] == 2
    levels = {factor.name: factor.labels for factor in fewer.factors}
    assert json.loads(open_cube(full.path, levels, 1).attrs["left_out"]) == {"replicate": [1]}
    for layout, attrs in ((small.layout(replicates=3), {}), (fewer, {"study": "another"})):
        with pytest.raises(InputError, match="cannot be written"):
            Store.create_or_grow(full.path, layout, small.ATTRS | attrs)


def test_growth_by_draws(tmp_path: Path) -> None:
    """A level that plans more draws than any before: old arms have none of them, new arms all."""
    few = replace(small.layout(("50/50",)), draws=1)
    many = small.layout(("50/50", "scratch"))
    store = Store.create_or_grow(tmp_path / "store", few, small.ATTRS)
    for arm, replicate in small.arms(store):
        store.write(arm, replicate, small.data(arm, replicate, draws=1), [1], 1.0, {})
    before = small.files(store.path)
    store = Store.create_or_grow(store.path, many, small.ATTRS)
    assert small.files(store.path).items() >= before.items() and not store.verify()
    arm, replicate = {"pretraining": "scratch", "labels": 50}, 1
    small.write(store, arm, replicate)
    assert not store.verify()
    assert store.status()[store.index(arm, replicate)].tolist() == [1, 1, 1]
    cube = open_cube(store.path).load()
    assert (cube.status.sel(pretraining="50/50") == [1, 4, 4]).all()
    np.testing.assert_array_equal(cube.score.sel(arm)[replicate], small.data(arm, replicate)["score"])
    old = cube.sel(pretraining="50/50", labels=200)
    np.testing.assert_array_equal(
        old.score[0, 0], small.data({"pretraining": "50/50", "labels": 200}, 0, 1)["score"][0]
    )
    assert np.isnan(old.score[:, 1:]).all()
    assert Store.create_or_grow(store.path, few, small.ATTRS).layout.draws == 3


def test_nothing_new_writes_nothing(full: Store) -> None:
    before = {file: file.stat().st_mtime_ns for file in full.path.rglob("*")}
    Store.create_or_grow(full.path, small.layout(), small.ATTRS)
    assert {file: file.stat().st_mtime_ns for file in full.path.rglob("*")} == before


def test_changed_estimands_are_dated(full: Store) -> None:
    for margin in (0.1, 0.2, 0.2):
        attrs = small.ATTRS | {"estimands": [{"name": "swap contrast", "margin": margin}]}
        Store.create_or_grow(full.path, small.layout(), attrs)
    history = json.loads(open_cube(full.path).attrs["estimands"])
    assert [entry["estimands"][0]["margin"] for entry in history] == [0.1, 0.2]
    assert all(entry["date"].endswith("+00:00") for entry in history)


def test_relabelled_level_is_refused(full: Store) -> None:
    before = {file: file.read_bytes() for file in full.path.rglob("*") if file.is_file()}
    layout = small.layout(replicates=9)
    factor = Factor("pretraining", (("50/50", '{"mix": "another"}'),))
    with pytest.raises(
        InputError, match=r"level '50/50' has changed: mix is 50/50 in the store and another in the study;"
    ):
        Store.create_or_grow(full.path, replace(layout, factors=(factor, layout.factors[1]), coords={}), small.ATTRS)
    assert {file: file.read_bytes() for file in full.path.rglob("*") if file.is_file()} == before


def test_only_the_keys_of_a_level_that_differ_are_named() -> None:
    contents = [{"a": {"b": 1, "c": [2] * 40}, "d": {}}, {"a": {"b": 1, "c": 3}, "e": 4, "f": 5, "g": 6}, "damaged {"]
    texts = [content if isinstance(content, str) else json.dumps(content) for content in contents]
    one, two, three = (replace(small.layout(), factors=(Factor("mix", (("x", text),)),), coords={}) for text in texts)
    assert level_differences(one, one) == []
    (found,) = level_differences(one, two)
    assert found.startswith("factors.mix: level 'x' has changed: a.c is [2, 2") and "... in the store and 3 in" in found
    assert found.endswith(
        ", d is {} in the store and absent in the study, e is absent in the store and 4 in the study, and 2 more keys"
    )
    assert "is damaged {" in level_differences(three, one)[0]


@pytest.mark.parametrize(
    "change", [{"subgroups": ("dark", "light")}, {"test": 41}, {"factors": small.layout().factors[:1]}]
)
def test_what_cannot_grow_is_refused(full: Store, change: dict) -> None:
    with pytest.raises(InputError, match="--out"):
        Store.create_or_grow(full.path, replace(small.layout(), **change), small.ATTRS)


def test_another_digest_is_refused(full: Store) -> None:
    with pytest.raises(InputError, match="digest"):
        Store.create_or_grow(full.path, small.layout(), small.ATTRS | {"digest": "f" * 16})


@pytest.mark.parametrize("moments", [[0, 1, -1], pytest.param(range(100), marks=pytest.mark.slow)])
def test_interrupted_growth_is_finished(full: Store, monkeypatch: pytest.MonkeyPatch, moments: Sequence[int]) -> None:
    """The process died at any of the files that a growth writes: it has not begun, or the next writer completes it."""
    put, whole = json_cache.write_bytes, full.path.with_name("whole")
    shutil.copytree(full.path, whole)
    calls, old = iter(()), xr.open_zarr(full.path / "cube.zarr").load()

    def killed(path: Path, content: bytes) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        put(path, content)

    written = _written(full, RETYPED)
    assert {str(file.relative_to(full.path)) for file in written} >= {"metadata.json", "cube.zarr/labels/c.0"}
    assert written[0].name == metadata.COPY and written[-1] == full.path / "cube.zarr" / "zarr.json"
    new = xr.open_zarr(full.path / "cube.zarr").load()
    for moment in sorted({moment % len(written) for moment in moments}):
        shutil.rmtree(full.path)
        shutil.copytree(whole, full.path)
        calls = iter(range(1, moment + 1))
        with monkeypatch.context() as patched:
            patched.setattr(json_cache, "write_bytes", killed)
            with pytest.raises(KeyboardInterrupt):
                Store.create_or_grow(full.path, RETYPED, small.ATTRS)
        xr.testing.assert_equal(xr.open_zarr(full.path / "cube.zarr").load(), old)
        shape = (4, 3, 3, 3) if moment else (3, 2, 2, 3)
        assert open_cube(full.path).load().status.shape == shape
        assert Store.open(full.path).status().shape == shape
        assert open_cube(full.path).load().score.shape[:3] == shape[:3]
        assert Store.create_or_grow(full.path, RETYPED, small.ATTRS).status().shape == (4, 3, 3, 3)
        assert not Store.open(full.path).verify()
        xr.testing.assert_equal(xr.open_zarr(full.path / "cube.zarr").load(), new)


def _written(store: Store, layout: Layout) -> list[Path]:
    """The files that a growth writes, in order."""
    with pytest.MonkeyPatch.context() as patched:
        put, files = json_cache.write_bytes, []
        patched.setattr(json_cache, "write_bytes", lambda path, content: (files.append(path), put(path, content)))
        Store.create_or_grow(store.path, layout, small.ATTRS)
    return files


def test_creating_at_once_makes_one_store(tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def make(replicates: int) -> None:
        try:
            Store.create_or_grow(tmp_path / "store", small.layout(replicates=replicates), small.ATTRS)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=make, args=(count,)) for count in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert Store.open(tmp_path / "store").layout.replicates == 4
    assert os.listdir(tmp_path) == ["store"]


def test_a_store_that_another_process_finishes_just_now_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder has its last name before this process looks at how old it is."""
    seen = Path.glob
    gone = tmp_path / ".store.1-00000000"
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [*seen(folder, pattern), gone])
    Store.create_or_grow(tmp_path / "store", small.layout(), small.ATTRS)
    assert os.listdir(tmp_path) == ["store"]


def test_unwritable_place_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store.create_or_grow(tmp_path / "file" / "store", small.layout(), small.ATTRS)


@pytest.mark.parametrize("text", ["", "{", '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_damaged_metadata_without_its_copy_is_bad_input(full: Store, text: str) -> None:
    (full.path / "cube.zarr" / "zarr.json").write_text(text)
    (full.path / metadata.COPY).unlink()
    for read in (open_cube, Store.open):
        with pytest.raises(InputError, match=f"{full.path}.*damaged"):
            read(full.path)
    assert not (full.path / metadata.COPY).exists()


@pytest.mark.parametrize("version, advice", [(1, "mv .*format1 && python -m biasprop.run STUDY"), (99, "upgrade")])
def test_other_formats_are_refused(full: Store, version: int, advice: str) -> None:
    small.rewrite_root(full.path, lambda document, own: own.update(format=version))
    with pytest.raises(InputError, match=f"format {version}.*{advice}"):
        open_cube(full.path)


def test_absurd_sizes_are_not_allocated(full: Store) -> None:
    small.rewrite_root(full.path, lambda document, own: own["layout"].update(replicates=10**12))
    with pytest.raises(InputError, match="damaged"):
        open_cube(full.path)


@pytest.mark.parametrize("version", [1, 2, 3, None])
def test_a_store_whose_folder_is_the_group_is_moved_aside(tmp_path: Path, version: int | None) -> None:
    path = tmp_path / "small-0123456789ab"
    path.mkdir()
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"biasprop": {"format": version}}}
    (path / "zarr.json").write_text(json.dumps(document))
    has, aside = (f"format {version}", f"format{version}") if version else ("an old format", "old")
    said = f"{path}: the store has {has}, .* by: mv {path} {path}.{aside} && python -m biasprop.run STUDY"
    for refuse in (open_cube, Store.open, lambda path: Store.create_or_grow(path, small.layout(), small.ATTRS)):
        with pytest.raises(InputError, match=said) as refused:
            refuse(path)
        assert len(refused.value.problems) == 1 and "\n" not in refused.value.problems[0]
    assert os.listdir(path) == ["zarr.json"]


def test_no_store_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no result store"):
        open_cube(tmp_path)


def test_links_are_not_written_through(full: Store, tmp_path: Path) -> None:
    (full.path / "cube.zarr" / "score").rename(tmp_path / "elsewhere")
    (full.path / "cube.zarr" / "score").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="link"):
        Store.open(full.path)
