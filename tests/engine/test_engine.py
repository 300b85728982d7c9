"""One study on a cluster, in parts and in one process: the same bits, nothing twice, and no worker can take it down."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from biasprop.component import InputError, Unfinished
from biasprop.execution import clusters, engine, fitness, sweep
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


@pytest.mark.slow
def test_a_cluster_gives_the_bits_of_one_process_whatever_dies(whole: Path, tmp_path: Path) -> None:
    """Processes as a user starts them: first undisturbed, then a worker is killed, at last the scheduler."""
    study = small()
    with Cluster(tmp_path / "cluster") as made:
        made.add()
        made.add()
        undisturbed, worker_killed, scheduler_killed = (tmp_path / name for name in "abc")
        assert compute(study, undisturbed, scheduler=str(made.file)) == []
        assert differ(study.store(undisturbed), whole) == []
        assert set(stored(opened(study, undisturbed)).values()) == {1}
        assert len(stored(opened(study, undisturbed))) == planned(study)
        assert len(cluster.encoders(undisturbed)) == len(cluster.encoders(whole.parent)) == 6

        shown = After(3, made.workers[0].kill)
        assert compute(study, worker_killed, shown, scheduler=str(made.file)) == []
        assert made.workers[0].wait(10) == -signal.SIGKILL
        assert differ(study.store(worker_killed), whole) == []
        assert len(stored(opened(study, worker_killed))) == planned(study)

        # An unfit worker joins while others compute: one that is there at the start ends the command.
        shown = After(3, made.scheduler.kill, {1: lambda: made.add("--nthreads", "2")})
        with pytest.raises(Unfinished, match="the connection to the scheduler is lost"):
            compute(study, scheduler_killed, shown, scheduler=str(made.file))
        left_out = any("--nthreads 1 (this worker is left out)" in line for line in shown.said_lines)
        assert made.workers[-1].poll() in (None, 0) or left_out  # it may have come when the scheduler had gone
        assert 3 <= len(stored(opened(study, scheduler_killed))) < planned(study)
    assert compute(study, scheduler_killed, workers=0) == []
    assert differ(study.store(scheduler_killed), whole) == []


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_is_given_up_and_the_others_are_done(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small()
    deadly_cell = design.cells(study)[deadly.DEADLY]
    monkeypatch.setitem(clusters.LOCAL_SETTINGS, "distributed.worker.preload", [deadly.__file__])
    (line,) = compute(study, tmp_path, workers=2)
    assert line == f"given up: {deadly_cell.name}: its worker process died {1 + engine.MAX_RETRIES} times"
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
        assert compute(study, tmp_path, workers=0, shard=Shard(k, 2)) == []  # requeued
    assert differ(study.store(tmp_path), whole) == []
    assert set(stored(opened(study, tmp_path)).values()) == {1}


def test_the_cells_of_a_shard_never_change() -> None:
    """A job that is requeued, also with another version, gets the cells it had."""
    names = [f"dark {share}, replicate {i}" for share in (0, 0.5, 1) for i in range(3)]
    assert [next(k for k in range(4) if Shard(k, 4).has(name)) for name in names] == [0, 1, 2, 3, 1, 1, 1, 3, 0]


def described(**changes: Any) -> dict[str, Any]:
    """The description of a fit worker, apart from what is given."""
    identity = {**fitness.installed(), "device": "cpu", "instructions": "avx2", "threads": "1", "precision": "default"}
    sound = {"cpu": True, "jobs": 1, "devices": 1, "gpu": None, "deterministic": False, "width": 1, "store": ""}
    return {"identity": identity | changes.pop("identity", {}), **sound, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jobs": 4}, "runs 4 jobs at once; start it with --nthreads 1"),
        ({"identity": {"threads": "8"}}, "XLA has 8 threads in it; start it with NPROC=1 in its environment"),
        ({"devices": 4}, "sees 4 devices; give each worker one, without --xla_force_host_platform_device_count in "),
        ({"devices": 4, "cpu": False, "deterministic": True}, "give each worker one, with CUDA_VISIBLE_DEVICES"),
        ({"cpu": False}, "adds numbers in no fixed order; start it with XLA_FLAGS="),
        ({"store": "/x: there is no result store here"}, "the folder of results has to be shared by all workers"),
        ({"identity": {"jax": "0.9.0"}}, "jax is 0.9.0, but "),
        ({"identity": {"numerics": "1"}}, "numerics is 1, but "),
        ({"identity": {"biasprop's code": "00"}}, "biasprop's code is 00, but "),
        ({"identity": {"python": "3.9"}}, "python is 3.9, but "),
        (
            {"identity": {"instructions": "avx512"}},
            "instructions is avx512, but avx2 on another worker; results would not be bit-equal",
        ),
        ({"identity": {"settings": "MKL_CBWR=AVX2"}}, "settings is MKL_CBWR=AVX2, but not set on another worker"),
    ],
)
def test_workers_that_would_give_other_bits_are_refused(changes: dict[str, Any], said: str) -> None:
    expected, others = described()["identity"], {"tcp://a:1": described()}
    assert fitness.problems(described(), expected, others) == []
    (problem,) = fitness.problems(described(**changes), expected, others)
    assert said in problem


def test_a_worker_without_the_flags_of_the_others_is_refused() -> None:
    expected = described()["identity"] | {"flags": "--xla_a=1"}
    (problem,) = fitness.problems(described(), expected, {})
    assert problem.startswith("flags is not set, but --xla_a=1 on another worker")


def test_workers_of_one_gpu_and_without_the_package_are_refused() -> None:
    gpu = described(cpu=False, deterministic=True, gpu="GPU-1")
    (problem,) = fitness.problems(gpu, gpu["identity"], {"tcp://a:1": gpu})
    assert problem == "computes on the same GPU as tcp://a:1; give each worker a GPU of its own"
    (problem,) = fitness.problems(ModuleNotFoundError("biasprop"), {}, {})
    assert problem == "biasprop is not installed there; install the same version as here"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scheduler", "tcp://127.0.0.1:9"), "--scheduler tcp://127.0.0.1:9: no scheduler answers"),
        (("--scheduler", "nowhere.json"), "--scheduler nowhere.json: there is no such file"),
        (("--scheduler", str(STUDY)), "is not a scheduler file"),
        (("--scheduler", "tcp://x:1", "--workers", "2"), "--workers: cannot be combined with --scheduler"),
        (("--scheduler", "tcp://x:1", "--shard", "0/2"), "--shard: cannot be combined with --scheduler"),
    ],
)
def test_what_is_not_a_scheduler_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_TIMEOUT_S", 0.5)
    assert main([str(STUDY), "-q", "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "1", "a/b", "1/0", "0/2/3"])
def test_what_is_not_a_shard_is_refused(shard: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(STUDY), f"--shard={shard}"])
    assert left.value.code == 2 and "is not K/N with K from 0 to N - 1" in capsys.readouterr().err


def test_a_lost_scheduler_ends_the_command_with_3_and_the_line_that_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def lost(*given: object, **how: object) -> list[str]:
        raise Unfinished("the connection to the scheduler is lost")

    monkeypatch.setattr(sweep, "run", lost)
    words = [str(STUDY), "-q", "--out", str(tmp_path), "--scheduler", "tcp://x:1"]
    assert main(words) == 3
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "the connection to the scheduler is lost",
        f"what is finished is kept; to resume: python -m biasprop.run {' '.join(words)}",
    ]


def test_waiting_for_a_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {}

        def subscribe_topic(self, topic: str, handler: object) -> None:
            pass

    monkeypatch.setattr(engine, "NO_WORKER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(engine, "POLL_INTERVAL_S", 0.05)
    lines: list[str] = []
    with pytest.raises(Unfinished, match="there was no worker for"):
        engine.WorkerPool(Empty(), ("", "", 0.0), lambda event: None, lines.append)
    assert lines == ["waiting for a worker"]


def test_a_store_of_another_study_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "STORE_VISIBLE_TIMEOUT_S", 0.0)
    assert "there is no result store" in fitness._store_problem(str(tmp_path / "none"), "x")


def test_a_study_larger_than_the_machine_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "memory", lambda: 1.5 * design.bytes_per_cell(small()))
    with pytest.raises(
        InputError, match=r"--workers: 2 processes need .* more than the .* of this machine; give --workers 1"
    ):
        compute(small(), tmp_path, workers=2)
    assert not list(tmp_path.iterdir())
