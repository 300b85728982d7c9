"""What is written: whole or not at all, through links, into pipes and devices, with the modes that the umask leaves."""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biasprop.component import InputError
from biasprop.report import tidy_table
from biasprop.store import event_log, json_cache
from biasprop.store.encoders import EncoderStore
from biasprop.store.netcdf import export_netcdf
from biasprop.store.store import Store
from biasprop.store.view import open_cube
from biasprop.store.whole_files import output, replaced
from tests.store import small

NEW = b"new content"


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def write(file: Path) -> None:
    with output(file) as whole:
        whole.write_bytes(NEW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_points_at_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    if there:
        target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to("elsewhere/target")
    write(link)
    assert link.is_symlink() and target.read_bytes() == NEW
    assert os.listdir(target.parent) == ["target"] and sorted(os.listdir(tmp_path)) == ["elsewhere", "link"]


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe)
    reader.join(timeout=10)
    assert got == [NEW] and stat.S_ISFIFO(pipe.stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_descriptor_is_written_where_it_is(tmp_path: Path) -> None:
    """As /dev/stdout behind ``> file``: what was written before stays, what comes after follows."""
    with (tmp_path / "redirected").open("wb", buffering=0) as file:
        file.write(b"before ")
        write(Path(f"/dev/fd/{file.fileno()}"))
        (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")
        write(tmp_path / "stdout")
        file.write(b" after")
    assert (tmp_path / "redirected").read_bytes() == b"before " + NEW + NEW + b" after"


def test_a_reader_that_has_enough_is_no_error() -> None:
    read, written = os.pipe()
    os.close(read)
    write(Path(f"/dev/fd/{written}"))
    os.close(written)


def test_a_full_device_is_named() -> None:
    with pytest.raises(OSError) as raised:
        write(Path("/dev/full"))
    assert raised.value.errno == errno.ENOSPC and raised.value.filename == "/dev/full"


def test_a_file_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path: Path, umask: Callable[[int], int]) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(0o640)
    umask(0o002)
    write(old)
    write(new)
    assert (mode(old), mode(new)) == (0o640, 0o664)


def test_a_file_in_a_folder_that_cannot_be_written_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("something longer than the new content")
    before = (tmp_path / "file").stat().st_ino
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == NEW and (tmp_path / "file").stat().st_ino == before


@pytest.mark.parametrize("write", [replaced, output])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, write: Callable) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError) as raised, write(tmp_path / "file") as whole:
        whole.write_bytes(NEW)
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [replaced, output])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, write: Callable) -> None:
    for name in ("n" * 255, "\u00fc" * 127):
        with write(tmp_path / name) as whole:
            whole.write_bytes(NEW)
        assert (tmp_path / name).read_bytes() == NEW
    with pytest.raises(OSError) as raised, write(tmp_path / ("n" * 256)) as whole:
        whole.write_bytes(NEW)
    assert raised.value.errno == errno.ENAMETOOLONG and "n" * 256 in raised.value.filename


def test_a_store_may_have_any_name_that_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("n" * 255, "a [b]*? %20 #1 'c'"):
        store = Store.create_or_grow(tmp_path / name, small.layout(), small.ATTRS)
        small.write(store, *small.arms(store)[0])
        assert open_cube(tmp_path / name).status.load().max() == 1
    assert len(os.listdir(tmp_path)) == 2


# A full disk, anywhere.


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can become larger than so many bytes: as on a full disk, a write fails, and does not say where."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _arm(store: Store) -> Path:
    arm, replicate = small.arms(store)[0]
    small.write(store, arm, replicate)
    return store.path


def _encoder(store: Store) -> Path:
    return EncoderStore(store.path / "encoders").save("a/b", {"a": np.arange(500.0)}, {})


def _picture(store: Store) -> Path:
    from biasprop.report import plotting

    return plotting.save_as(plotting.page(1.0, 1.0), store.path / "file.svg")


