"""What every test shares: one thread, as workers have, and compiled programs kept from run to run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("NPROC", "1")  # read by XLA when it starts, so before anything imports JAX

FIRST = (
    "tests/torture/",
    "tests/program/",
    "tests/sweep/test_sweep.py",
    "tests/generators/",
    "tests/study/test_command.py",
    "tests/test_smoke.py",
    "tests/shifts/test_dials.py",
    "tests/truth/",
    "tests/coverage/",
)
"""What takes longest, in this order. Processes get whole files (so that fixtures and compiled programs of a file are
made once), and a long one that came last would keep one process busy while the other has nothing to do."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fast tests are made of programs that run once: not optimised, they compile in half the time. Slow ones train."""
    if session.config.option.markexpr == "not slow":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; within one, and among all others, as they come."""
    ranks = {item: next((i for i, place in enumerate(FIRST) if item.nodeid.startswith(place)), 99) for item in items}
    items.sort(key=ranks.__getitem__)


@pytest.fixture(scope="session", autouse=True)
def compile_cache() -> None:
    """Keep compiled programs, in runs that import JAX at all."""
    if "jax" in sys.modules:
        from biasprop import device

        device.prepare()


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of a file's programs at its end: together they take gigabytes, and other files have programs of their own
    or find these on disk."""
    yield
    if "jax" in sys.modules:
        import jax

        jax.clear_caches()
        gc.collect()
