"""Run a study's cells: find the arms that its store lacks, batch their cells into jobs, and compute the jobs.

On CPUs every cell is a job of a dask cluster of single-threaded processes. On an accelerator, cells of one structure
(the same compiled program) are computed as batches of a fixed width, formed from the study's full list of cells and not
from the unfinished ones. A batch is one job, so an encoder is pretrained once. An arm counts as done only when it is
stored, so a job that is lost, repeated or killed costs time and changes no result.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biasprop.component import InputError
from biasprop.execution import clusters, engine
from biasprop.execution.progress import Progress
from biasprop.execution.provenance import attributes
from biasprop.hardware import environment
from biasprop.hardware.memory import gigabytes
from biasprop.status import TO_DO
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.design import Cell, Label
from biasprop.study.study import Study
from biasprop.study.timings import Timings

if TYPE_CHECKING:
    from biasprop.execution.job import Job


UNORDERED = (
    "JAX has already started in this process, without XLA_FLAGS that make the GPU add numbers in a fixed order; import "
    f"biasprop and call it first, or set XLA_FLAGS={environment.DETERMINISTIC_FLAG} before the first use of JAX"
)
"""Why a process of the user cannot compute."""


@dataclass(frozen=True)
class Shard:
    """Part ``k`` (from 0) of ``n`` of a study's batches, for array jobs; batches are assigned by hash of a name."""

    k: int
    n: int

    def has(self, name: str) -> bool:
        """Whether the batch whose first cell has this name is in this part."""
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % self.n == self.k


