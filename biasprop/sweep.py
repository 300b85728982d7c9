"""Run a study's cells: which go together, on what, and what happens when one is lost. No science in here.

On CPUs every cell is a task of a local dask cluster of one-threaded processes; the store is the only truth, so a task
that is lost, repeated or killed changes nothing but time. On an accelerator cells of one structure run in this process
as batches of a fixed width, composed from the study's full list of cells and never from what happens to be left.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop import design
from biasprop.cube import Store
from biasprop.design import Cell, Label
from biasprop.interrupt import deaf, deferred
from biasprop.progress import Progress
from biasprop.provenance import attributes
from biasprop.status import TO_DO
from biasprop.study import Study
from biasprop.timings import Timings

if TYPE_CHECKING:
    from biasprop.job import Job

RETRIES = 2
"""Times a task is tried again when its process dies."""


def run(
    study: Study,
    store_path: str | Path,
    *,
    only: Mapping[str, Sequence[Label]] | None = None,
    workers: int | None = None,
    progress: Progress,
    width: int | None = None,
    arms: Collection[tuple[int, int]] | None = None,
) -> None:
    """Compute what a study's store lacks.

    Args:
        study: what to compute.
        store_path: its store, made or grown as needed.
        only: factor -> levels to compute, from ``design.chosen``.
        workers: compute processes; 0 computes in this process; by default one a core, or none on an accelerator.
        progress: is told what happens.
        width: cells in a batch, by default what fits the device (1 on a CPU).
        arms: (position in ``design.cells``, position in the cell) of those to compute, instead of ``only``.

    Raises:
        InputError: the store cannot be used or written.
        RuntimeError: tasks were lost for a reason that is not in the store.
    """
    from biasprop import device

    os.environ.setdefault("NPROC", "1")
    store = Store.create_or_grow(store_path, design.layout(study), attributes(study))
    cells = design.cells(study)
    wanted = {(i, k) for i, cell in enumerate(cells) for k, arm in enumerate(cell.arms) if design.kept(arm, only)}
    wanted = wanted if arms is None else set(arms)
    processes = device.processes() if workers is None else workers
    if width is None:
        width = 1 if processes else device.width(design.bytes_a_cell(study))
    store.mend((cells[i].arms[k].levels, cells[i].replicate) for i, k in sorted(wanted))
    todo = _open(store, cells, wanted)
    jobs = _jobs(study, cells, todo, store, width)
    named = {i for i, _ in wanted}
    progress.start(len(named), len(named) - len({i for i, _ in todo}))
    if jobs:
        store.begin(len(todo))
        compute = _in_processes if processes else _here
        timings, seconds = Timings(Path(store_path).parent), Counter[str]()
        try:
            for job, spent in _unclaimed_first(jobs, lambda jobs: compute(jobs, min(processes, len(jobs)), progress)):
                _record(timings, job, cells, spent)
                seconds.update(spent["seconds"])
        finally:
            timings.save()
        progress.split(seconds)


def _open(store: Store, cells: list[Cell], wanted: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the wanted arms, as (cell, position in the cell), that are still to be computed."""
    status = store.status()

    def is_open(i: int, k: int) -> bool:
        arm = cells[i].arms[k]
        return bool(np.isin(status[store.index(arm.levels, cells[i].replicate)][: arm.draws], TO_DO).any())

    return {(i, k) for i, k in wanted if is_open(i, k)}


def _jobs(study: Study, cells: list[Cell], todo: set[tuple[int, int]], store: Store, width: int) -> list[Job]:
    """Batches of cells of one structure and with the same fine-tuning conditions that have an arm to compute."""
    import jax

    from biasprop.job import Job

    told = asdict(study.origin) | {"replicates": study.replicates}
    origin = json.dumps(told, default=str)
    grouped: dict[Any, list[int]] = {}
    for i, cell in enumerate(cells):
        arms = tuple(arm.condition.model_dump_json() for arm in cell.arms)
        grouped.setdefault((jax.tree.structure(cell.condition), arms), []).append(i)
    place = store.path.resolve()
    jobs = []
    for places in grouped.values():
        for first in range(0, len(places), width):
            batch = places[first : first + width]
            batch += batch[-1:] * (width - len(batch))
            if arms := sorted({k for i, k in todo if i in batch}):
                jobs.append(Job(origin, tuple(batch), tuple(arms), str(place), str(place.parent / "encoders")))
    return sorted(jobs, key=lambda job: job.members[0])


