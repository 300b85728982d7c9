"""Dask clusters: a connection to the user's own, or one started on this machine."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker, spawn
from typing import Any

from biasprop.component import InputError
from biasprop.execution.interrupt import signals_deferred, signals_ignored
from biasprop.hardware import environment
from biasprop.paths import user_path
from biasprop.terminal import one_line

CONNECT_TIMEOUT_S = 15.0
"""Seconds in which a scheduler has to answer."""

LOCAL_SETTINGS: dict[str, Any] = {
    # Sampling for a dashboard that does not exist here, up to 100 times a second, made training 6 % slower.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.limit": "10 min",
    "distributed.comm.timeouts.connect": "60 s",
}
"""Settings of a cluster on this machine that differ from dask's defaults."""

WORKER_PROCESS_NAME = "Dask Worker process (from Nanny)"
"""Name that dask gives the processes of workers."""

MAIN_MODULE_KEYS = ("init_main_from_name", "init_main_from_path")
"""What tells a process started by ``multiprocessing`` to import the main module of its parent."""


class CannotStart(Exception):
    """Worker processes cannot be started on this machine; the message says why."""


@contextmanager
def connect(scheduler: str) -> Iterator[Any]:
    """A client of the user's cluster.

    Args:
        scheduler: address such as ``tcp://host:8786``, or the path of a scheduler file.

    Raises:
        InputError: no scheduler answers there, or the user's settings keep dask from being imported.
    """
    _import_distributed()
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
    """A client of a cluster on this machine: single-threaded CPU processes that end with this one.

    Settings of dask that the user or the site has made are for other clusters; this one starts from dask's defaults.

    Raises:
        InputError: the user's settings keep dask from being imported.
        CannotStart: processes cannot be started.
    """
    _import_distributed()
    import dask
    from dask.distributed import Client, LocalCluster

    from biasprop.hardware import device

    defaults = dask.config.merge(*dask.config.defaults)  # pyright: ignore[reportPrivateImportUsage]
    settings = dask.config.set(defaults | LOCAL_SETTINGS)  # pyright: ignore[reportPrivateImportUsage]
    with settings, _main_module_left_out(), ExitStack() as closed:
        try:
            with signals_deferred(), _no_sigint_for_children():
                cluster = LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    host="127.0.0.1",
                    env=environment.of_worker() | {"XDG_CACHE_HOME": str(device.user_cache().resolve())},
                    silence_logs=logging.CRITICAL,
                )
                closed.callback(_close, cluster.close, timeout=5)
                client = Client(cluster)
                closed.callback(_close, client.close, timeout=2)
        except Exception as error:
            raise CannotStart(f"worker processes cannot be started ({_reason(error)})") from error
        yield client


def _import_distributed() -> None:
    """Import dask's scheduler and workers, which read the user's settings as they are imported.

    Raises:
        InputError: the settings are malformed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise
    except Exception as error:
        raise InputError(f"dask cannot be imported with its settings on this machine: {one_line(error)}") from error


@contextmanager
def _main_module_left_out() -> Iterator[None]:
    """Start worker processes without the main module of this one, of which they need nothing.

    ``multiprocessing`` has every process that it starts import the main module of its parent: a script that calls this
    package outside an ``if __name__ == "__main__"`` would run again in each worker, and start workers there, and one
    that is read from stdin could not be imported. Other processes that are started meanwhile are not concerned.
    """
    usual = spawn.get_preparation_data

    def preparation_data(name: str) -> dict[str, Any]:
        data = usual(name)
        left_out = MAIN_MODULE_KEYS if name == WORKER_PROCESS_NAME else ()
        return {key: value for key, value in data.items() if key not in left_out}

    spawn.get_preparation_data = preparation_data
    try:
        yield
    finally:
        spawn.get_preparation_data = usual


def _reason(error: BaseException) -> str:
    """What first went wrong, in one line; the errors after it are dask's, on its way out."""
    while earlier := error.__cause__ or error.__context__:
        error = earlier
    return one_line(error)


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
    with suppress(OSError):  # where no process can be started, its users say so
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
