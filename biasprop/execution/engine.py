"""The engine: jobs go to the workers of a dask cluster, the user's own or one of this machine.

A worker gets one job at a time, and only after it has shown that it computes as the others do. Futures are not trusted:
a worker that dies, a result that is lost or a scheduler that is gone cost time, and the store says what is done.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.component import InputError, Unfinished
from biasprop.execution import worker
from biasprop.execution.interrupt import signals_deferred, signals_ignored

if TYPE_CHECKING:
    from biasprop.execution.job import Job

MAX_RETRIES = 2
"""Times a job is tried again when its worker dies; then it is left out, so that it cannot take all workers along."""

NO_WORKER_TIMEOUT_S = 600.0
"""Seconds without any worker after which a sweep gives up."""

CONNECT_TIMEOUT_S = 15.0
"""Seconds in which a scheduler has to answer."""

POLL_INTERVAL_S = 0.5
"""Seconds between two looks at who is there."""

Spent = dict[str, Any]


class WorkerPool:
    """The workers of one cluster that compute alike.

    Args:
        client: of the cluster.
        expected: what a worker is asked for, see ``worker.introduce``: store, digest and bytes a cell.
        event: is called with what jobs tell.
        say: is called with a line for the user.

    Raises:
        InputError: workers that are there from the start cannot be used, or differ from one another or from here.
        Unfinished: no worker came.
    """

    def __init__(
        self,
        client: Any,
        expected: tuple[str, str, float],
        event: Callable[[Mapping[str, Any]], None],
        say: Callable[[str], None],
    ):
        self.client, self.expected, self.say = client, expected, say
        self.topic = f"biasprop-{os.getpid()}-{os.urandom(4).hex()}"
        client.subscribe_topic(self.topic, lambda told: event(told[1]))
        self.who: dict[str, str] = {}
        """What every worker has to be."""
        self.fit: dict[str, dict[str, Any]] = {}
        """Address -> how the worker introduced itself."""
        self.left_out: set[str] = set()
        self.lost: list[tuple[Job, str]] = []
        """Jobs that were given up, and why."""
        self.alone_since: float | None = None
        while not self._present():
            time.sleep(POLL_INTERVAL_S)

    @property
    def width(self) -> int:
        """Cells in a batch that fits every worker."""
        return min(told["width"] for told in self.fit.values())

    def compute(self, jobs: Sequence[Job], is_open: Callable[[Job], bool]) -> Iterator[tuple[Job, Spent]]:
        """Run jobs, each until its arms are stored; those that raise or kill their workers do not stop the others.

        Args:
            jobs: in the order they are wanted.
            is_open: whether the store still lacks an arm of a job.

        Returns:
            Each job that was computed and what it spent, as they end. Those that were given up stand in ``lost``.

        Raises:
            Unfinished: the scheduler or all workers are gone.
            Exception: the first that a job raised, once all others have ended.
        """
        waiting: deque[Job] = deque(jobs)
        deaths: Counter[Job] = Counter()
        running: dict[Any, tuple[Job, str]] = {}
        raised: list[BaseException] = []

        def again(job: Job, died: bool) -> None:
            """Put a job back that has not ended, behind all others."""
            deaths[job] += died
            if not is_open(job):
                return
            if deaths[job] > MAX_RETRIES:
                self.lost.append((job, f"the process that computed it died {deaths[job]} times"))
            else:
                waiting.append(job)

        try:
            while waiting or running:
                present = self._present()
                busy = {address for _, address in running.values()}
                for address in sorted(present - busy):
                    if waiting:
                        job = waiting.popleft()
                        running[self._submit(job, address)] = job, address
                self._rest(list(running))
                for future, (job, address) in list(running.items()):
                    gone = address not in present
                    if not (future.done() or gone):
                        continue
                    del running[future]
                    ended, what = _outcome(future)
                    self._forget([future])
                    if ended == "finished":
                        yield job, what
                    elif ended == "erred" and not isinstance(what, worker.FingerprintMismatch):
                        raised.append(what)
                    else:
                        again(job, died=not isinstance(what, worker.FingerprintMismatch))
                        self.fit.pop(address, None)  # whoever answers there now has to introduce itself
        finally:
            with signals_ignored():
                self._forget(list(running))
        if raised:
            raise raised[0]

    def _submit(self, job: Job, address: str) -> Any:
        key = f"biasprop-{job.members[0]}-{os.urandom(8).hex()}"
        where: dict[str, Any] = {"workers": [address], "allow_other_workers": False, "retries": 0}
        return self.client.submit(worker.work, job.text(), self.who, self.topic, key=key, pure=False, **where)

    def _rest(self, running: list[Any]) -> None:
        """Until a job ends, or a moment has passed."""
        from dask.distributed import CancelledError, wait

        if not running:
            time.sleep(POLL_INTERVAL_S)
            return
        with suppress(TimeoutError, CancelledError):
            wait(running, timeout=POLL_INTERVAL_S, return_when="FIRST_COMPLETED")

    def _forget(self, futures: list[Any]) -> None:
        """Workers stop what nobody waits for at their next sign of life."""
        with suppress(Exception):  # the scheduler may be gone, and then there is nothing to forget
            if futures and self.client.status == "running":
                self.client.cancel(futures, force=True)

    def _present(self) -> set[str]:
        """Addresses of the workers that are there and fit; newcomers introduce themselves first."""
        addresses = self._addresses()
        for gone in set(self.fit) - addresses:
            del self.fit[gone]
        newcomers = addresses - set(self.fit) - self.left_out
        if newcomers:
            self._meet(newcomers)
        if self.fit:
            self.alone_since = None
        else:
            self._wait_alone()
        return set(self.fit)

    def _addresses(self) -> set[str]:
        try:
            if self.client.status == "running":
                return set(self.client.nthreads())
        except (OSError, TimeoutError):  # the connection broke while we asked
            pass
        raise Unfinished("the scheduler is gone")

    def _wait_alone(self) -> None:
        now = time.monotonic()
        if self.alone_since is None:
            self.alone_since = now
            self.say("waiting for a worker")
        if now - self.alone_since > NO_WORKER_TIMEOUT_S:
            raise Unfinished(f"no worker for {NO_WORKER_TIMEOUT_S / 60:.0f} minutes")

    def _meet(self, newcomers: set[str]) -> None:
        told: Mapping[str, Any]
        try:
            told = self.client.run(worker.describe, *self.expected, workers=sorted(newcomers), on_error="return")
        except Exception as error:  # raised here where a worker cannot even load the function, or is gone already
            told = dict.fromkeys(sorted(newcomers), error)
        if not self.who:
            self._found(told)
            return
        for address, own in told.items():
            if problems := _problems({address: own}, self.who, self.fit):
                if not isinstance(own, OSError):
                    self.left_out.add(address)
                    self.say("; ".join(problems) + "; this worker is left out")
            else:
                self.fit[address] = own

    def _found(self, told: Mapping[str, Any]) -> None:
        """The first workers say what all others have to be; they have the versions that this process has."""
        told = {address: own for address, own in told.items() if not isinstance(own, OSError)}
        sound = [own["identity"] for own in told.values() if not isinstance(own, BaseException)]
        if not told:
            return
        who = (sound[0] if sound else {}) | worker.installed()
        if problems := _problems(told, who, {}):
            raise InputError(problems)
        self.who, self.fit = who, dict(told)


def _problems(told: Mapping[str, Any], who: Mapping[str, str], others: Mapping[str, Any]) -> list[str]:
    """Why workers cannot be used, a line each problem with the workers that have it."""
    found: dict[str, list[str]] = {}
    cards = {own["card"]: address for address, own in others.items() if own["card"]}
    for address, own in told.items():
        if isinstance(own, BaseException):
            why = "biasprop is not installed there" if isinstance(own, ImportError) else repr(own)
            found.setdefault(f"cannot be asked how it computes ({why})", []).append(address)
            continue
        for problem in worker.incompatibilities(own):
            found.setdefault(problem, []).append(address)
        for name, value in own["identity"].items():
            if value != who[name] and name != "threads":  # of which a CPU has one, see above, and a GPU none
                where = "here" if name in worker.installed() else "on another worker"
                what = f"{name} is {value}, {where} {who[name]}; bits would differ, give all workers the same"
                found.setdefault(what, []).append(address)
        if other := cards.get(own["card"]):
            found.setdefault(f"computes on the same GPU as {other}; give each worker one of its own", []).append(
                address
            )
        if own["card"]:
            cards[own["card"]] = address
    return [f"worker {', '.join(sorted(addresses))}: {problem}" for problem, addresses in found.items()]


def _outcome(future: Any) -> tuple[str, Any]:
    """``finished`` and the result, ``erred`` and what was raised, or ``lost`` and None."""
    from dask.distributed import KilledWorker

    try:
        if future.status == "finished":
            return "finished", future.result(timeout=30)
        if future.status == "error" and not isinstance(error := future.exception(timeout=30), KilledWorker):
            return "erred", error
    except Exception:  # the worker that held it, or the scheduler, went meanwhile
        return "lost", None
    return "lost", None


@contextmanager
def connect(scheduler: str) -> Iterator[Any]:
    """A client of the user's cluster.

    Args:
        scheduler: address such as ``tcp://host:8786``, or the path of a scheduler file.

    Raises:
        InputError: no scheduler answers there.
    """
    from dask.distributed import Client

    file = Path(scheduler)
    if file.is_file():
        try:
            address = str(json.loads(file.read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"--scheduler {scheduler}: is no scheduler file (JSON with an address)") from None
    elif ":" in scheduler:
        address = scheduler
    else:
        what = "there is no such file; give an address such as tcp://host:8786 or a scheduler file"
        raise InputError(f"--scheduler {scheduler}: {what}")
    with _quiet():
        try:
            with _no_sigint_for_children():
                client = Client(address, timeout=CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError) as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(f"--scheduler {scheduler}: no scheduler answers at {address} ({why})") from None
        try:
            yield client
        finally:
            _close(client.close, timeout=2)


@contextmanager
def local_cluster(processes: int) -> Iterator[Any]:
    """A client of a cluster on this machine: one-threaded CPU processes that end with this one."""
    import dask
    from dask.distributed import Client, LocalCluster

    environment = {"NPROC": "1", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "1"}
    settings = {
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        # What dask looks at up to 100 times a second, for a dashboard that nobody has here, made training 6 % slower.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.admin.tick.limit": "10 min",
        "distributed.comm.timeouts.connect": "60 s",
    }
    with dask.config.set(settings), ExitStack() as closed:  # pyright: ignore[reportPrivateImportUsage]
        with signals_deferred(), _no_sigint_for_children():
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


@contextmanager
def _quiet() -> Iterator[None]:
    """What dask logs of lost connections is told by us, in one line."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in names]  # each has a level of its own
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _close(close: Callable[..., Any], timeout: float) -> None:
    """Close within ``timeout`` seconds, deaf to a second Ctrl-C; what takes longer ends with this process."""
    with signals_ignored(), suppress(TimeoutError, OSError):
        close(timeout=timeout)
