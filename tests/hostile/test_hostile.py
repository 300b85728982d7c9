"""Stores, encoders and studies of unknown origin, made to do harm: nothing runs, nothing outside is written, and what
they claim costs no memory."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numcodecs.zstd import compress

from biasprop.component import InputError
from biasprop.store import group, json_cache, safe_files
from biasprop.store.encoders import EncoderStore, encoder_key
from biasprop.store.group import Folder
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from tests.store import small
from tests.store.conftest import empty, filled, full  # noqa: F401 - fixtures

ARM = {"pretraining": "50/50", "labels": 200}
KEY = encoder_key("0123456789abcdef", "fedcba9876543210", 3)
MAGIC = compress(b"x", 1)[:4]
BOMB = MAGIC + bytes([0b11100000]) + (10**12).to_bytes(8, "little") + b"\x01\x00\x00"
"""A frame of a few bytes that says it unpacks to a terabyte."""
BLOCK = ((128 * 1024) << 3 | 0b010).to_bytes(3, "little") + b"\x00"
SILENT_BOMB = MAGIC + b"\x00\x70" + 90 * BLOCK + bytes([BLOCK[0] | 1]) + BLOCK[1:]
"""A frame of 370 bytes that unpacks to 12 MB and does not say so (RFC 8878: 91 blocks of one repeated byte)."""
FRAMES = {
    "bomb": BOMB,
    "silent bomb": SILENT_BOMB,
    "frames": compress(bytes(4_000), 1) * 20,
    "no frame": b"nonsense",
}


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def chunk(store: Store, name: str) -> Path:
    return small.chunk(store, name, ARM, 1)


def root(store: Store) -> Path:
    return store.path / "cube.zarr" / "zarr.json"


def arrays(document: dict) -> dict:
    """Metadata of every array in the metadata of the group."""
    return document["consolidated_metadata"]["metadata"]


# Frames and files.


def test_a_chunk_that_unpacks_to_more_than_it_may_is_not_given_to_zarr(tmp_path: Path) -> None:
    folder = Folder(tmp_path, read_only=True)
    folder.chunk_bytes = {"a": 65_792}
    (tmp_path / "a").mkdir()
    for size in (1, 255, 256, 300, 65_791, 65_792, 65_793, 200_000):
        (tmp_path / "a" / "0").write_bytes(compress(bytes(size), 3))
        if size <= 65_792:
            assert asyncio.run(folder.get("a/0")).to_bytes() == (tmp_path / "a" / "0").read_bytes()  # type: ignore[union-attr]
        else:
            with pytest.raises(group.UNREADABLE):
                asyncio.run(folder.get("a/0"))
    for content in (*FRAMES.values(), b"", b"abc", MAGIC, MAGIC + b"\x00" + b"\x00" * 20):
        (tmp_path / "a" / "0").write_bytes(content)
        with pytest.raises(group.UNREADABLE):
            asyncio.run(folder.get("a/0"))
    assert asyncio.run(folder.get("a/1")) is None


def test_only_plain_files_of_plausible_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"12345")
    assert safe_files.read_bytes(tmp_path / "plain", 5) == b"12345"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    for name in ("pipe", "device", "sparse", "."):
        with pytest.raises((ValueError, OSError)):
            safe_files.read_bytes(tmp_path / name, 1000)
    assert json_cache.read(tmp_path / "sparse") is None and json_cache.read(tmp_path / "pipe") is None


# Cubes.


@pytest.mark.parametrize("name", ["score", "status", "checksum"])
@pytest.mark.parametrize("harm", [*FRAMES, "pipe", "device", "sparse"])
def test_a_chunk_costs_no_more_than_an_arm(full: Store, name: str, harm: str) -> None:  # noqa: F811
    file = chunk(full, name)
    file.unlink()
    if harm in FRAMES:
        file.write_bytes(FRAMES[harm])
    elif harm == "pipe":
        os.mkfifo(file)
    elif harm == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as sparse:
            sparse.truncate(10**11)
    before = megabytes()
    (damage,) = full.verify(repair=False) if name != "status" else [None]
    assert name == "status" or (damage is not None and damage.arm == ARM)
    cube = open_cube(full.path)
    if name == "score":
        with pytest.raises(InputError, match="damaged on disk"):
            cube.score.load()
    else:
        cube.score.load()
    full.scores_digest()
    assert megabytes() - before < 200


def test_metadata_that_claims_too_much_is_refused(full: Store) -> None:  # noqa: F811
    sound, before = root(full).read_bytes(), megabytes()
    for key, value in (
        ("test", 10**12),
        ("draws", 10**9),
        ("selection", -1),
        ("replicates", 10**9),
        ("replicates", 10**30),
    ):

        def forge(document: dict, own: dict, key: str = key, value: int = value) -> None:
            own["layout"][key] = value
            for array in arrays(document).values():  # as a consistent forger would
                array["shape"] = [
                    min(value, 2**62) if size == 40 and key == "test" else size for size in array["shape"]
                ]

        root(full).write_bytes(sound)
        small.rewrite_root(full.path, forge)
        with pytest.raises(InputError, match="damaged"):
            open_cube(full.path)
    assert megabytes() - before < 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"factors": [{"name": ["a"], "levels": [[[1], "x"]]}]},
        {"factors": [{"name": "pretraining", "levels": [["a", "x"]] * 3}, {"name": "pretraining", "levels": []}]},
        {"coords": {"share": [["pretraining", "pretraining"], [[1, 2]]]}},
        {"coords": {"share": [["replicate"], [1, 2, 3, 4, 5]]}},
        {"coords": {"share": 3}},
        {"subgroups": 3},
        {"latents": [[[]], {}]},
        {"replicates": "many"},
    ],
)
def test_a_forged_layout_is_bad_input(full: Store, wrong: dict) -> None:  # noqa: F811
    small.rewrite_root(full.path, lambda document, own: own["layout"].update(wrong))
    with pytest.raises(InputError, match="damaged"):
        open_cube(full.path)


@pytest.mark.parametrize("view", [3, [1], [["pretraining", 5]], [["pretraining", [["x"]]]], {"a": {}}])
def test_a_forged_view_is_bad_input_or_nothing(full: Store, view: object) -> None:  # noqa: F811
    small.rewrite_root(full.path, lambda document, own: own.update(view=view))
    try:
        assert open_cube(full.path).sizes["pretraining"] == 3
    except InputError as error:
        assert "damaged" in str(error)


def test_only_the_stores_own_packing_is_unpacked(full: Store) -> None:  # noqa: F811
    little, zstd = arrays(json.loads(root(full).read_text()))["score"]["codecs"]
    for codecs in (
        [little, {"name": "gzip", "configuration": {"level": 1}}],
        [little, zstd, zstd],
        [little, {"name": "numcodecs.pickle", "configuration": {}}],
        [{"name": "no.such", "configuration": {}}],
        [],
    ):
        small.rewrite_root(
            full.path, lambda document, own, codecs=codecs: arrays(document)["score"].update(codecs=codecs)
        )
        with pytest.raises(InputError, match="damaged"):
            open_cube(full.path)


def test_metadata_that_is_large_deep_or_a_pipe_is_refused(full: Store) -> None:  # noqa: F811
    sound = root(full).read_bytes()
    (full.path / "metadata.json").unlink()
    before = megabytes()
    with root(full).open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(InputError, match="damaged"):
        open_cube(full.path)
    root(full).write_bytes(b'{"a":' + b"[" * 1_000_000)
    with pytest.raises(InputError, match="damaged"):
        open_cube(full.path)
    root(full).unlink()
    os.mkfifo(root(full))
    with pytest.raises(InputError, match=r"no result store|damaged"):
        open_cube(full.path)
    root(full).unlink()
    root(full).write_bytes(sound)
    assert open_cube(full.path).sizes["labels"] == 2 and megabytes() - before < 300


@pytest.mark.parametrize(
    "place",
    [
        "events.jsonl",
        ".lock",
        "ledger.json",
        "fingerprints",
        "cache",
        "figures",
        "locks",
        "metadata.json",
        "cube.zarr",
        "cube.zarr/score",
        "cube.zarr/labels",
        "cube.zarr/zarr.json",
        "figures/forest.png",
        "cache/x.json",
    ],
)
def test_nothing_beside_the_arrays_is_written_through_a_link(full: Store, tmp_path: Path, place: str) -> None:  # noqa: F811
    outside = tmp_path / "outside"
    outside.mkdir()
    link = full.path / place
    if link.is_dir():
        shutil.rmtree(link)
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside / "new" if "." in place and place != "cube.zarr" else outside)
    with pytest.raises(InputError, match="is a link out of the store"):
        Store.open(full.path)
    with pytest.raises(InputError, match="is a link out of the store"):
        Store.create_or_grow(full.path, small.layout(replicates=3), small.ATTRS)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_no_arm_is_written_through_a_link(full: Store, tmp_path: Path, depth: int) -> None:  # noqa: F811
    outside = tmp_path / "outside"
    file = chunk(full, "score")
    place = full.path.joinpath(*file.relative_to(full.path).parts[: depth + 1])
    place.rename(outside)
    place.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    store = Store.open(full.path)
    full.array("status")[full.index(ARM, 1)] = 0
    with pytest.raises(OSError, match="link"):
        small.write(store, ARM, 1)
    assert before == {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}


def test_old_and_new_formats_say_what_to_do(full: Store) -> None:  # noqa: F811
    for version, said in (
        (1, f"mv {full.path} {full.path}.format1 && python -m biasprop.run STUDY"),
        (99, "upgrade biasprop"),
    ):
        small.rewrite_root(full.path, lambda document, own, version=version: own.update(format=version))
        with pytest.raises(InputError) as refused:
            open_cube(full.path)
        assert said in str(refused.value)


# Encoders.


def npy(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    """A file of NumPy's with any header."""
    head = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


