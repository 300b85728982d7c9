"""What a process has to be told before JAX starts in it; nothing heavy, so that a command can do it first."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import platform
from pathlib import Path

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"
"""A GPU adds in a fixed order only when XLA is told to."""

GPU_FLAGS = (DETERMINISTIC_FLAG, "--xla_gpu_enable_triton_gemm=false")
"""What XLA is told on a GPU: also to take the vendor's products, with which a step takes as long as with kernels of its
own, and less is compiled (tests/benchmarks/README.md)."""

GC_THRESHOLDS = (10_000, 10, 10)
"""Least thresholds of Python's collector of cycles: new objects before it looks at the young ones, and how many such
looks before one at older ones, and at all."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of the GNU C library's settings, from its malloc.h."""


def configure() -> None:
    """One thread a compute process, so that bits do not depend on the number of cores, :data:`GPU_FLAGS` where there is one,
    small blocks of freed memory kept for the next step, and cycles collected less often. Of the environment what the
    user has set stands, and once JAX has started it changes nothing."""
    _keep_freed_memory()
    _collect_less_often()
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if Path("/dev/nvidia0").exists():
        os.environ["XLA_FLAGS"] = with_gpu_flags(os.environ.get("XLA_FLAGS", ""))


def with_gpu_flags(flags: str) -> str:
    """XLA's flags with those of :data:`GPU_FLAGS` that the user has not set."""
    return " ".join([flags, *(own for own in GPU_FLAGS if own.partition("=")[0] not in flags)]).strip()


def _keep_freed_memory() -> None:
    """Let small blocks of freed memory, below 2 MB, stay with the process. XLA on a CPU takes the workspaces of a
    product anew each time and gives them back, and the C library may hand blocks of that size to the system and have
    them again one zeroed page at a time; dask makes it do so from 64 kB on (MALLOC_TRIM_THRESHOLD_ of its workers,
    which this overrules), which cost a third of a training run. Larger blocks still go back at once: kept, they added
    half a gigabyte to a study and no speed. Another C library has no such settings."""
    if platform.libc_ver()[0] != "glibc":
        return
    settings = ctypes.CDLL(None).mallopt
    settings(_MMAP_THRESHOLD, 2 << 20)
    settings(_TRIM_THRESHOLD, 16 << 20)
    settings(_TOP_PAD, 2 << 20)


def _collect_less_often() -> None:
    """Let Python look for cycles of dead objects at :data:`GC_THRESHOLDS`, and not once more when it ends. Tracing makes
    hundreds of thousands of objects that live on, and Python's own thresholds have them all looked at again and again:
    1.7 of the 20 seconds of a smoke run instead of 0.4, and the last look takes a second of every command."""
    gc.set_threshold(*map(max, GC_THRESHOLDS, gc.get_threshold()))
    atexit.register(gc.freeze)