WRITERS: dict[str, tuple[str, Callable[[Store], object]]] = {
    "arm": ("cube.zarr/score/", _arm),
    "encoder": ("encoders/a/b.npz", _encoder),
    "log": ("events.jsonl", lambda store: [store.log({"event": "x" * 100}) for _ in range(20)]),
    "event": ("events.jsonl", lambda store: event_log.append(store.path, {"event": "x" * 2000})),
    "cache": ("file.json", lambda store: json_cache.write_or_raise(store.path / "file.json", "x" * 1000)),
    "csv": ("file.csv", lambda store: tidy_table.write_csv(pd.DataFrame({"a": range(1000)}), store.path / "file.csv")),
    "netcdf": ("file.nc", lambda store: export_netcdf(open_cube(store.path), store.path / "file.nc")),
    "picture": ("file.svg", _picture),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_names_the_file_and_loses_nothing(empty: Store, name: str) -> None:
    file, write = WRITERS[name]
    (empty.path / "elsewhere").mkdir()
    write(Store.create_or_grow(empty.path / "elsewhere" / "store", small.layout(), small.ATTRS))  # imports all it needs
    before = small.files(empty.path)
    with full_disk(200), pytest.raises((OSError, InputError)) as raised:
        write(empty)
    said = raised.value.problems[0] if isinstance(raised.value, InputError) else str(raised.value.filename)
    assert str(empty.path / file) in said
    after = small.files(empty.path)
    assert {name: after[name] for name in before if name != "events.jsonl"} == {
        name: before[name] for name in before if name != "events.jsonl"
    }
    assert not [name for name in after if ".partial" in name]
    write(empty)


# Stores that a group of people shares.


@pytest.mark.parametrize("left, files", [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_every_file_of_a_store_follows_the_umask(
    tmp_path: Path, umask: Callable[[int], int], left: int, files: int
) -> None:
    umask(left)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2777 & ~left)
    store = Store.create_or_grow(shared / "store", small.layout(), small.ATTRS)
    small.write(store, *small.arms(store)[0])
    store = Store.create_or_grow(shared / "store", small.layout(replicates=3), small.ATTRS)
    store.log({"event": "x"})
    encoders = EncoderStore(shared / "encoders")
    with encoders.locked(["a/b"]):
        encoders.save("a/b", {"a": np.zeros(2)}, {})
    json_cache.cached(store.path, "key", lambda: 1)
    export_netcdf(open_cube(store.path), store.path / "cube.nc")
    found = list(shared.rglob("*"))
    assert {path.name for path in found} >= {".lock", "events.jsonl", "b.npz", ".b.lock", "key.json", "cube.nc"}
    assert {mode(path) for path in found if path.is_file()} == {files}
    assert {mode(path) for path in found if path.is_dir()} == {0o2777 & ~left}


@contextmanager
def someone_else(number: int) -> Iterator[None]:
    """This process has the rights of a user and a group of this number."""
    groups = os.getgroups()
    os.setgroups([number])
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_second_person_writes_a_shared_store_or_is_told_the_file(tmp_path: Path, umask: Callable[[int], int]) -> None:
    store = {}
    for name, left in (("shared", 0o002), ("private", 0o022)):
        umask(left)
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 0, 4242)
        (tmp_path / name).chmod(0o2775)
        store[name] = Store.create_or_grow(tmp_path / name / "store", small.layout(), small.ATTRS)
        small.write(store[name], *small.arms(store[name])[0])
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o077 == 0:  # pytest's folders are private
            folder.chmod(0o755)
    with someone_else(4242):
        mine = Store.create_or_grow(store["shared"].path, small.layout(replicates=3), small.ATTRS)
        small.write(mine, *small.arms(mine)[1])
        with pytest.raises(InputError, match=r"private/store: .* cannot be written \(.*/events\.jsonl: Permission"):
            Store.open(store["private"].path).begin(1)
    assert int(Store.open(store["shared"].path).status().any(-1).sum()) == 2
