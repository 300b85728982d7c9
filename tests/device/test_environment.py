"""What a process is told before JAX starts in it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from biasprop.hardware.environment import DETERMINISTIC_FLAG, GPU_FLAGS, with_gpu_flags

TAKEN_AND_FREED = """
import resource
from biasprop.hardware import environment

environment.configure()
bytearray(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytearray(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

TRACED = """
import atexit, gc, sys

atexit.register(lambda: print(gc.get_freeze_count() > 0))  # runs after all that is registered later
from biasprop.hardware import environment

gc.set_threshold(*map(int, sys.argv[1:]))
environment.configure()
print(*gc.get_threshold())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_blocks_are_kept_for_the_next_step() -> None:
    """Also where dask told its workers to give it back. A page is touched for the first time once, if at all."""
    given = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    words = [sys.executable, "-c", TAKEN_AND_FREED]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # a hundred times 256 pages of 4 kB where it is given back


@pytest.mark.parametrize(
    "given", ["", "--xla_dump_to=/tmp/x", "--xla_gpu_deterministic_ops=false --xla_dump_to=/tmp/x"]
)
def test_of_xla_s_flags_the_user_s_stand(given: str) -> None:
    found = with_gpu_flags(given).split()
    assert found[: len(given.split())] == given.split()
    assert set(found) - set(given.split()) == {flag for flag in GPU_FLAGS if flag.partition("=")[0] not in given}
    assert (DETERMINISTIC_FLAG in found) == ("deterministic" not in given)


@pytest.mark.parametrize(("given", "least"), [((700, 10, 10), (10_000, 10, 10)), ((20_000, 5, 30), (20_000, 10, 30))])
def test_cycles_are_looked_for_less_often_and_not_at_the_end(given: tuple[int, ...], least: tuple[int, ...]) -> None:
    words = [sys.executable, "-c", TRACED, *map(str, given)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*map(str, least), "True"]
