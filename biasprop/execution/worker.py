"""What runs in a worker of a dask cluster: one job at a time.

Only strings and numbers cross the network; functions are sent by name, so the package is installed on every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biasprop.execution.fitness import identity


class Cancelled(BaseException):
    """The job was cancelled. Not an ``Exception``, which would be stored as the failure of an arm."""


class FingerprintMismatch(Exception):
    """This process does not compute as the one that was found fit at its address."""


def work(text: str, expected: Mapping[str, str], topic: str) -> dict[str, Any]:
    """Compute a job.

    Args:
        text: from ``Job.text``.
        expected: the identity with which this worker was found fit.
        topic: dask topic under which events are reported.

    Returns:
        See ``job.run``.

    Raises:
        FingerprintMismatch: another process has taken the worker's place.
    """
    if identity() != expected:
        raise FingerprintMismatch
    from dask.distributed import get_worker

    from biasprop.execution import job
    from biasprop.hardware import device

    worker = get_worker()
    key = worker.get_current_task()

    def report(event: dict[str, Any]) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise Cancelled
        worker.log_event(topic, event)

    with device.computing():
        return job.run(text, report)