HARMFUL = {
    "claims a terabyte": archive({"__info__.npy": npy("(1000000000000,)")}),
    "claims negative sizes": archive({"__info__.npy": npy("(-1, -1)")}),
    "deflated bomb": archive({"__info__.npy": npy("(200000000,)", "|u1", bytes(200_000_000))}, zipfile.ZIP_DEFLATED),
    "objects, which are pickles": archive({"__info__.npy": npy("(1,)", "|O", b"cos\nsystem\n(S'touch pwned'\ntR.")}),
    "a header that is code": archive({"__info__.npy": npy("__import__('os').system('touch pwned')")}),
    "leads outside": archive({"../../pwned.npy": npy("(1,)"), "__info__.npy": npy("(1,)", "|u1", b"{")}),
    "a pickle": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "no info": archive({"00000.npy": npy("(1,)", "<f4", bytes(4))}),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_harmful_encoder_is_left_out(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    store = EncoderStore(tmp_path / "encoders", lines.append)
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(HARMFUL[harm])
    before = megabytes()
    assert store.load(KEY) is None and store.info(KEY) is None
    assert len(lines) == 2 and str(path) in lines[0]
    assert megabytes() - before < 150
    assert not list(tmp_path.rglob("*pwned*"))


def test_an_encoder_that_is_a_pipe_or_without_end_is_left_out(tmp_path: Path) -> None:
    store = EncoderStore(tmp_path, lambda line: None)
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert store.load(KEY) is None
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10**12)
    before = megabytes()
    assert store.load(KEY) is None and megabytes() - before < 100


def test_encoders_stay_in_their_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store = EncoderStore(tmp_path / "encoders")
    for key in ("../x", "a/../../x", "/etc/x", "a//b", "", ".", "a/.."):
        with pytest.raises(ValueError):
            store.path(key)
    store.path(KEY).parent.parent.mkdir(parents=True)
    store.path(KEY).parent.symlink_to(outside)
    with pytest.raises(OSError, match="link"):
        store.save(KEY, {"a": np.zeros(2, "f4")}, {})
    store.path(KEY).parent.unlink()
    store.path(KEY).parent.mkdir()
    store.path(KEY).symlink_to(outside / "file")
    store.save(KEY, {"a": np.zeros(2, "f4")}, {})
    assert not list(outside.iterdir()) and store.load(KEY) is not None
