"""A flipped byte or a cut file is found, named, opened again, and never a traceback."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from biasprop.component import InputError
from biasprop.status import Status
from biasprop.store import json_cache, metadata
from biasprop.store.store import Store
from biasprop.store.variables import VARIABLES
from biasprop.store.view import open_cube
from tests.store import small

ARM = {"pretraining": "50/50", "labels": 200}


def chunk(store: Store, name: str, arm: dict = ARM, replicate: int = 1) -> Path:
    return small.chunk(store, name, arm, replicate)


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 0x10
    file.write_bytes(content)


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
def test_damage_is_found_and_mended(full: Store, harm: str) -> None:
    """Every kind of file at once, each in an arm of its own."""
    full = Store.create_or_grow(full.path, small.layout(replicates=3), small.ATTRS)
    for arm, replicate in small.arms(full):
        if replicate == 2:
            small.write(full, arm, replicate)
    before = small.files(full.path)
    # Without its status an arm is simply open; without its wall time, which is no result, it is still sound.
    silent = {"status", "seconds"} if harm == "remove" else set()
    harmed = dict(zip(VARIABLES, small.arms(full), strict=False))
    for name, (arm, replicate) in harmed.items():
        file = chunk(full, name, arm, replicate)
        content = file.read_bytes()
        if harm == "flip":
            flip(file, len(content) // 2)
        elif harm == "remove":
            file.unlink()
        else:
            file.write_bytes(content[: len(content) // 2] if harm == "cut" else b"")
    found = full.verify()
    assert [(damage.arm, damage.replicate) for damage in found] == [
        where for name, where in harmed.items() if name not in silent
    ]
    named = [event["arm"] for event in full.events() if event["event"] == "damaged"]
    assert named == [damage.arm for damage in found]
    assert f"replicate={found[0].replicate}: " in str(found[0])
    assert (full.status() == 0).all(-1).sum() == len(harmed) - ("seconds" in silent)
    for arm, replicate in harmed.values():
        small.write(full, arm, replicate)
    assert small.files(full.path) == before
    assert not full.verify()


def test_every_byte_of_a_chunk_is_guarded(full: Store) -> None:
    for name in ("status", "seconds"):
        file = chunk(full, name)
        content = file.read_bytes()
        for position in range(len(content)):
            flip(file, position)
            found = full.verify([(ARM, 1)], repair=False)
            # A flip in the frame's header that leaves data and checksum right is no damage.
            assert found or np.array_equal(full.array(name)[full.index(ARM, 1)], _stored(full, name, content, file))
            file.write_bytes(content)


def _stored(store: Store, name: str, content: bytes, file: Path) -> np.ndarray:
    file.write_bytes(content)
    return np.asarray(store.array(name)[store.index(ARM, 1)])


def test_looking_changes_nothing(full: Store) -> None:
    flip(chunk(full, "score"), 100)
    before = small.files(full.path)
    assert len(full.verify(repair=False)) == 1
    assert small.files(full.path) == before and not [e for e in full.events() if e["event"] == "damaged"]


def test_status_counts_unreadable_as_open(full: Store) -> None:
    chunk(full, "status").write_bytes(b"nonsense")
    assert (full.status() == 0).all(-1).sum() == 1
    cube = open_cube(full.path)
    assert np.isnan(cube.score.sel(ARM)[1]).all()


def test_reader_names_the_damaged_arm(full: Store) -> None:
    flip(chunk(full, "score"), 100)
    cube = open_cube(full.path)
    with pytest.raises(InputError, match=r"score of .*50/50.*replicate 1"):
        cube.score.load()
    assert np.isfinite(cube.label).all()
    assert np.isfinite(cube.score.sel(pretraining="scratch")).all()


def test_reader_ignores_damage_in_an_open_arm(full: Store) -> None:
    full.array("status")[full.index(ARM, 1)] = Status.OPEN
    flip(chunk(full, "score"), 100)
    cube = open_cube(full.path).load()
    assert np.isnan(cube.score.sel(ARM)[1]).all() and np.isfinite(cube.score.sel(ARM)[0]).all()


def test_damaged_fingerprint_is_named(full: Store) -> None:
    file = next((full.path / "fingerprints").iterdir())
    flip(file, 5)
    found = full.verify()
    assert len(found) == 1 and file.name in found[0].reason and found[0].arm is None
    small.write(full, ARM, 1)
    assert not full.verify()


def test_damaged_digest_is_never_equal(full: Store) -> None:
    before = full.scores_digest()
    chunk(full, "checksum").write_bytes(b"")
    assert len({before, full.scores_digest(), full.scores_digest()}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "cube.zarr/zarr.json",
        "cube.zarr/score/zarr.json",
        "cube.zarr/labels/zarr.json",
        "cube.zarr/labels/c/1",
        "cube.zarr/objective/0",
        "metadata.json",
    ],
)
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damaged_metadata_is_mended_and_named(full: Store, name: str, harm: str) -> None:
    """Also the coordinates; readers see the same cube meanwhile."""
    file, cube = full.path / name, open_cube(full.path).load()
    content = file.read_bytes()
    if harm == "flip":
        flip(file, len(content) // 2)
    elif harm == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    xr.testing.assert_identical(open_cube(full.path).load(), cube)
    found = Store.open(full.path).verify()
    assert file.read_bytes() == content and not Store.open(full.path).verify()
    if name != metadata.COPY or harm != "remove":  # a copy that is missing is no damage
        (damage,) = found
        assert str(file) in damage.reason and "restored" in damage.reason
        assert full.events()[-1]["why"] == damage.reason


def test_a_copy_that_leads_out_of_the_store_is_not_followed(full: Store) -> None:
    outside = full.path.parent / "outside.json"
    for name in ("../../outside.json", str(outside), "score/../../../outside.json"):
        copy = {name: "x", "zarr.json": (full.path / "cube.zarr" / "zarr.json").read_text()}
        json_cache.write_or_raise(full.path / metadata.COPY, copy)
        assert "restored" in Store.open(full.path).verify()[0].reason
        assert not outside.exists() and metadata.copied(full.path)


def test_a_lost_fingerprint_comes_back_from_the_log_or_is_named_once(full: Store) -> None:
    file = next((full.path / "fingerprints").iterdir())
    text = file.read_bytes()
    file.unlink()
    assert "restored" in full.verify()[0].reason
    assert file.read_bytes() == text and not full.verify()
    (full.path / "events.jsonl").unlink()
    file.unlink()
    assert "next arm" in full.verify()[0].reason
    assert not full.verify()


def test_a_damaged_line_of_the_log_is_left_out_and_named_once(full: Store) -> None:
    for number in range(3):
        full.log({"event": "arm", "arm": number})
    log = full.path / "events.jsonl"
    flip(log, log.read_bytes().index(b'"arm": 1') + 7)
    assert [event["arm"] for event in full.events() if event["event"] == "arm"] == [0, 2]
    assert "line" in full.verify()[0].reason and not full.verify()
    with log.open("ab") as file:
        file.write(b'{"event": "cut sh')
    full.log({"event": "arm", "arm": 3})
    assert full.events()[-1]["arm"] == 3
