"""The short form of ``python -m tests.torture``: the same, with a few moments and places."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr

from biasprop.report.results import study_of
from biasprop.store.view import open_cube
from tests.torture import damage, disks, kills, writers
from tests.torture.harness import Commands, chooser, store_in


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    made = Commands(tmp_path_factory.mktemp("commands"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A store that nothing happened to, and the seconds it took."""
    out, began = tmp_path_factory.mktemp("whole"), time.monotonic()
    code, said = commands.run(out)
    assert code == 0, said
    return store_in(out), time.monotonic() - began


@pytest.mark.parametrize(
    "number, count",
    [
        (signal.SIGKILL, 1),
        *(pytest.param(*slow, marks=pytest.mark.slow) for slow in ((signal.SIGKILL, 3), (signal.SIGTERM, 1))),
    ],
)
def test_killed_runs_end_with_the_same_bits(
    commands: Commands, whole: tuple[Path, float], tmp_path: Path, number: signal.Signals, count: int
) -> None:
    tally = kills.kills(commands, tmp_path, whole[0], number, count, chooser(1), whole[1])
    assert tally.tried == count and not tally.faults, tally.faults


@pytest.mark.filterwarnings("error")
def test_a_finished_study_opens_in_plain_xarray_without_a_warning(whole: tuple[Path, float], tmp_path: Path) -> None:
    plain, cube = xr.open_zarr(whole[0] / "cube.zarr").load(), open_cube(whole[0]).load()
    xr.testing.assert_equal(plain, cube)
    assert {*plain.coords} == {*cube.coords} >= {"share", "cohort_size", "label_share", "objective", "replicate"}
    assert study_of(cube, whole[0]).digest == plain.attrs["digest"]
    for opened in (plain, cube):
        opened.to_netcdf(tmp_path / "cube.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / "cube.nc", engine="h5netcdf") as back:
            xr.testing.assert_equal(back.load(), cube)
        assert back.attrs == opened.attrs


@pytest.mark.slow
def test_two_writers_share_the_work(whole: tuple[Path, float], tmp_path: Path) -> None:
    tally = writers.writers(tmp_path, whole[0], trials=2)
    assert tally.tried == 2 and not tally.faults, tally.faults


@pytest.mark.slow
def test_damaged_files_are_mended(whole: tuple[Path, float], tmp_path: Path) -> None:
    """An arm's scores and status, the metadata, coordinates, an encoder and a figure."""
    names = r"/score/c/|/status/c/|^small-\w+/(cube.zarr/zarr|metadata).json|/labels/|^encoders/.*-0.npz|forest.png"
    tally = damage.damages(tmp_path, whole[0], chooser(1), 1, names)
    assert tally.tried >= 18 and not tally.faults, tally.faults


@pytest.mark.slow
def test_disks(commands: Commands, whole: tuple[Path, float], tmp_path: Path) -> None:
    if not disks.can_mount():
        pytest.skip("only root can mount a small disk")
    for tally in (
        disks.full(commands, tmp_path, whole[0], [100, 700]),
        disks.read_only(commands, tmp_path, whole[0]),
    ):
        assert not tally.faults, tally.faults
