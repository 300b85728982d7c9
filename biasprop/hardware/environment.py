"""Settings that a process needs before JAX starts in it. Imports nothing heavy, so that a command can do it first."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import platform
import re
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


def configure() -> None:
    """Configure this process for computing.

    Sets one thread per process (``NPROC=1``), so that bits do not depend on the number of cores; :data:`GPU_FLAGS` if
    there is an NVIDIA GPU; and what freed memory and garbage collection need. Environment variables that the user has
    set are kept. Has no effect on JAX once it has started.
    """
    _keep_freed_memory()
    _collect_less_often()
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if Path("/dev/nvidia0").exists():
        os.environ["XLA_FLAGS"] = with_gpu_flags(os.environ.get("XLA_FLAGS", ""))


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
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
    }


def _one_cpu_device() -> dict[str, str]:
    """The variables that set the number of CPU devices, so that they set none; -1 is JAX's default."""
    flags = re.sub(rf"{DEVICE_COUNT_FLAG}(=\S*)?", "", os.environ.get("XLA_FLAGS", ""))
    return {"XLA_FLAGS": flags.strip(), "JAX_NUM_CPU_DEVICES": "-1"}


def with_gpu_flags(flags: str) -> str:
    """The user's XLA flags, and those of :data:`GPU_FLAGS` that the user has not set."""
    return " ".join([flags, *(flag for flag in GPU_FLAGS if flag.partition("=")[0] not in flags)]).strip()


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
    """Collect garbage less often, at :data:`GC_THRESHOLDS`, and not when Python exits.

    Tracing makes hundreds of thousands of objects that stay alive, and with Python's default thresholds all of them are
    visited again and again: 1.7 s of a smoke run of 20 s instead of 0.4 s. The collection at exit takes a second.
    """
    gc.set_threshold(*map(max, GC_THRESHOLDS, gc.get_threshold()))
    atexit.register(gc.freeze)
