"""What a worker of a dask cluster does: it says how it computes, then it computes jobs.

Only strings and numbers cross the wire; the functions travel by name, so the package is installed on every worker.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biasprop.hardware import environment

STORE_VISIBLE_TIMEOUT_S = 10.0
"""Seconds that a folder made on one machine may take to be seen on another (network file systems remember absence)."""


class Cancelled(BaseException):
    """Nobody waits for this job any more. No ``Exception``: that would be taken for an arm's failure and stored."""


class FingerprintMismatch(Exception):
    """This process does not compute as the one that introduced itself under this address."""


@functools.cache
def identity() -> dict[str, str]:
    """All that decides bits, apart from the study and the width of a batch: the same on every worker of a sweep."""
    environment.configure()
    from biasprop.hardware import device

    mark = {name: str(value) for name, value in device.fingerprint(1).items() if name != "width"}
    return installed() | mark


def installed() -> dict[str, str]:
    """Versions of what makes numbers, which have to be those of the command that asks."""
    from biasprop import NUMERICS
    from biasprop.execution import provenance

    own = {"python": ".".join(platform.python_version_tuple()[:2]), "numerics": str(NUMERICS)}
    return own | provenance.versions() | {"biasprop's code": provenance.code()}


def describe(store: str, digest: str, bytes_per_cell: float, dask_worker: Any) -> dict[str, Any]:
    """How this worker computes, for :func:`incompatibilities` and for whoever compares it with others.

    Args:
        store: the study's store, which has to be seen from here.
        digest: of the study.
        bytes_per_cell: what a cell needs, see ``design.bytes_per_cell``.
        dask_worker: filled in by dask.
    """
    who = identity()
    import jax

    from biasprop.hardware import device

    return {
        "identity": who,
        "cpu": device.is_cpu(),
        "jobs": dask_worker.state.nthreads,
        "devices": jax.local_device_count(),
        "card": device.gpu_uuid(),
        "orders": environment.DETERMINISTIC_FLAG in os.environ.get("XLA_FLAGS", ""),
        "width": device.width(bytes_per_cell),
        "store": _sees(store, digest),
    }


def incompatibilities(told: Mapping[str, Any]) -> list[str]:
    """Why a worker that has introduced itself cannot compute for a study, each with what would be right."""
    problems = []
    threads = told["identity"]["threads"]
    if told["jobs"] != 1:
        problems.append(f"runs {told['jobs']} jobs at once; start it with --nthreads 1")
    if told["cpu"] and threads != "1":
        problems.append(f"XLA has {threads} threads in it; start it with NPROC=1, and one worker for each core")
    if told["devices"] != 1:
        problems.append(
            f"sees {told['devices']} devices; give each worker one, with CUDA_VISIBLE_DEVICES, --gpus-per-task=1 or "
            "dask cuda worker"
        )
    if not told["cpu"] and not told["orders"]:
        problems.append(f"adds in any order; start it with XLA_FLAGS={environment.DETERMINISTIC_FLAG}")
    if told["store"]:
        problems.append(f"{told['store']}; stores have to lie in a folder that all workers share")
    return problems


def work(text: str, who: Mapping[str, str], topic: str) -> dict[str, Any]:
    """Compute a job.

    Args:
        text: from ``Job.text``.
        who: the identity under which this worker was found fit.
        topic: under which events are told.

    Returns:
        See ``job.run``.

    Raises:
        Unlike: another process has taken the worker's place.
    """
    if identity() != who:
        raise FingerprintMismatch
    from dask.distributed import get_worker

    from biasprop.execution import job
    from biasprop.hardware import device

    device.prepare()
    worker = get_worker()
    key = worker.get_current_task()

    def tell(event: dict[str, Any]) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise Cancelled
        worker.log_event(topic, event)

    return job.run(text, tell)


def _sees(store: str, digest: str) -> str:
    """Why a store cannot be used from here; empty if it can."""
    from biasprop.component import InputError
    from biasprop.store.store import Store

    until = time.monotonic() + STORE_VISIBLE_TIMEOUT_S
    while not Path(store).exists() and time.monotonic() < until:
        time.sleep(0.2)
    try:
        found = Store.open(store).attrs.get("digest")
    except InputError as error:
        return error.problems[0]
    except OSError as error:
        return f"{store}: cannot be opened ({error.strerror or error})"
    return "" if found == digest else f"{store}: is the store of another study there"
