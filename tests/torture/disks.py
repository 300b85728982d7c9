"""A disk that is full at any point of a run, and one that cannot be written: one message, exit code 2, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from biasprop.store.store import Store
from tests.torture.harness import Commands, Tally, ended_well, finished, store_in

ROOM = "64m"


def can_mount() -> bool:
    """Whether this process may mount a small disk."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    place = Path(f"/tmp/biasprop-mount-{os.getpid()}")
    place.mkdir()
    try:
        with _disk(place, "1m"):
            return True
    except subprocess.CalledProcessError:
        return False
    finally:
        place.rmdir()


def full(commands: Commands, folder: Path, reference: Path, sizes: list[int]) -> Tally:
    """Runs on disks of so many KiB, which then get room and are resumed."""
    tally = Tally("full disk")
    for size in sizes:
        out = folder / f"full-{size}"
        out.mkdir()
        with _disk(out, f"{size}k"):
            code, said = commands.run(out)
            tally.tried += 1
            if code != 2 or "Traceback" in said or "No space left on device" not in said:
                tally.faults.append(f"{size} KiB: exit code {code}: {said[-2000:]}")
            store = store_in(out)
            before = finished(store) if store.exists() else 0
            tally.notes["arms finished before it was full"] += before
            _remount(out, f"size={ROOM}")
            code, said = commands.run(out)
            if code:
                tally.faults.append(f"{size} KiB, with room: exit code {code}: {said[-2000:]}")
            else:
                tally.faults += [f"{size} KiB: {wrong}" for wrong in ended_well(store, reference)]
    return tally


def read_only(commands: Commands, folder: Path, reference: Path) -> Tally:
    """A finished study, one with an open arm and one that is damaged, on a disk that cannot be written."""
    tally = Tally("read-only store")
    out = folder / "read-only"
    out.mkdir()

    def check(what: str, code: int, words: str) -> None:
        tally.tried += 1
        with _read_only(out):
            ended, said = commands.run(out)
        if ended != code or words not in said or "Traceback" in said:
            tally.faults.append(f"{what}: exit code {ended} instead of {code}: {said[-2000:]}")

    with _disk(out, ROOM):
        with _read_only(out):
            code, said = commands.run(out)
        if code != 2 or "Traceback" in said or "cannot be written" not in said:
            tally.faults.append(f"no store: exit code {code}: {said[-2000:]}")
        shutil.copytree(reference.parent, out, dirs_exist_ok=True)
        store = store_in(out)
        commands.run(out)
        check("finished", 0, "swap contrast")
        arm, replicate = Store.open(store).layout.arm((0, 0, 0, 0))
        score = store.joinpath("cube.zarr", "score", "c", *"0000", "0", "0", "0")
        content = score.read_bytes()
        score.write_bytes(content[:20])
        check("damaged", 2, "cannot be written to repair it")
        score.write_bytes(content)
        document = store / "cube.zarr" / "zarr.json"
        content = document.read_bytes()
        document.write_bytes(content[:20])
        check("damaged metadata", 2, "cannot be written to repair it")
        document.write_bytes(content)
        status = store.joinpath("cube.zarr", "status", "c", *"0000", "0")
        status.unlink()
        check(f"open arm {arm} {replicate}", 2, "cannot be written")
        code, said = commands.run(out)
        tally.faults += [f"at last: {wrong}" for wrong in ended_well_again(store, reference)] if not code else [said]
    return tally


def ended_well_again(store: Path, reference: Path) -> list[str]:
    """As ``ended_well``, for a store whose first arm was opened by hand."""
    return [wrong for wrong in ended_well(store, reference) if "replicate 0 computed twice" not in wrong]


@contextmanager
def _disk(place: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True, capture_output=True)


@contextmanager
def _read_only(place: Path) -> Iterator[None]:
    _remount(place, "ro")
    try:
        yield
    finally:
        _remount(place, "rw")
