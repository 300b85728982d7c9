"""The device of this process: how it computes, the fingerprint that bits depend on, and how many cells fit."""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import math
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from biasprop.component import InputError
from biasprop.hardware import environment, settings, threefry

MEMORY_FRACTION = 0.6
"""Fraction of an accelerator's memory that a batch of cells may use."""

MAX_WIDTH = 16
"""Maximum number of cells that one device computes at once. More hardly speed up an H200 (tests/benchmarks/README.md),
and a batch that is filled with repetitions costs as much as a full one."""

XLA_THREAD_NAME = "tf_XLAEigen"
"""Name of each thread of the pool that XLA runs CPU programs on."""


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Compute numbers inside: with the pinned values of :mod:`.settings`, and programs kept in :func:`cache_folder`.

    The caller's settings are restored afterwards: global ones, and those of a context of JAX that the caller is in.
    Inside, other threads see those settings for which JAX has no context, and the limit of BLAS.
    """
    import scipy.linalg  # noqa: F401 - its BLAS has to be there before it can be limited, and JAX loads it later

    with contextlib.ExitStack() as restored:
        _pin(restored)
        restored.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        restored.enter_context(threadpool_limits(1, "blas"))
        restored.enter_context(threefry.flattened())
        _keep_programs(restored)
        yield


def _pin(restored: contextlib.ExitStack) -> None:
    """Pin JAX's settings until the stack is closed, in this thread alone where JAX allows that."""
    found, update = _jax_settings(), jax.config.update
    differing = {name: value for name, value in settings.pins(found).items() if not _is(found[name], value)}
    # What JAX has compiled is not told apart by settings that have no context: it is forgotten here and at the end.
    contexts = {name: getattr(jax, name.removeprefix("jax_"), None) for name in differing}
    stale = not all(map(callable, contexts.values()))
    if stale:
        restored.callback(jax.clear_caches)
    for name, value in differing.items():
        context = contexts[name]
        if callable(context):  # it outranks a context that the caller is in, which an update does not
            restored.enter_context(context(value))  # pyright: ignore[reportArgumentType]
        else:
            restored.callback(update, name, found[name])
            update(name, value)
    if stale:
        jax.clear_caches()


def _is(value: Any, pinned: Any) -> bool:
    """Whether a setting has its pinned value; members of enumerations are pinned by their name."""
    return value == pinned or (isinstance(value, enum.Enum) and value.name.lower() == pinned)


def _keep_programs(restored: contextlib.ExitStack) -> None:
    """Keep compiled programs on disk until the stack is closed."""
    from jax.experimental.compilation_cache import compilation_cache

    wanted = {
        "jax_compilation_cache_dir": str(cache_folder()),
        "jax_persistent_cache_min_compile_time_secs": 0.0,  # small programs add up
    }
    before = {name: _jax_settings()[name] for name in wanted}
    if before == wanted:
        return

    def use(values: dict[str, Any]) -> None:
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # otherwise the folder that was used first stays in use

    restored.callback(use, before)
    use(wanted)


def _jax_settings() -> dict[str, Any]:
    """JAX's settings, as this thread sees them."""
    return jax.config.values  # pyright: ignore[reportAttributeAccessIssue]


def _devices() -> list[Any]:
    """The devices of JAX, which starts if it has not yet.

    Raises:
        InputError: JAX cannot start on the platform that the user has chosen.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # an AssertionError if the platform is known and has no device here
        chosen = _jax_settings()["jax_platforms"]
        if not chosen:
            raise
        why = " ".join(str(error).split()) or "there is no such device"
        raise InputError(f"JAX_PLATFORMS={chosen}: JAX cannot start on it ({why}); unset it, or set cpu") from error


def cache_folder() -> Path:
    """Folder of compiled programs, one per fingerprint: code compiled on one host may use instructions that another
    processor lacks."""
    return user_cache() / "biasprop" / fingerprint_digest(fingerprint(1))


def user_cache() -> Path:
    """The user's cache folder.

    Without one that can be written, as for an unknown user in a container, it is a temporary one, which this process
    deletes when it ends.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        _check_writable(folder / "biasprop")
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return Path(_temporary_cache().name)
    return folder


