"""The engine: hands jobs to the workers of a dask cluster, the user's own or one on this machine.

A worker gets one job at a time, and only after it was found fit. Why that is not left to dask's scheduler is in the
README of this folder. Futures are not trusted: whatever is lost, the store says what is done.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from biasprop.component import InputError, Unfinished
from biasprop.execution import fitness, worker
from biasprop.execution.interrupt import signals_ignored

if TYPE_CHECKING:
    from biasprop.execution.job import Job

MAX_RETRIES = 2
"""Times a job is tried again after its worker died; then it is given up, so that it cannot end all workers."""

NO_WORKER_TIMEOUT_S = 600.0
"""Seconds without any worker after which a sweep gives up."""

POLL_INTERVAL_S = 0.5
"""Seconds between two looks at which workers there are."""

JobReport = dict[str, Any]
"""What a job took, see ``job.run``."""


class WorkerPool:
    """The fit workers of one cluster.

    Args:
        client: of the cluster.
        needs: of the study: store, digest and bytes per cell, see ``fitness.describe``.
        on_event: called with the events of jobs.
        say: called with a line for the user.

    Raises:
        InputError: workers that are there from the start are unfit.
        Unfinished: no worker came, or the scheduler is gone.
    """

    def __init__(
        self,
        client: Any,
        needs: tuple[str, str, float],
        on_event: Callable[[Mapping[str, Any]], None],
        say: Callable[[str], None],
    ):
        self.client, self.needs, self.say = client, needs, say
        self.topic = f"biasprop-{os.getpid()}-{os.urandom(4).hex()}"
        client.subscribe_topic(self.topic, lambda stamped: on_event(stamped[1]))
        self.identity: dict[str, str] = {}
        """What every worker has to be, see ``fitness.identity``; the first workers decide."""
        self.fit: dict[str, dict[str, Any]] = {}
        """Address -> description, of the workers that may compute."""
        self.left_out: set[str] = set()
        """Addresses of unfit workers."""
        self.given_up: list[tuple[Job, str]] = []
        """Jobs that were given up, and why."""
        self.without_worker_since: float | None = None
        while not self._fit_workers():
            time.sleep(POLL_INTERVAL_S)

    @property
    def width(self) -> int:
        """Number of cells in a batch that fits every worker."""
        return min(description["width"] for description in self.fit.values())

    def compute(self, jobs: Sequence[Job], is_open: Callable[[Job], bool]) -> Iterator[tuple[Job, JobReport]]:
        """Run jobs until their arms are stored; a job that raises or ends its workers does not stop the others.

        Args:
            jobs: in the order in which to start them.
            is_open: whether the store still lacks an arm of a job.

        Returns:
            Computed jobs with their reports, as they end. Jobs that are given up are added to ``given_up``.

        Raises:
            Unfinished: the scheduler or all workers are gone.
            Exception: the first that a job raised, once all others have ended.
        """
        waiting, raised = deque(jobs), list[Exception]()
        deaths: Counter[Job] = Counter()
        running: dict[str, tuple[Job, Any]] = {}  # address -> job and future
        try:
            while waiting or running:
                fit = self._fit_workers()
                for address in sorted(fit - set(running))[: len(waiting)]:
                    job = waiting.popleft()
                    running[address] = job, self._submit(job, address)
                self._wait([future for _, future in running.values()])
                for address, (job, future) in list(running.items()):
                    if address in fit and not future.done():
                        continue
                    del running[address]
                    outcome = _outcome(future)
                    self._cancel([future])
                    if isinstance(outcome, dict):
                        yield job, outcome
                    elif outcome is not None and not isinstance(outcome, worker.FingerprintMismatch):
                        raised.append(outcome)
                    else:
                        self.fit.pop(address, None)  # a process that answers there now has to describe itself
                        deaths[job] += outcome is None
                        if not is_open(job):
                            continue
                        if deaths[job] > MAX_RETRIES:
                            self.given_up.append((job, f"its worker process died {deaths[job]} times"))
                        else:
                            waiting.append(job)
        finally:
            with signals_ignored():
                self._cancel([future for _, future in running.values()])
        if raised:
            raise raised[0]

    def _submit(self, job: Job, address: str) -> Any:
        key = f"biasprop-{job.members[0]}-{os.urandom(8).hex()}"
        how: dict[str, Any] = {"key": key, "pure": False, "workers": [address]}
        return self.client.submit(worker.work, job.text(), self.identity, self.topic, **how)

    def _wait(self, futures: list[Any]) -> None:
        """Until a job ends, at most :data:`POLL_INTERVAL_S`."""
        from dask.distributed import CancelledError, wait

        if not futures:
            time.sleep(POLL_INTERVAL_S)
            return
        with suppress(TimeoutError, CancelledError):
            wait(futures, timeout=POLL_INTERVAL_S, return_when="FIRST_COMPLETED")

    def _cancel(self, futures: list[Any]) -> None:
        """Forget futures; a worker that still computes one stops at its next event."""
        with suppress(Exception):  # the scheduler may be gone, and then there is nothing to cancel
            if futures and self.client.status == "running":
                self.client.cancel(futures, force=True)

    def _fit_workers(self) -> set[str]:
        """Addresses of the workers that are there and may compute; newcomers are asked to describe themselves first."""
        try:
            addresses = set(self.client.nthreads()) if self.client.status == "running" else None
        except (OSError, TimeoutError):  # the connection broke meanwhile
            addresses = None
        if addresses is None:
            raise Unfinished("the connection to the scheduler is lost")
        self.fit = {address: description for address, description in self.fit.items() if address in addresses}
        if newcomers := addresses - set(self.fit) - self.left_out:
            self._admit(sorted(newcomers))
        now = time.monotonic()
        if self.fit:
            self.without_worker_since = None
        elif self.without_worker_since is None:
            self.without_worker_since = now
            self.say("waiting for a worker")
        elif now - self.without_worker_since > NO_WORKER_TIMEOUT_S:
            raise Unfinished(f"there was no worker for {NO_WORKER_TIMEOUT_S / 60:.0f} minutes")
        return set(self.fit)

    def _admit(self, newcomers: list[str]) -> None:
        """Let newcomers that are fit compute, and name the others."""
        described: Mapping[str, Any]
        try:
            described = self.client.run(fitness.describe, *self.needs, workers=newcomers, on_error="return")
        except Exception as error:  # raised here if a worker cannot load the function
            described = dict.fromkeys(newcomers, error)
        # Where the connection broke, the worker is gone, or it is asked again.
        described = {address: found for address, found in described.items() if not isinstance(found, OSError)}
        first = not self.identity
        if first and described:
            sound = (found["identity"] for found in described.values() if not isinstance(found, BaseException))
            self.identity = next(sound, {}) | fitness.installed()
        unfit: dict[str, list[str]] = {}
        for address, found in described.items():
            if problems := fitness.problems(found, self.identity, self.fit):
                self.left_out.add(address)
                for problem in problems:
                    unfit.setdefault(problem, []).append(address)
            else:
                self.fit[address] = found
        lines = [f"worker {', '.join(addresses)}: {problem}" for problem, addresses in unfit.items()]
        if first and lines:
            raise InputError(lines)
        for line in lines:
            self.say(f"{line} (this worker is left out)")


def _outcome(future: Any) -> JobReport | Exception | None:
    """The result of a job, what it raised, or None if it was lost with its worker."""
    from dask.distributed import KilledWorker

    try:
        if future.status == "finished":
            return future.result(timeout=30)
        if future.status == "error" and not isinstance(error := future.exception(timeout=30), KilledWorker):
            return error
    except Exception:  # the worker that held it, or the scheduler, is gone
        pass
    return None
