"""What a process has to be told before JAX starts in it; nothing heavy, so that a command can do it first."""

from __future__ import annotations

import os
from pathlib import Path

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
"""A GPU adds in a fixed order only when XLA is told to."""


def settle() -> None:
    """One thread a compute process, so that bits do not depend on the number of cores, and sums in a fixed order on a
    GPU. What the user has set stands; once JAX has started this changes nothing."""
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    flags = os.environ.get("XLA_FLAGS", "")
    if Path("/dev/nvidia0").exists() and "xla_gpu_deterministic_ops" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}".strip()
