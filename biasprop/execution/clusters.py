"""Dask clusters: a connection to the user's own, or one started on this machine."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from biasprop.component import InputError
from biasprop.execution.interrupt import signals_deferred, signals_ignored
from biasprop.paths import user_path

CONNECT_TIMEOUT_S = 15.0
"""Seconds in which a scheduler has to answer."""


@contextmanager
def connect(scheduler: str) -> Iterator[Any]:
    """A client of the user's cluster.

    Args:
        scheduler: address such as ``tcp://host:8786``, or the path of a scheduler file.

    Raises:
        InputError: no scheduler answers there.
    """
    from dask.distributed import Client
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(logging.CRITICAL + 1):  # a lost connection is reported by the engine, in one line
        address = _address(scheduler)
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
    """A client of a cluster on this machine: single-threaded CPU processes that end with this one."""
    import dask
    from dask.distributed import Client, LocalCluster

    environment = {"NPROC": "1", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "1"}
    settings = {
        # Sampling for a dashboard that does not exist here, up to 100 times a second, made training 6 % slower.
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


def _address(scheduler: str) -> str:
    """The address of a scheduler that is given by its address or file."""
    file = user_path(scheduler)
    if file.is_file():
        try:
            return str(json.loads(file.read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError):
            problem = "this file is not a scheduler file (JSON with an address), as --scheduler-file of dask writes it"
    elif ":" in scheduler:
        return scheduler
    else:
        problem = "there is no such file; give an address such as tcp://host:8786, or a scheduler file"
    raise InputError(f"--scheduler {scheduler}: {problem}")


@contextmanager
def _no_sigint_for_children() -> Iterator[None]:
    """Keep SIGINT from threads and processes that are started inside, and from all that they start later.

    A terminal sends Ctrl-C to every process of the foreground group; only this one handles it, and ends its workers.
    """
    resource_tracker.ensure_running()  # its start unblocks SIGINT, so it must not happen inside
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(close: Callable[..., Any], timeout: float) -> None:
    """Close within ``timeout`` seconds and ignore a second Ctrl-C; what takes longer ends with this process."""
    with signals_ignored(), suppress(TimeoutError, OSError):
        close(timeout=timeout)
