"""Settings that a process needs before JAX starts in it. Imports nothing heavy, so that a command can do it first."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"
"""Makes XLA add numbers in a fixed order on a GPU, which it does not by default."""

GPU_FLAGS = (DETERMINISTIC_FLAG, "--xla_gpu_enable_triton_gemm=false")
"""XLA's flags on a GPU. The second selects the vendor's matrix products: a step takes as long as with Triton kernels,
and less has to be compiled (tests/benchmarks/README.md)."""

DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
"""Makes XLA show a CPU as several devices."""

GC_THRESHOLDS = (10_000, 10, 10)
"""Minimum thresholds of Python's cyclic garbage collector: new objects before it collects the youngest generation, and
collections of a generation before one of the next."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of ``mallopt`` of the GNU C library, from its malloc.h."""


NVIDIA_GPU = Path("/dev/nvidia0")
"""There if the machine has an NVIDIA GPU."""


def configure() -> None:
    """Configure this process for computing, until it ends; for a process of a command or a worker.

    Sets one thread per process (``NPROC=1``), so that bits do not depend on the number of cores; :data:`GPU_FLAGS` if
    there is an NVIDIA GPU; and what freed memory and garbage collection need. Environment variables that the user has
    set are kept. XLA reads its variables when JAX starts: afterwards its flags are left as they are, because the
    fingerprint has them.
    """
    _configure()
    atexit.register(gc.freeze)  # the collection at exit takes a second


@contextlib.contextmanager
def configured() -> Iterator[None]:
    """Configure this process for computing inside; for a process of the user.

    Afterwards the environment variables and the thresholds of garbage collection are as before, except ``XLA_FLAGS`` if
    JAX has started with it inside. What cannot be undone: the C library keeps more of the freed memory, and the backend
    of JAX, if it has started inside, has one thread on a CPU.
    """
    before, thresholds, started = dict(os.environ), gc.get_threshold(), jax_has_started()
    _configure()
    changed = {name: before.get(name) for name, value in os.environ.items() if before.get(name) != value}
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if jax_has_started() and not started:
            changed.pop("XLA_FLAGS", None)
        for name, value in changed.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _configure() -> None:
    _keep_freed_memory()
    _collect_less_often()
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if NVIDIA_GPU.exists() and not jax_has_started():
        os.environ["XLA_FLAGS"] = with_gpu_flags(" ".join(xla_flags().values()))


def jax_has_started() -> bool:
    """Whether JAX has a backend in this process; XLA does not read its variables again then."""
    bridge = sys.modules.get("jax._src.xla_bridge")  # JAX has no public name for this
    return bridge is not None and getattr(bridge, "backends_are_initialized", lambda: True)()


def xla_flags() -> dict[str, str]:
    """XLA's flags in the environment, by name.

    As XLA does, takes the last of several values of a flag, and reads a file if the variable is a path.
    """
    text = os.environ.get("XLA_FLAGS", "").strip()
    if text and not text.startswith("-"):
        try:
            text = Path(text).read_text()
        except (OSError, UnicodeDecodeError):
            text = ""
    return {flag.partition("=")[0]: flag for flag in text.split()}


def sums_are_ordered() -> bool:
    """Whether XLA's flags make an NVIDIA GPU add numbers in a fixed order."""
    name = DETERMINISTIC_FLAG.partition("=")[0]
    return xla_flags().get(name, "=false").partition("=")[2].lower() in ("", "1", "true")


def started_without_flags() -> bool:
    """Whether JAX has started before :func:`configure`, without a flag that says in which order a GPU adds numbers."""
    return NVIDIA_GPU.exists() and DETERMINISTIC_FLAG.partition("=")[0] not in xla_flags()


def use_one_cpu_device() -> None:
    """Let JAX show the CPU as one device in this process; for a command, which owns its process.

    A user may have asked for several, to try a program for several devices on a CPU. They would share each batch, which
    gives other bits, and is no faster.
    """
    for name, value in _one_cpu_device().items():
        if name in os.environ:
            os.environ[name] = value


def of_worker() -> dict[str, str]:
    """Environment variables of a worker process on this machine, beside those of this process: one CPU core each."""
    return _one_cpu_device() | {
        "NPROC": "1",
        "PJRT_NPROC": "1",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
    }


def _one_cpu_device() -> dict[str, str]:
    """The variables that set the number of CPU devices, so that they set none; -1 is JAX's default."""
    flags = " ".join(flag for name, flag in xla_flags().items() if name != DEVICE_COUNT_FLAG)
    return {"XLA_FLAGS": flags, "JAX_NUM_CPU_DEVICES": "-1"}


def with_gpu_flags(flags: str) -> str:
    """The user's XLA flags, and those of :data:`GPU_FLAGS` that the user has not set."""
    given = {flag.partition("=")[0] for flag in flags.split()}
    return " ".join([flags, *(flag for flag in GPU_FLAGS if flag.partition("=")[0] not in given)]).strip()


def _keep_freed_memory() -> None:
    """Keep small blocks of freed memory, below 2 MB, in the process.

    XLA on a CPU allocates and frees the workspace of a matrix product each time. The C library may return blocks of
    that size to the system and get them back one zeroed page at a time; dask sets MALLOC_TRIM_THRESHOLD_ of its workers
    so that this happens from 64 kB on, which cost a third of a training run. This overrules it. Larger blocks are still
    returned at once: keeping them added half a gigabyte to a study and no speed. Only glibc has these settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    settings = ctypes.CDLL(None).mallopt
    settings(_MMAP_THRESHOLD, 2 << 20)
    settings(_TRIM_THRESHOLD, 16 << 20)
    settings(_TOP_PAD, 2 << 20)


def _collect_less_often() -> None:
    """Collect garbage less often, at :data:`GC_THRESHOLDS`.

    Tracing makes hundreds of thousands of objects that stay alive, and with Python's default thresholds all of them are
    visited again and again: 1.7 s of a smoke run of 20 s instead of 0.4 s.
    """
    gc.set_threshold(*map(max, GC_THRESHOLDS, gc.get_threshold()))
