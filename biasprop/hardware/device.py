"""What computes here: the fingerprint that bits depend on, the compile cache, and how many cells fit at once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import jax

MEMORY_FRACTION = 0.6
"""Part of an accelerator's memory that a batch of cells may fill."""

MAX_WIDTH = 16
"""Most cells that one device computes at once. An H200 is nearly full with them (tests/benchmarks/README.md), and a
batch that is filled up costs as much as one that is full."""

XLA_THREAD_NAME = "tf_XLAEigen"
"""Name that XLA gives to each thread of the pool its CPU programs run on."""


def prepare() -> None:
    """Settings that every computing process needs; call before the first compilation."""
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # small programs add up


def cache_folder() -> Path:
    """Where compiled programs are kept, apart for every kind of host, because one host's code can be illegal on
    another's processor."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "biasprop" / fingerprint_digest(fingerprint(1))


@functools.cache
def _instructions() -> str:
    """The vector instructions of this processor, which decide how XLA orders sums."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.machine()
    wanted = ("avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_vnni", "amx_tile")
    return " ".join([platform.machine(), *(flag for flag in wanted if flag in flags.split())])


@functools.cache
def _threads() -> int:
    """Threads that XLA splits sums over on this CPU: those its pool really has, for ``NPROC`` counts only until JAX
    starts its backend. Where the system does not list threads by name, what XLA would read now, in XLA's order."""
    jax.devices()  # starts the pool, whole
    with contextlib.suppress(OSError):
        count, before = _xla_threads(), -1
        while count != before:  # a thread takes its name a moment after its start
            time.sleep(0.02)
            count, before = _xla_threads(), count
        if count:
            return count
    told = next((os.environ[name] for name in ("PJRT_NPROC", "NPROC") if name in os.environ), "")
    return int(told) if told.isdecimal() else os.cpu_count() or 1


def _xla_threads() -> int:
    return sum((thread / "comm").read_text().strip() == XLA_THREAD_NAME for thread in Path("/proc/self/task").iterdir())


def fingerprint(width: int, devices: int = 1) -> dict[str, Any]:
    """Everything that decides bits apart from the study: results are bit-equal for one fingerprint.

    Args:
        width: cells of a batch that one device computes.
        devices: that share the batch.
    """
    from importlib.metadata import version

    device = jax.devices()[0]
    flags = " ".join(sorted(os.environ.get("XLA_FLAGS", "").split()))
    told = ({"flags": flags} if flags else {}) | ({"devices": devices} if devices > 1 else {})
    return {
        "jax": jax.__version__,
        "jaxlib": version("jaxlib"),
        "device": device.device_kind,
        "instructions": _instructions() if device.platform == "cpu" else device.platform,
        "threads": str(_threads()) if device.platform == "cpu" else "",
        "precision": jax.config.values["jax_default_matmul_precision"] or "default",  # pyright: ignore[reportAttributeAccessIssue]
        "width": width,
    } | told


def fingerprint_digest(mark: dict[str, Any]) -> str:
    """A fingerprint as 16 hexadecimal digits."""
    return hashlib.blake2b(repr(sorted(mark.items())).encode(), digest_size=8).hexdigest()


def kind() -> str:
    """What the device calls itself."""
    return jax.devices()[0].device_kind


def gpu_uuid() -> str | None:
    """Names the one GPU that this process computes on, whatever number it has here; None where nobody can tell."""
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
    """Whether cells are computed by processes (CPU) or as one batch (accelerator)."""
    return jax.default_backend() == "cpu"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """Bytes of this machine's memory; infinite where nobody can tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):
        return math.inf


def processes() -> int:
    """Compute processes where nobody asks for a number: one a core, or none (this one computes) on an accelerator."""
    return cores() if is_cpu() else 0


def count() -> int:
    """Devices of this process."""
    return jax.local_device_count()


def sharing(cells: int) -> int:
    """Devices that share a batch of so many cells: all there are, or one where these cannot have equally many."""
    return 1 if cells % count() else count()


def width(bytes_per_cell: float) -> int:
    """Cells that one device computes at once: 1 on a CPU, as many as fit on an accelerator.

    Args:
        bytes_per_cell: what a cell holds and computes with at its peak.
    """
    if is_cpu():
        return 1
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", 8e9)
    return int(max(1, min(MAX_WIDTH, MEMORY_FRACTION * limit / bytes_per_cell)))
