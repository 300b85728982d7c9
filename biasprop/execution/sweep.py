"""Run a study's cells: which are missing, which are computed together, and where. No science in here.

On CPUs every cell is a job of a dask cluster of single-threaded processes. On an accelerator, cells of one structure
are computed as batches of a fixed width, formed from the study's full list of cells and not from those that are left.
A batch is one job, so an encoder is pretrained once. What is stored is done: a job that is lost, repeated or killed
costs nothing but time.
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


@dataclass(frozen=True)
class Shard:
    """Part ``k`` of ``n`` of a study's batches, for array jobs: a fixed assignment that needs no coordination."""

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
        workers: compute processes; 0 computes in this process; by default one per core, or 0 on an accelerator.
        progress: display that is kept up to date.
        width: cells that a device computes at once, by default as many as fit (1 on a CPU).
        arms: (position in ``design.cells``, position in the cell) of the arms to compute, instead of ``only``.
        scheduler: address or file of a dask scheduler whose workers compute instead.
        shard: compute only this part.

    Returns:
        One line for each cell that was given up because its workers died; all others are done.

    Raises:
        InputError: the store cannot be used or written, or the scheduler or one of its workers cannot be used.
        Unfinished: the scheduler or all workers are gone.
    """
    from biasprop.hardware import device

    environment.configure()
    with ExitStack() as closing:
        client = closing.enter_context(clusters.connect(scheduler)) if scheduler else None
        processes = 0 if client else device.processes() if workers is None else workers
        bytes_per_cell = design.bytes_per_cell(study)
        if not client and bytes_per_cell * max(processes, 1) > device.memory() and (processes or device.is_cpu()):
            raise InputError(_too_large(bytes_per_cell, processes))
        store = Store.create_or_grow(store_path, design.layout(study), attributes(study))
        cells = design.cells(study)
        wanted = {
            (i, k) for i, cell in enumerate(cells) for k, arm in enumerate(cell.arms) if design.is_chosen(arm, only)
        }
        wanted = wanted if arms is None else set(arms)

        def worker_pool(client: Any) -> engine.WorkerPool:
            needs = (str(store.path.resolve()), study.digest, bytes_per_cell)
            return engine.WorkerPool(client, needs, lambda event: _show(progress, event), progress.say)

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
            pool = worker_pool(closing.enter_context(clusters.local_cluster(min(processes, len(jobs)))))

        def is_open(job: Job) -> bool:
            return bool(_open(store, cells, {(i, k) for i in job.members for k in job.wanted}))

        def compute(jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
            return pool.compute(jobs, is_open) if pool else _compute_here(jobs, progress)

        timings, seconds = Timings(Path(store_path).parent), Counter[str]()
        try:
            for job, spent in _unlocked_first(jobs, compute):
                _record(timings, job, cells, spent)
                seconds.update(spent["seconds"])
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
    """Names of the cells that a shard computes on this machine, see :func:`run`."""
    from biasprop.hardware import device

    processes = device.processes() if workers is None else workers
    cells = design.cells(study)
    width = 1 if processes else device.width(design.bytes_per_cell(study))
    batches = _batches(cells, width, 1 if processes else device.count())
    return {cells[i].name for batch in batches if shard.has(cells[batch[0]].name) for i in batch}


def _open(store: Store, cells: list[Cell], wanted: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The wanted arms, as (cell, position in the cell), that are still to be computed."""
    status = store.status()

    def is_open(i: int, k: int) -> bool:
        arm = cells[i].arms[k]
        return bool(np.isin(status[store.index(arm.levels, cells[i].replicate)][: arm.draws], TO_DO).any())

    return {(i, k) for i, k in wanted if is_open(i, k)}


def _batches(cells: list[Cell], width: int, devices: int) -> list[tuple[int, ...]]:
    """Group cells of one structure with the same fine-tuning conditions into batches, as positions in ``cells``.

    A batch has ``width`` cells for each device; the last one of a group repeats its last cell. All are of one size, in
    every study, so that studies share programs, and encoders, whose bits depend on that size.
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
    """Compute jobs; those with a cell that another process has locked come last, and wait until it ends or dies."""
    locked = []
    for job, spent in compute(jobs):
        if spent["locked"]:
            locked.append(replace(job, wait=True))
        else:
            yield job, spent
    if locked:
        yield from compute(locked)


def _jobs(study: Study, batches: list[tuple[int, ...]], todo: set[tuple[int, int]], store: Store) -> list[Job]:
    """The batches that have an arm to compute, as jobs."""
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
    from biasprop.hardware import device

    device.prepare()
    for task in jobs:
        yield task, job.run(task.text(), lambda event: _show(progress, event))


def _show(progress: Progress, event: Mapping[str, Any]) -> None:
    if "arm" in event:
        progress.arm(event["arm"], event["status"], event["seconds"])
    else:
        progress.cell(event["cell"], event["stage"], event["step"], event["steps"])


def _record(timings: Timings, job: Job, cells: list[Cell], spent: Mapping[str, Any]) -> None:
    """Keep the time that a job took per cell, for later plans."""
    members = len(set(job.members))
    cell = cells[job.members[0]]
    if "pretrain" in spent["seconds"]:
        timings.record_pretraining(cell.condition, spent["seconds"]["pretrain"] / members)
    for arm in cell.arms:
        if arm.name in spent["arms"]:
            timings.record_arm(cell.condition, arm.condition, spent["arms"][arm.name] / members)
