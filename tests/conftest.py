"""What every test shares: one thread, as workers have, and compiled programs kept from run to run."""

from __future__ import annotations

import os
import sys

import pytest

os.environ.setdefault("NPROC", "1")  # read by XLA when it starts, so before anything imports JAX


@pytest.fixture(scope="session", autouse=True)
def compile_cache() -> None:
    """Keep compiled programs, in runs that import JAX at all."""
    if "jax" in sys.modules:
        from biasprop import device

        device.prepare()
