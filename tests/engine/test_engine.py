"""One study on a cluster, in parts and in one process: the same bits, nothing twice, and no worker can take it down."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import dask
import pytest

from biasprop.component import InputError, Unfinished
from biasprop.execution import engine, sweep, worker
from biasprop.execution.sweep import Shard
from biasprop.hardware import device
from biasprop.run import main
from biasprop.study import design
from tests.engine import cluster, deadly
from tests.engine.cluster import STUDY, After, Cluster, compute, differ, opened, planned, small, stored


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study computed by this process alone."""
    out = tmp_path_factory.mktemp("whole")
    assert compute(small(), out, workers=0) == []
    return small().store(out)


def test_a_cluster_gives_the_bits_of_one_process_whoever_dies(whole: Path, tmp_path: Path) -> None:
    """Processes as a user starts them: first in peace, then a worker is killed, at last the scheduler."""
    study = small()
    with Cluster(tmp_path / "cluster") as made:
        made.add()
        made.add()
        peace, war, lost = (tmp_path / name for name in ("peace", "war", "lost"))
        assert compute(study, peace, scheduler=str(made.file)) == []
        assert differ(study.store(peace), whole) == []
        assert set(stored(opened(study, peace)).values()) == {1}
        assert len(stored(opened(study, peace))) == planned(study)
        assert len(cluster.encoders(peace)) == len(cluster.encoders(whole.parent)) == 6

        shown = After(3, made.workers[0].kill)
        assert compute(study, war, shown, scheduler=str(made.file)) == []
        assert made.workers[0].wait(10) == -signal.SIGKILL
        assert differ(study.store(war), whole) == []
        assert len(stored(opened(study, war))) == planned(study)

        many = made.add("--nthreads", "2")
        shown = After(3, made.scheduler.kill)
        with pytest.raises(Unfinished, match="the scheduler is gone"):
            compute(study, lost, shown, scheduler=str(made.file))
        left_out = any("--nthreads 1; this worker is left out" in line for line in shown.said_lines)
        assert many.poll() in (None, 0) or left_out  # it may have come when the scheduler had gone
        assert 3 <= len(stored(opened(study, lost))) < planned(study)
    assert compute(study, lost, workers=0) == []
    assert differ(study.store(lost), whole) == []


def test_a_cell_that_kills_its_worker_is_given_up_and_the_others_are_done(whole: Path, tmp_path: Path) -> None:
    study = small()
    deadly_cell = design.cells(study)[deadly.DEADLY]
    with dask.config.set({"distributed.worker.preload": [deadly.__file__]}):  # pyright: ignore[reportPrivateImportUsage]
        (line,) = compute(study, tmp_path, workers=2)
    assert line == f"given up: {deadly_cell.name}: the process that computed it died {1 + engine.MAX_RETRIES} times"
    assert len(stored(opened(study, tmp_path))) == planned(study) - len(deadly_cell.arms)
    assert cluster.same_but_open(study.store(tmp_path), whole)
    assert compute(study, tmp_path, workers=0) == []
    assert differ(study.store(tmp_path), whole) == []


def test_shards_are_a_partition_and_give_the_same_bits(whole: Path, tmp_path: Path) -> None:
    study = small()
    parts = [sweep.share(study, Shard(k, 2), workers=0) for k in range(2)]
    assert parts[0] and parts[1] and not parts[0] & parts[1]
    assert parts[0] | parts[1] == {cell.name for cell in design.cells(study)}
    for k in range(2):
        assert compute(study, tmp_path, workers=0, shard=Shard(k, 2)) == []
        assert compute(study, tmp_path, workers=0, shard=Shard(k, 2)) == []  # put back into the queue
    assert differ(study.store(tmp_path), whole) == []
    assert set(stored(opened(study, tmp_path)).values()) == {1}


def test_who_is_in_a_shard_never_changes() -> None:
    """A job that is put back into the queue, by whatever version, gets the cells it had."""
    names = [f"dark {share}, replicate {i}" for share in (0, 0.5, 1) for i in range(3)]
    assert [next(k for k in range(4) if Shard(k, 4).has(name)) for name in names] == [0, 1, 2, 3, 1, 1, 1, 3, 0]


