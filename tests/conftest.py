"""What every test shares: one thread, as workers have, and compiled programs kept from run to run."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

os.environ.setdefault("NPROC", "1")  # read by XLA when it starts, so before anything imports JAX

FIRST = (
    "tests/torture/",
    "tests/program/",
    "tests/sweep/",
    "tests/generators/",
    "tests/study/test_command.py",
    "tests/test_smoke.py",
    "tests/shifts/test_shifts.py",
    "tests/truth/",
    "tests/coverage/",
)
"""What takes longest, in this order. Processes get whole files (so that fixtures and compiled programs of a file are
made once), and a long one that came last would keep one process busy while the other has nothing to do."""


QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
"""Flags of XLA with which programs compile in a quarter of the time, and run slower."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fast tests are made of programs that run once. Slow ones train."""
    given = os.environ.get("XLA_FLAGS", "")
    if session.config.option.markexpr == "not slow" and QUICK[0] not in given:  # a process of xdist has them already
        known = QUICK if _has(QUICK) else QUICK[:1]
        os.environ["XLA_FLAGS"] = " ".join([given, *known]).strip()


def _has(flags: Sequence[str]) -> bool:
    """Whether this version of XLA has all these flags: it ends a process that gives it one it does not know."""
    own = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    tried = subprocess.run([sys.executable, "-c", "import jax; jax.devices()"], env=own, capture_output=True)
    return tried.returncode == 0


COSTLY = {"chest_film", "chest_ct", "brain_mri"}
"""Generators that are slow to compile: what holds for every generator in these folders is checked of them in the slow
suite, and of the others in the fast one. So are their own files. The fast suite has their first images."""
COSTLY_IN = (
    "tests/shifts/",
    "tests/difficulty/",
    "tests/program/",
    "tests/generators/test_follow_up.py",
    "tests/generators/test_generator_contract.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; within one, and among all others, as they come. Those of :data:`COSTLY` are slow."""
    own = tuple(f"tests/generators/test_{kind}.py" for kind in COSTLY)
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        shared = item.nodeid.startswith(COSTLY_IN) and COSTLY.intersection(map(str, given.values()))
        if shared or item.nodeid.startswith(own):
            item.add_marker(pytest.mark.slow)
    ranks = {item: next((i for i, place in enumerate(FIRST) if item.nodeid.startswith(place)), 99) for item in items}
    items.sort(key=ranks.__getitem__)


@pytest.fixture(scope="session", autouse=True)
def compile_cache() -> Iterator[None]:
    """Keep compiled programs, in runs that import JAX at all."""
    if "jax" not in sys.modules:
        yield
        return
    from biasprop.hardware import device

    with device.computing():
        yield


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of a file's programs at its end: together they take gigabytes, and other files have programs of their own
    or find these on disk."""
    yield
    if "jax" in sys.modules:
        import jax

        jax.clear_caches()
        gc.collect()
