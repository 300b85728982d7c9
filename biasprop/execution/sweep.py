"""Run a study's cells: which go together, on what, and which are whose. No science in here.

On CPUs every cell is a task of a dask cluster of one-threaded processes; the store is the only truth, so a task that is
lost, repeated or killed changes nothing but time. On an accelerator cells of one structure run as batches of a fixed
width, composed from the study's full list of cells and never from what happens to be left. A batch is one task, so an
encoder is pretrained once, whoever computes.
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
from biasprop.execution import engine
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
    """Part ``k`` of ``n`` of a study's batches, for array jobs: a static choice that nobody has to coordinate."""

    k: int
    n: int

    def has(self, name: str) -> bool:
        """Whether the batch that begins with the cell of this name is in this part."""
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
        store_path: its store, made or grown as needed.
        only: factor -> levels to compute, from ``design.chosen``.
        workers: compute processes; 0 computes in this process; by default one a core, or none on an accelerator.
        progress: is told what happens.
        width: cells that a device computes at once, by default what fits (1 on a CPU).
        arms: (position in ``design.cells``, position in the cell) of those to compute, instead of ``only``.
        scheduler: address or file of a dask scheduler whose workers compute instead.
        shard: compute only this part.

    Returns:
        The cells that were given up because every worker that computed them died, a line each; the others are done.

    Raises:
        InputError: the store cannot be used or written, the scheduler or one of its workers cannot be used.
        Unfinished: the scheduler or all workers are gone.
    """
    from biasprop.hardware import device

    environment.configure()
    with ExitStack() as closing:
        client = closing.enter_context(engine.connect(scheduler)) if scheduler else None
        processes = 0 if client else device.processes() if workers is None else workers
        needs = design.bytes_per_cell(study)
        if not client and needs * max(processes, 1) > device.memory() and (processes or device.is_cpu()):
            raise InputError(_too_large(needs, processes))
        store = Store.create_or_grow(store_path, design.layout(study), attributes(study))
        cells = design.cells(study)
        wanted = {
            (i, k) for i, cell in enumerate(cells) for k, arm in enumerate(cell.arms) if design.is_chosen(arm, only)
        }
        wanted = wanted if arms is None else set(arms)

        def crew(client: Any) -> engine.WorkerPool:
            told = (str(store.path.resolve()), study.digest, needs)
            return engine.WorkerPool(client, told, lambda event: _show(progress, event), progress.say)

        team = crew(client) if client else None
        if width is None:
            width = team.width if team else 1 if processes else device.width(needs)
        sharing = 1 if team or processes else device.count()
        batches = [b for b in _batches(cells, width, sharing) if shard is None or shard.has(cells[b[0]].name)]
        wanted &= {(i, k) for batch in batches for i in batch for k in range(len(cells[i].arms))}
        store.mend((cells[i].arms[k].levels, cells[i].replicate) for i, k in sorted(wanted))
        todo = _open(store, cells, wanted)
        jobs = _jobs(study, batches, todo, store)
        named = {i for i, _ in wanted}
        progress.start(len(named), len(named) - len({i for i, _ in todo}))
        if not jobs:
            return []
        store.begin(len(todo))
        if processes:
            team = crew(closing.enter_context(engine.local_cluster(min(processes, len(jobs)))))

        def is_open(job: Job) -> bool:
            return bool(_open(store, cells, {(i, k) for i in job.members for k in job.wanted}))

        def compute(jobs: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
            return team.compute(jobs, is_open) if team else _here(jobs, progress)

        timings, seconds = Timings(Path(store_path).parent), Counter[str]()
        try:
            for job, spent in _unclaimed_first(jobs, compute):
                _record(timings, job, cells, spent)
                seconds.update(spent["seconds"])
        finally:
            timings.save()
        progress.split(seconds)
        return [
            f"given up: {cells[i].name}: {why}"
            for job, why in (team.lost if team else ())
            for i in sorted({*job.members})
        ]


def _too_large(needs: float, processes: int) -> str:
    from biasprop.hardware import device

    fits = int(device.memory() / needs)
    advice = f"give --workers {fits}" if fits else "make generator.size, finetuning.labels or evaluation.test smaller"
    count = f"{processes} processes that need" if processes > 1 else "a process that needs"
    each, there = gigabytes(needs), gigabytes(device.memory())
    return f"--workers: {count} about {each} each do not fit into the {there} of this machine; {advice}"


def share(study: Study, shard: Shard, workers: int | None = None) -> set[str]:
    """Names of the cells that a shard computes on this machine, see :func:`run`."""
    from biasprop.hardware import device

    processes = device.processes() if workers is None else workers
    cells = design.cells(study)
    width = 1 if processes else device.width(design.bytes_per_cell(study))
    batches = _batches(cells, width, 1 if processes else device.count())
    return {cells[i].name for batch in batches if shard.has(cells[batch[0]].name) for i in batch}


def _open(store: Store, cells: list[Cell], wanted: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the wanted arms, as (cell, position in the cell), that are still to be computed."""
    status = store.status()

    def is_open(i: int, k: int) -> bool:
        arm = cells[i].arms[k]
        return bool(np.isin(status[store.index(arm.levels, cells[i].replicate)][: arm.draws], TO_DO).any())

    return {(i, k) for i, k in wanted if is_open(i, k)}


def _batches(cells: list[Cell], width: int, devices: int) -> list[tuple[int, ...]]:
    """Positions of cells of one structure and with the same fine-tuning conditions, ``width`` for each of the devices
    at a time; the last batch of a kind repeats its last cell. All are of one size, in every study: so they share
    programs, and encoders, whose bits depend on it."""
    import jax

    grouped: dict[Any, list[int]] = {}
    for i, cell in enumerate(cells):
        arms = tuple(arm.condition.model_dump_json() for arm in cell.arms)
        grouped.setdefault((jax.tree.structure(cell.condition), arms), []).append(i)
    batches, size = [], width * devices
    for places in grouped.values():
        for first in range(0, len(places), size):
            batch = places[first : first + size]
            batches.append((*batch, *batch[-1:] * (size - len(batch))))
    return sorted(batches)


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


def _jobs(study: Study, batches: list[tuple[int, ...]], todo: set[tuple[int, int]], store: Store) -> list[Job]:
    """The batches that have an arm to compute, as jobs."""
    from biasprop.execution.job import Job

    told = asdict(study.origin) | {"replicates": study.replicates}
    origin = json.dumps(told, default=str)
    place = store.path.resolve()
    jobs = []
    for batch in batches:
        if arms := sorted({k for i, k in todo if i in batch}):
            jobs.append(Job(origin, batch, tuple(arms), str(place), str(place.parent / "encoders")))
    return jobs


def _here(jobs: list[Job], progress: Progress) -> Iterator[tuple[Job, dict[str, Any]]]:
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
    """Keep what a job took, a cell's share of it, for the next plan."""
    members = len(set(job.members))
    cell = cells[job.members[0]]
    if "pretrain" in spent["seconds"]:
        timings.record_pretraining(cell.condition, spent["seconds"]["pretrain"] / members)
    for arm in cell.arms:
        if arm.name in spent["arms"]:
            timings.record_arm(cell.condition, arm.condition, spent["arms"][arm.name] / members)