def told(**own: Any) -> dict[str, Any]:
    """How a sound worker introduces itself, but for what is given."""
    who = {**worker.installed(), "device": "cpu", "instructions": "avx2", "threads": "1", "precision": "default"}
    sound = {"cpu": True, "jobs": 1, "devices": 1, "card": None, "orders": False, "width": 1, "store": ""}
    return {"identity": who | own.pop("identity", {}), **sound, **own}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"jobs": 4}, "runs 4 jobs at once; start it with --nthreads 1"),
        ({"identity": {"threads": "8"}}, "XLA has 8 threads in it; start it with NPROC=1"),
        ({"devices": 4}, "sees 4 devices; give each worker one"),
        ({"cpu": False}, "adds in any order; start it with XLA_FLAGS="),
        ({"store": "/x: there is no result store here"}, "stores have to lie in a folder that all workers share"),
        ({"identity": {"jax": "0.9.0"}}, "jax is 0.9.0, here "),
        ({"identity": {"numerics": "1"}}, "numerics is 1, here "),
        ({"identity": {"biasprop's code": "00"}}, "biasprop's code is 00, here "),
        ({"identity": {"python": "3.9"}}, "python is 3.9, here "),
        ({"identity": {"instructions": "avx512"}}, "instructions is avx512, on another worker avx2"),
    ],
)
def test_workers_that_would_give_other_bits_are_refused(own: dict[str, Any], said: str) -> None:
    introduced = {"tcp://a:1": told(), "tcp://b:2": told(**own)}
    (line,) = engine._problems(introduced, told()["identity"], {})
    assert line.startswith("worker tcp://b:2: ") and said in line


def test_workers_of_one_gpu_and_without_the_package_are_refused() -> None:
    gpu = {"cpu": False, "orders": True, "card": "GPU-1"}
    (line,) = engine._problems({"tcp://a:1": told(**gpu), "tcp://b:2": told(**gpu)}, told()["identity"], {})
    assert line == "worker tcp://b:2: computes on the same GPU as tcp://a:1; give each worker one of its own"
    (line,) = engine._problems({"tcp://a:1": ModuleNotFoundError("biasprop")}, {}, {})
    assert line == "worker tcp://a:1: cannot be asked how it computes (biasprop is not installed there)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:9"), "--scheduler tcp://127.0.0.1:9: no scheduler answers"),
        (("--scheduler", "nowhere.json"), "--scheduler nowhere.json: there is no such file"),
        (("--scheduler", str(STUDY)), "is no scheduler file"),
        (("--scheduler", "tcp://x:1", "--workers", "2"), "--workers: a scheduler has workers of its own"),
        (("--scheduler", "tcp://x:1", "--shard", "0/2"), "--shard: is for runs without an engine"),
    ],
)
def test_a_scheduler_that_is_none(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT_S", 0.5)
    assert main([str(STUDY), "-q", "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "1", "a/b", "1/0", "0/2/3"])
def test_shards_that_are_none(shard: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(STUDY), f"--shard={shard}"])
    assert left.value.code == 2 and "is no K/N with K from 0 to N - 1" in capsys.readouterr().err


def test_a_lost_scheduler_ends_the_command_with_3_and_the_line_that_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def lost(*given: object, **how: object) -> list[str]:
        raise Unfinished("the scheduler is gone")

    monkeypatch.setattr(sweep, "run", lost)
    words = [str(STUDY), "-q", "--out", str(tmp_path), "--scheduler", "tcp://x:1"]
    assert main(words) == 3
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "the scheduler is gone",
        f"what is finished is kept; to resume: python -m biasprop.run {' '.join(words)}",
    ]


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {}

        def subscribe_topic(self, topic: str, handler: object) -> None:
            pass

    monkeypatch.setattr(engine, "NO_WORKER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(engine, "POLL_INTERVAL_S", 0.05)
    lines: list[str] = []
    with pytest.raises(Unfinished, match="no worker for"):
        engine.WorkerPool(Empty(), ("", "", 0.0), lambda event: None, lines.append)
    assert lines == ["waiting for a worker"]


def test_a_store_of_another_study_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STORE_VISIBLE_TIMEOUT_S", 0.0)
    assert "there is no result store" in worker._sees(str(tmp_path / "none"), "x")


def test_input_errors_of_workers_name_every_worker_once() -> None:
    introduced = {f"tcp://w:{i}": told(jobs=2) for i in range(3)}
    (line,) = engine._problems(introduced, told()["identity"], {})
    assert line.startswith("worker tcp://w:0, tcp://w:1, tcp://w:2: runs 2 jobs")


def test_a_study_larger_than_the_machine_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "memory", lambda: 1.5 * design.bytes_per_cell(small()))
    with pytest.raises(InputError, match=r"--workers: 2 processes .* do not fit into .*; give --workers 1"):
        compute(small(), tmp_path, workers=2)
    assert not list(tmp_path.iterdir())