def run(
    study: Study,
    store_path: str | Path,
    *,
    only: Mapping[str, Sequence[Label]] | None = None,
    workers: int | None = None,
    progress: Progress,
    width: int | None = None,
    arms: Collection[tuple[int, int]] | None = None,
    scheduler: str | None = None,
    shard: Shard | None = None,
) -> list[str]:
    """Compute what a study's store lacks.

    Args:
        study: what to compute.
        store_path: its store, created or extended as needed.
        only: factor -> levels to compute, from ``design.chosen``.
        workers: number of compute processes; 0 computes in this process, as does a CPU on which none can be started.
            Default: one per core, 0 on an accelerator.
        progress: display to update.
        width: number of cells that a device computes at once, by default as many as fit (1 on a CPU).
        arms: arms to compute instead of those of ``only``, as (position in ``design.cells``, position in the cell).
        scheduler: address or file of a dask scheduler whose workers compute instead.
        shard: compute only this part of the batches.

    Returns:
        One message for each cell that was given up because its workers died; all others are done.

    Raises:
        InputError: the store cannot be used or written, or the scheduler or one of its workers cannot be used, or no
            process can be started beside an accelerator.
        Unfinished: the scheduler or all workers are lost.
    """
    from biasprop.hardware import device

    with ExitStack() as contexts:
        contexts.enter_context(environment.configured())
        client = contexts.enter_context(clusters.connect(scheduler)) if scheduler else None
        processes = 0 if client else device.processes() if workers is None else workers
        bytes_per_cell = design.bytes_per_cell(study)
        if not client and bytes_per_cell * max(processes, 1) > device.memory() and (processes or device.is_cpu()):
            raise InputError(_too_large(bytes_per_cell, processes))
        if not client and not processes and not device.is_cpu() and environment.started_without_flags():
            raise InputError(UNORDERED)
        store = Store.create_or_grow(store_path, design.layout(study), attributes(study))
        cells = design.cells(study)
        wanted = {
            (i, k) for i, cell in enumerate(cells) for k, arm in enumerate(cell.arms) if design.is_chosen(arm, only)
        }
        wanted = wanted if arms is None else set(arms)

        def worker_pool(client: Any) -> engine.WorkerPool:
            requirements = (str(store.path.resolve()), study.digest, bytes_per_cell)
            return engine.WorkerPool(client, requirements, lambda event: _show(progress, event), progress.say)

        pool = worker_pool(client) if client else None
        if width is None:
            width = pool.width if pool else 1 if processes else device.width(bytes_per_cell)
        devices = 1 if pool or processes else device.count()
        batches = [b for b in _batches(cells, width, devices) if shard is None or shard.has(cells[b[0]].name)]
        wanted &= {(i, k) for batch in batches for i in batch for k in range(len(cells[i].arms))}
        store.mend((cells[i].arms[k].levels, cells[i].replicate) for i, k in sorted(wanted))
        todo = _open(store, cells, wanted)
        jobs = _jobs(study, batches, todo, store)
        wanted_cells = {i for i, _ in wanted}
        progress.start(len(wanted_cells), len(wanted_cells) - len({i for i, _ in todo}))
        if not jobs:
            return []
        store.begin(len(todo))
        if processes:
            try:
                pool = worker_pool(contexts.enter_context(clusters.local_cluster(min(processes, len(jobs)))))
            except clusters.CannotStart as error:
                if not device.is_cpu():  # which computes other bits
                    raise InputError(f"--workers {processes}: {error}; give --workers 0 to compute without") from error
                progress.say(f"{error}; computing in this process")
        if not pool:
            contexts.enter_context(device.computing())

        def is_open(job: Job) -> bool:
            return bool(_open(store, cells, {(i, k) for i in job.members for k in job.wanted}))

        def compute(jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
            return pool.compute(jobs, is_open) if pool else _compute_here(jobs, progress)

        timings, seconds = Timings(Path(store_path).parent), Counter[str]()
        try:
            for job, job_report in _unlocked_first(jobs, compute):
                _record_timings(timings, job, cells, job_report)
                seconds.update(job_report["seconds"])
        finally:
            timings.save()
        progress.split(seconds)
        return [
            f"given up: {cells[i].name}: {reason}"
            for job, reason in (pool.given_up if pool else ())
            for i in sorted({*job.members})
        ]


def _too_large(bytes_per_cell: float, processes: int) -> str:
    from biasprop.hardware import device

    fits = int(device.memory() / bytes_per_cell)
    advice = f"give --workers {fits}" if fits else "make generator.size, finetuning.labels or evaluation.test smaller"
    need, each = (f"{processes} processes need", " each") if processes > 1 else ("one process needs", "")
    per_cell, available = gigabytes(bytes_per_cell), gigabytes(device.memory())
    return f"--workers: {need} about {per_cell}{each}, more than the {available} of this machine; {advice}"


def share(study: Study, shard: Shard, workers: int | None = None) -> set[str]:
    """Names of the cells that :func:`run` computes for a shard on this machine."""
    from biasprop.hardware import device

    processes = device.processes() if workers is None else workers
    cells = design.cells(study)
    width = 1 if processes else device.width(design.bytes_per_cell(study))
    batches = _batches(cells, width, 1 if processes else device.count())
    return {cells[i].name for batch in batches if shard.has(cells[batch[0]].name) for i in batch}


def _open(store: Store, cells: list[Cell], wanted: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the wanted arms that are still to be computed, as (position in ``cells``, position in the cell)."""
    status = store.status()

    def is_open(i: int, k: int) -> bool:
        arm = cells[i].arms[k]
        return bool(np.isin(status[store.index(arm.levels, cells[i].replicate)][: arm.draws], TO_DO).any())

    return {(i, k) for i, k in wanted if is_open(i, k)}


def _batches(cells: list[Cell], width: int, devices: int) -> list[tuple[int, ...]]:
    """Group cells of one structure with the same fine-tuning conditions into batches, as positions in ``cells``.

    A batch has ``width`` cells for each device; the last batch of a group is filled by repeating its last cell. The
    bits of an encoder depend on the batch size, so all batches of all studies have one size, and studies can share
    encoders and compiled programs.
    """
    import jax

    groups: dict[Any, list[int]] = {}
    for i, cell in enumerate(cells):
        arms = tuple(arm.condition.model_dump_json() for arm in cell.arms)
        groups.setdefault((jax.tree.structure(cell.condition), arms), []).append(i)
    batches, size = [], width * devices
    for positions in groups.values():
        for first in range(0, len(positions), size):
            batch = positions[first : first + size]
            batches.append((*batch, *batch[-1:] * (size - len(batch))))
    return sorted(batches)


def _unlocked_first(
    jobs: list[Job], compute: Callable[[list[Job]], Iterator[tuple[Job, dict[str, Any]]]]
) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Compute jobs; those with a cell that another process has locked are repeated last, waiting for the lock."""
    locked = []
    for job, job_report in compute(jobs):
        if job_report["locked"]:
            locked.append(replace(job, wait=True))
        else:
            yield job, job_report
    if locked:
        yield from compute(locked)


def _jobs(study: Study, batches: list[tuple[int, ...]], todo: set[tuple[int, int]], store: Store) -> list[Job]:
    """One job for each batch that has an arm to compute."""
    from biasprop.execution.job import Job

    origin = json.dumps(asdict(study.origin) | {"replicates": study.replicates}, default=str)
    path = store.path.resolve()
    jobs = []
    for batch in batches:
        if arms := sorted({k for i, k in todo if i in batch}):
            jobs.append(Job(origin, batch, tuple(arms), str(path), str(path.parent / "encoders")))
    return jobs


def _compute_here(jobs: list[Job], progress: Progress) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Compute jobs in this process, one after another."""
    from biasprop.execution import job

    for task in jobs:
        yield task, job.run(task.text(), lambda event: _show(progress, event))


def _show(progress: Progress, event: Mapping[str, Any]) -> None:
    if "arm" in event:
        progress.arm(event["arm"], event["status"], event["seconds"])
    else:
        progress.cell(event["cell"], event["stage"], event["step"], event["steps"])


def _record_timings(timings: Timings, job: Job, cells: list[Cell], job_report: Mapping[str, Any]) -> None:
    """Record the seconds per cell of a job, from which plans estimate the time of a run."""
    members = len(set(job.members))
    cell = cells[job.members[0]]
    if "pretrain" in job_report["seconds"]:
        timings.record_pretraining(cell.condition, job_report["seconds"]["pretrain"] / members)
    for arm in cell.arms:
        if arm.name in job_report["arms"]:
            timings.record_arm(cell.condition, arm.condition, job_report["arms"][arm.name] / members)
