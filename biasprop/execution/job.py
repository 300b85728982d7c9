"""One job: a batch of cells, from their encoders to stored arms. Any process with access to the folders can run it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import jax

from biasprop.execution.cells import CellBatch, Report, distinct, error_line, is_open, is_out_of_memory, store_arm
from biasprop.execution.encoders import encoder_digest
from biasprop.execution.stage_timer import StageTimer
from biasprop.hardware import device
from biasprop.status import Status
from biasprop.store.encoders import EncoderStore
from biasprop.store.file_lock import locked
from biasprop.store.store import Store
from biasprop.study import design
from biasprop.study.design import Cell
from biasprop.study.load import remake
from biasprop.study.study import Origin, Study


@dataclass(frozen=True)
class Job:
    """A batch of cells, given by their positions in the study's full list; nothing else is sent to a worker."""

    origin: str
    """The study's ``Origin`` (text of its file and overrides), as JSON."""
    members: tuple[int, ...]
    """Positions in ``design.cells``; a batch that is not full repeats its last cell."""
    wanted: tuple[int, ...]
    """Positions in ``Cell.arms`` of the arms to compute; all cells of a batch have the same fine-tuning conditions."""
    store: str
    encoders: str
    """Paths of the study's store and of the folder of encoders."""
    wait: bool = False
    """Whether to wait for another process that has locked one of the cells, instead of skipping the job."""

    def text(self) -> str:
        """The job as JSON."""
        return json.dumps(self.__dict__)

    @classmethod
    def of(cls, text: str) -> Job:
        """The job that :meth:`text` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"members": tuple(fields["members"]), "wanted": tuple(fields["wanted"])})


def run(text: str, report: Report) -> dict[str, Any]:
    """Compute the open arms of a job and store them; skip finished ones.

    Args:
        text: from :meth:`Job.text`.
        report: called with events, see ``cells.Report``.

    Returns:
        ``seconds`` by stage (compile, pretrain, render, adapt, evaluate), ``arms``: name -> seconds without
        compilation, and ``locked``: whether nothing was done because another process has locked one of the cells.
    """
    job = Job.of(text)
    study, cells = _study(job.origin)
    members = [cells[i] for i in job.members]
    store = Store.open(job.store)
    timer = StageTimer()
    with _locked_cells(store, study, members, job.wait, report) as acquired:
        if acquired:
            _compute(study, members, store, job, timer, report)
            for cell in distinct(members):
                report({"cell": cell.name, "stage": "done", "step": 1, "steps": 1})
    return {"locked": not acquired, "seconds": timer.seconds, "arms": timer.arms}


@contextmanager
def _locked_cells(store: Store, study: Study, members: list[Cell], wait: bool, report: Report) -> Iterator[bool]:
    """Lock these cells, so that no other process computes them at the same time, on any device.

    Yields:
        Whether all are locked; False, without ``wait``, if another process has locked one of them.
    """
    folder = store.path / "locks"
    folder.mkdir(exist_ok=True)
    names = {f"{encoder_digest(cell.condition, study.seed)}-{cell.replicate}": cell for cell in members}
    with ExitStack() as locks:
        for name in sorted(names):  # in one order everywhere, to avoid a deadlock
            if wait:
                report({"cell": names[name].name, "stage": "waiting for another process", "step": 0, "steps": 1})
            if not locks.enter_context(locked(folder / name, wait=wait)):
                yield False
                return
        yield True


def _compute(study: Study, members: list[Cell], store: Store, job: Job, timer: StageTimer, report: Report) -> None:
    """Compute the open arms of a batch.

    If the device runs out of memory, compute the batch in halves, whose arms are stored with another fingerprint,
    because that contains the number of cells per device. If a cell does not fit alone, its arms are stored as failed.
    """
    arms = [k for k in job.wanted if any(is_open(store, member, member.arms[k]) for member in members)]
    if not arms:
        return
    names = [member.name for member in members]
    encoders = EncoderStore(job.encoders, lambda line: store.log({"event": "damaged", "what": line}))
    largest_cohort = design.largest_cohort(_study(job.origin)[1])
    why = ""
    try:
        CellBatch(study, members, store, encoders, largest_cohort, timer, report).run(arms)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        why = error_line(error)
        store.log({"event": "out of memory", "cells": names, "width": len(members), "why": str(error)[:500]})
    else:
        store.log({"event": "cells", "cells": names, "seconds": timer.seconds})
        return
    # Retry outside ``except``, where the error no longer keeps alive what the failed attempt had allocated.
    if len(members) == 1:
        for k in arms:
            failed = [Status.FAILED] * members[0].arms[k].draws
            store_arm(store, members[0], k, {}, failed, 0.0, device.fingerprint(1), report, {"all draws": why})
        return
    half, devices = -(-len(members) // 2), device.sharing(len(members))
    if half > devices:  # a half is a multiple of the number of devices, so that they can share it
        half = -(-half // devices) * devices
    for part in (members[:half], members[-half:]):
        _compute(study, part, store, job, timer, report)


@functools.lru_cache(maxsize=4)
def _study(origin: str) -> tuple[Study, list[Cell]]:
    fields = json.loads(origin)
    study = remake(Origin(**fields | {"set": tuple(fields["set"])}))
    return study, design.cells(study)
