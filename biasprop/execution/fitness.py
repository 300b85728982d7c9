"""Which workers of a dask cluster may compute: those whose results would be bit-equal to one another's.

A worker describes itself (:func:`describe`); the engine compares descriptions (:func:`problems`).
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biasprop.hardware import environment

STORE_VISIBLE_TIMEOUT_S = 10.0
"""Seconds that a folder made on one machine may take to be seen on another (network file systems cache absence)."""

NOT_SET = "not set"
"""In place of the value of an optional part of an identity, such as XLA's flags."""


@functools.cache
def identity() -> dict[str, str]:
    """Everything that decides bits, apart from the study and the width of a batch: equal on all workers of a sweep."""
    environment.configure()
    from biasprop.hardware import device

    mark = {name: str(value) for name, value in device.fingerprint(1).items() if name != "width"}
    return installed() | mark


def installed() -> dict[str, str]:
    """The part of :func:`identity` that has to be the same in the command's own process: versions and source code."""
    from biasprop import NUMERICS
    from biasprop.execution import provenance

    python = {"python": ".".join(platform.python_version_tuple()[:2]), "numerics": str(NUMERICS)}
    return python | provenance.versions() | {"biasprop's code": provenance.code()}


def describe(store: str, digest: str, bytes_per_cell: float, dask_worker: Any) -> dict[str, Any]:
    """Describe the worker that this runs in, for :func:`problems`.

    Args:
        store: path of the study's store, which has to be visible from the worker.
        digest: of the study.
        bytes_per_cell: memory of a cell, see ``design.bytes_per_cell``.
        dask_worker: filled in by dask.
    """
    described = {"identity": identity()}
    import jax

    from biasprop.hardware import device

    return described | {
        "cpu": device.is_cpu(),
        "jobs": dask_worker.state.nthreads,
        "devices": jax.local_device_count(),
        "gpu": device.gpu_uuid(),
        "deterministic": environment.sums_are_ordered(),
        "width": device.width(bytes_per_cell),
        "store": _store_problem(store, digest),
    }


def problems(
    worker: Mapping[str, Any] | BaseException, expected: Mapping[str, str], others: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Why a worker may not compute for a study, each with what to do about it; empty if it may.

    Args:
        worker: from :func:`describe`, or what was raised instead.
        expected: the identity that all workers have to have.
        others: address -> description of the workers that may compute already.
    """
    if isinstance(worker, ImportError):
        return ["biasprop is not installed there; install the same version as here"]
    if isinstance(worker, BaseException):
        return [f"cannot report its software and hardware ({worker!r}); see its log"]
    identity = worker["identity"]
    found = [
        f"{name} is {identity.get(name, NOT_SET)}, but {expected.get(name, NOT_SET)} "
        f"{'here' if name in installed() else 'on another worker'}; "
        "results would not be bit-equal, so all workers need the same"
        for name in identity | expected
        if identity.get(name) != expected.get(name) and name != "threads"  # 1 on a CPU, see below, and empty on a GPU
    ]
    threads = identity["threads"]
    if worker["jobs"] != 1:
        found.append(f"runs {worker['jobs']} jobs at once; start it with --nthreads 1")
    if worker["cpu"] and threads != "1":
        found.append(f"XLA has {threads} threads in it; start it with NPROC=1 in its environment, one worker per core")
    if worker["devices"] != 1:
        several = "CUDA_VISIBLE_DEVICES, --gpus-per-task=1 or dask cuda worker"
        one = f"without {environment.DEVICE_COUNT_FLAG} in XLA_FLAGS" if worker["cpu"] else f"with {several}"
        found.append(f"sees {worker['devices']} devices; give each worker one, {one}")
    if not worker["cpu"] and not worker["deterministic"]:
        found.append(
            "its GPU adds numbers in no fixed order; start it with "
            f"XLA_FLAGS={environment.DETERMINISTIC_FLAG} in its environment"
        )
    if worker["store"]:
        found.append(f"{worker['store']}; the folder of results has to be shared by all workers")
    found += [
        f"computes on the same GPU as {address}; give each worker a GPU of its own"
        for address, other in others.items()
        if worker["gpu"] and worker["gpu"] == other["gpu"]
    ]
    return found


def _store_problem(store: str, digest: str) -> str:
    """Why a study's store cannot be used from here; empty if it can."""
    from biasprop.component import InputError
    from biasprop.store.store import Store

    deadline = time.monotonic() + STORE_VISIBLE_TIMEOUT_S
    while not Path(store).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    try:
        stored_digest = Store.open(store).attrs.get("digest")
    except InputError as error:
        return error.problems[0]
    except OSError as error:
        return f"{store}: cannot be opened there ({error.strerror or error})"
    return "" if stored_digest == digest else f"{store}: is the store of another study there"