@functools.cache
def _check_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@functools.cache
def _temporary_cache() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="biasprop-cache-", ignore_cleanup_errors=True)


@functools.cache
def _instructions() -> str:
    """The vector instructions of this processor, which decide the order in which XLA adds numbers."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.machine()
    wanted = ("avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_vnni", "amx_tile")
    return " ".join([platform.machine(), *(flag for flag in wanted if flag in flags.split())])


@functools.cache
def _threads() -> int:
    """Number of threads that XLA splits sums over on this CPU.

    Counts the threads of XLA's pool, because a change of ``NPROC`` has no effect after JAX has started its backend. On
    systems that do not list threads by name, reads the variables that XLA reads, in XLA's order.
    """
    _devices()  # starts all threads of the pool
    with contextlib.suppress(OSError):
        count, before = _xla_threads(), -1
        while count != before:  # a thread is named a moment after it has started
            time.sleep(0.02)
            count, before = _xla_threads(), count
        if count:
            return count
    variable = next((os.environ[name] for name in ("PJRT_NPROC", "NPROC") if name in os.environ), "")
    return int(variable) if variable.isdecimal() else os.cpu_count() or 1


def _xla_threads() -> int:
    return sum((thread / "comm").read_text().strip() == XLA_THREAD_NAME for thread in Path("/proc/self/task").iterdir())


def fingerprint(width: int, devices: int = 1) -> dict[str, Any]:
    """Everything that decides bits apart from the study and what :func:`computing` pins; results with one fingerprint
    are bit-equal.

    Args:
        width: cells of a batch that one device computes at once.
        devices: number of devices that share the batch.
    """
    from importlib.metadata import version

    device = _devices()[0]
    found = _jax_settings()
    optional = {
        "flags": " ".join(sorted(environment.xla_flags().values())),
        "devices": devices if devices > 1 else "",
        settings.OTHER: settings.deviations(found, os.environ),
    }
    return {
        "jax": jax.__version__,
        "jaxlib": version("jaxlib"),
        "device": device.device_kind,
        "instructions": _instructions() if device.platform == "cpu" else device.platform,
        "threads": str(_threads()) if device.platform == "cpu" else "",
        "precision": found["jax_default_matmul_precision"] or "default",
        "width": width,
    } | {name: value for name, value in optional.items() if value}


def fingerprint_digest(mark: dict[str, Any]) -> str:
    """A fingerprint as 16 hexadecimal digits."""
    return hashlib.blake2b(repr(sorted(mark.items())).encode(), digest_size=8).hexdigest()


def kind() -> str:
    """Name of the device, as JAX gives it."""
    return _devices()[0].device_kind


def gpu_uuid() -> str | None:
    """UUID of the one GPU that this process computes on, independent of its index; None if unknown or a CPU."""
    if is_cpu() or not shutil.which("nvidia-smi"):
        return None
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
    ).stdout.split()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
    if chosen.isdecimal() and int(chosen) < len(listed):
        return listed[int(chosen)]
    return chosen or (listed[0] if len(listed) == 1 else None)


def is_cpu() -> bool:
    """Whether this process computes on a CPU, where each cell is a job of its own, and not on an accelerator."""
    return _devices()[0].platform == "cpu"


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """Bytes of this machine's memory; infinite if unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):
        return math.inf


def processes() -> int:
    """Default number of compute processes: one per core, or 0 (this process computes) on an accelerator."""
    return cores() if is_cpu() else 0


def count() -> int:
    """Number of devices of this process."""
    return jax.local_device_count()


def sharing(cells: int) -> int:
    """Number of devices that share a batch of ``cells``: all, or 1 if they cannot have equally many cells."""
    return 1 if cells % count() else count()


def width(bytes_per_cell: float) -> int:
    """Number of cells that one device computes at once: 1 on a CPU, else as many as fit, up to :data:`MAX_WIDTH`.

    Args:
        bytes_per_cell: peak memory of a cell.
    """
    if is_cpu():
        return 1
    limit = (_devices()[0].memory_stats() or {}).get("bytes_limit", 8e9)
    return int(max(1, min(MAX_WIDTH, MEMORY_FRACTION * limit / bytes_per_cell)))
