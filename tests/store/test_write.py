"""Arms go in whole, come out the same, and misfits are refused before anything is written."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from biasprop.store.store import Store
from biasprop.store.variables import VARIABLES
from biasprop.store.view import open_cube
from tests.store import small

ARM = {"pretraining": "50/50", "labels": 200}


def test_round_trip(full: Store) -> None:
    cube = open_cube(full.path)
    for arm, replicate in small.arms(full):
        at = cube.sel(arm).isel(replicate=replicate)
        for name, values in small.data(arm, replicate).items():
            np.testing.assert_array_equal(at[name].values, values)
        assert (at.status == 1).all()
        assert at.seconds == 1.0


def test_zarr_settings_of_the_user_change_no_byte(full: Store, tmp_path: Path) -> None:
    usual = {"default_zarr_format": 2, "json_indent": None, "codec_pipeline.path": "no.such.Pipeline"}
    with zarr.config.set(usual | {"array.order": "F", "array.write_empty_chunks": True}):
        other = Store.create_or_grow(tmp_path / "other", small.layout(), small.ATTRS)
        small.fill(other)
        assert zarr.config.get("json_indent") is None, "the user's settings are as before"
    groups = [store.path / "cube.zarr" for store in (full, other)]
    written, same = (
        {str(file.relative_to(group)): file.read_bytes() for file in group.rglob("*") if file.is_file()}
        for group in groups
    )
    del written["zarr.json"], same["zarr.json"]  # says when it was made
    assert written == same and len(written) > len(VARIABLES)


def test_short_arm_is_filled_up(empty: Store) -> None:
    empty.write(ARM, 0, small.data(ARM, 0, draws=1, selection=7), [1], 2.0, {})
    at = open_cube(empty.path).sel(ARM).isel(replicate=0)
    assert at.status.values.tolist() == [1, 4, 4]
    assert np.isfinite(at.score[0]).all() and np.isnan(at.score[1:]).all()
    assert np.isfinite(at.selection_score[0, :7]).all() and np.isnan(at.selection_score[0, 7:]).all()
    assert np.isfinite(at.selection_latents[:, :7]).all() and np.isnan(at.selection_latents[:, 7:]).all()
    assert (at.selection_label[7:] == -1).all() and (at.selection_label[:7] >= 0).all()
    assert not empty.verify()


def test_the_status_of_one_arm_is_that_of_all(full: Store, tmp_path: Path) -> None:
    layout = replace(small.layout(), draws=4)
    store = Store.create_or_grow(full.path, layout, small.ATTRS)  # a draw more than these arms had
    (store.path / "cube.zarr" / "status" / "c" / "0" / "0" / "0" / "0").write_bytes(b"")
    states = set()
    for arm, replicate in small.arms(store):
        one = store.status_of(arm, replicate)
        np.testing.assert_array_equal(one, store.status()[store.index(arm, replicate)])
        states.add(tuple(one.tolist()))
    assert states == {(0, 0, 0, 0), (1, 1, 1, 4)}


def test_one_arm_is_one_chunk(full: Store) -> None:
    arms = int(np.prod(full.layout.shape))
    for name in ("score", "latents", "status", "checksum"):
        assert len([f for f in (full.path / "cube.zarr" / name / "c").rglob("*") if f.is_file()]) == arms


@pytest.mark.parametrize("draws", [3, 4])
def test_files_are_those_that_plain_zarr_writes(full: Store, draws: int) -> None:
    """Also where an arm got a draw more than the store was made for, and where a chunk is left out as absent."""
    store = Store.create_or_grow(full.path, replace(small.layout(), draws=draws), small.ATTRS)
    store.write(ARM, 0, small.data(ARM, 0, draws=draws), [1] * draws, 1.0, {})
    store.write(ARM, 1, {}, [3] * draws, 1.0, {})
    for name in VARIABLES:
        chunks = store.path / "cube.zarr" / name / "c"
        own, array = contents(chunks), zarr.open_array(store.path / "cube.zarr" / name, mode="r+")
        values = array[...]
        shutil.rmtree(chunks)
        array[...] = values
        assert own == contents(chunks), name


def contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_writer_may_have_opened_the_store_before_it_grew(full: Store) -> None:
    grown = Store.create_or_grow(full.path, replace(small.layout(replicates=3), draws=4), small.ATTRS)
    grown.write(ARM, 2, small.data(ARM, 2, draws=4), [1, 1, 1, 2], 1.0, {})
    before = small.files(full.path)
    full.write(ARM, 0, small.data(ARM, 0), [1, 1, 1], 1.0, {"device": "cpu", "threads": 1})
    assert small.files(full.path) == before and not grown.verify()
    assert grown.status_of(ARM, 0).tolist() == [1, 1, 1, 4] and grown.status_of(ARM, 2).tolist() == [1, 1, 1, 2]


def test_what_is_damaged_is_written_over(full: Store) -> None:
    for name in VARIABLES:
        arm = full.path / "cube.zarr" / name / "c" / "0" / "0" / "0"
        for file in contents(arm):
            path = arm / file
            path.write_bytes(path.read_bytes()[:-3])
    arm, replicate = full.layout.arm((0, 0, 0))
    small.write(full, arm, replicate)
    assert not full.verify()


def test_an_arm_is_not_written_through_a_link(full: Store, tmp_path: Path) -> None:
    first = full.path / "cube.zarr" / "score" / "c" / "0"
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    arm, replicate = full.layout.arm((0, 0, 0))
    with pytest.raises(OSError, match="link"):
        small.write(full, arm, replicate)
    with pytest.raises(OSError, match="link"):  # nor is anything removed there
        full.write(arm, replicate, {}, [3, 3, 3], 1.0, {})
    assert contents(tmp_path / "elsewhere") == before


def test_failed_arm_needs_no_data(empty: Store) -> None:
    empty.write(ARM, 1, {}, [3, 3, 3], 0.5, {"device": "cpu"})
    assert empty.status()[empty.index(ARM, 1)].tolist() == [3, 3, 3]
    assert not empty.verify()


def test_nan_of_any_kind_keeps_its_checksum(empty: Store) -> None:
    data = small.data(ARM, 0)
    data["score"] = np.full_like(data["score"], np.nan)
    data["score"].view("u4")[...] |= 0x80000000  # what 0/0 gives on x86: a NaN whose sign is set
    empty.write(ARM, 0, data, [2, 2, 2], 1.0, {})
    assert not empty.verify()


def test_writing_again_replaces(full: Store) -> None:
    before = full.scores_digest()
    data = small.data(ARM, 0)
    data["score"] = data["score"] + 1
    full.write(ARM, 0, data, [1, 1, 1], 1.0, {})
    np.testing.assert_array_equal(open_cube(full.path).score.sel(ARM)[0], data["score"])
    assert full.scores_digest() != before
    assert not full.verify()


@pytest.mark.parametrize(
    "change, status, message",
    [
        ({"score": np.zeros((3, 2, 39), "f4")}, [1, 1, 1], "score has shape"),
        ({"score": np.zeros((4, 2, 40), "f4")}, [1, 1, 1], "score has shape"),
        ({"label": np.zeros(40, "f4")}, [1, 1, 1], "label has type"),
        ({"label": np.full(40, 1000)}, [1, 1, 1], "outside"),
        ({"extra": np.zeros(1)}, [1, 1, 1], "extra"),
        ({}, [1, 0, 1], "status"),
        ({}, [1, 1, 1, 1], "status"),
    ],
)
def test_misfits_are_refused(empty: Store, change: dict, status: list[int], message: str) -> None:
    before = small.files(empty.path)
    with pytest.raises(ValueError, match=message):
        empty.write(ARM, 0, small.data(ARM, 0) | change, status, 1.0, {})
    assert small.files(empty.path) == before


def test_missing_data_are_refused(empty: Store) -> None:
    with pytest.raises(ValueError, match="lacks"):
        empty.write(ARM, 0, {}, [1, 4, 4], 1.0, {})


@pytest.mark.parametrize("arm", [{"pretraining": "50/50"}, {"pretraining": "5/50", "labels": 50}, ARM | {"x": 1}])
def test_unknown_arms_are_refused(empty: Store, arm: dict) -> None:
    with pytest.raises(KeyError):
        empty.index(arm, 0)
    with pytest.raises(KeyError):
        empty.index(ARM, 2)


def test_fingerprints_are_kept(full: Store) -> None:
    numbers = np.unique(open_cube(full.path).fingerprint.values)
    assert len(numbers) == 1
    assert full.fingerprint(int(numbers[0])) == {"device": "cpu", "threads": 1}
    assert full.fingerprint(1) is None


def test_events_survive_a_cut_line(empty: Store) -> None:
    empty.log({"event": "start"})
    with (empty.path / "events.jsonl").open("a") as file:
        file.write('{"event": "cu\n')
    empty.log({"event": "end"})
    events = empty.events()
    assert [event["event"] for event in events] == ["start", "end"]
    assert events[0]["pid"] == os.getpid() and json.dumps(events)


def test_scores_digest_follows_the_results(empty: Store) -> None:
    seen = {empty.scores_digest()}
    small.write(empty, ARM, 0)
    seen.add(empty.scores_digest())
    small.write(empty, ARM, 0)
    seen.add(Store.open(empty.path).scores_digest())
    empty.write(ARM, 0, small.data(ARM, 0), [2, 1, 1], 1.0, {})
    seen.add(empty.scores_digest())
    assert len(seen) == 3