def _unclaimed_first(
    jobs: list[Job], compute: Callable[[list[Job]], Iterator[tuple[Job, dict[str, Any]]]]
) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Compute jobs; those whose cells another process has claimed come last, and wait for it to end or die."""
    claimed = []
    for job, spent in compute(jobs):
        if spent["claimed"]:
            claimed.append(replace(job, wait=True))
        else:
            yield job, spent
    if claimed:
        yield from compute(claimed)


def _here(jobs: list[Job], processes: int, progress: Progress) -> Iterator[tuple[Job, dict[str, Any]]]:
    from biasprop import device, job

    device.prepare()
    for task in jobs:
        yield task, job.run(task.text(), lambda event: _show(progress, event))


def _in_processes(jobs: list[Job], processes: int, progress: Progress) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Run jobs on a local cluster; a job whose process dies is tried again, one that raises stops the sweep."""
    from dask.distributed import as_completed

    with _cluster(processes) as client:
        client.subscribe_topic("biasprop", lambda event: _show(progress, event[1]))
        submitted = client.map(_work, [job.text() for job in jobs], pure=False)
        futures = dict(zip(submitted, jobs, strict=True))
        for future in as_completed(submitted):
            yield futures[future], future.result()


def _work(text: str) -> dict[str, Any]:
    """A job on a worker: only strings go out and a small table comes back."""
    from dask.distributed import get_worker

    from biasprop import device, job

    device.prepare()
    return job.run(text, lambda event: get_worker().log_event("biasprop", event))


@contextmanager
def _cluster(processes: int) -> Iterator[Any]:
    """A dask cluster on this machine: one-threaded processes that end with this one."""
    import logging

    import dask
    from dask.distributed import Client, LocalCluster

    environment = {"NPROC": "1", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "1"}
    settings = {
        "distributed.scheduler.allowed-failures": RETRIES,
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.admin.tick.limit": "10 min",
        "distributed.comm.timeouts.connect": "60 s",
    }
    with dask.config.set(settings), ExitStack() as closed:  # pyright: ignore[reportPrivateImportUsage]
        with deferred(), _no_sigint_for_children():
            cluster = LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address=None,  # pyright: ignore[reportArgumentType]
                host="127.0.0.1",
                env=environment,
                silence_logs=logging.CRITICAL,
            )
            closed.callback(_close, cluster.close, timeout=5)
            client = Client(cluster)
            closed.callback(_close, client.close, timeout=2)
        yield client


@contextmanager
def _no_sigint_for_children() -> Iterator[None]:
    """Threads and processes begun inside never get SIGINT, nor do those that they begin later.

    A terminal sends Ctrl-C to every process of the foreground group; only this one answers, and ends its workers.
    """
    resource_tracker.ensure_running()  # its start unblocks SIGINT, so not in there
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(close: Callable[..., Any], timeout: float) -> None:
    """Close within ``timeout`` seconds, deaf to a second Ctrl-C."""
    with deaf():
        close(timeout=timeout)


def _show(progress: Progress, event: Mapping[str, Any]) -> None:
    if "arm" in event:
        progress.arm(event["arm"], event["status"], event["seconds"])
    else:
        progress.cell(event["cell"], event["stage"], event["step"], event["steps"])


def _record(timings: Timings, job: Job, cells: list[Cell], spent: Mapping[str, Any]) -> None:
    """Keep what a job took, a cell's share of it, for the next plan."""
    members = len(set(job.members))
    cell = cells[job.members[0]]
    if "pretrain" in spent["seconds"]:
        timings.record_pretraining(cell.condition, spent["seconds"]["pretrain"] / members)
    for arm in cell.arms:
        if arm.name in spent["arms"]:
            timings.record_arm(cell.condition, arm.condition, spent["arms"][arm.name] / members)
