"""Settings of a process before JAX starts in it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from biasprop.hardware import environment
from biasprop.hardware.environment import DETERMINISTIC_FLAG, GPU_FLAGS, with_gpu_flags

ALLOCATED_AND_FREED = """
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

atexit.register(lambda: print(gc.get_freeze_count() > 0))  # runs after everything that is registered later
from biasprop.hardware import environment

gc.set_threshold(*map(int, sys.argv[1:]))
environment.configure()
print(*gc.get_threshold())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_freed_blocks_are_kept_for_the_next_step() -> None:
    """Also with dask's setting for its workers, which returns it. Counts page faults."""
    given = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    words = [sys.executable, "-c", ALLOCATED_AND_FREED]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # 100 times 256 pages of 4 kB if it is returned


@pytest.mark.parametrize(
    "given", ["", "--xla_dump_to=/tmp/x", "--xla_gpu_deterministic_ops=false --xla_dump_to=/tmp/x"]
)
def test_xla_flags_of_the_user_are_kept(given: str) -> None:
    found = with_gpu_flags(given).split()
    assert found[: len(given.split())] == given.split()
    assert set(found) - set(given.split()) == {flag for flag in GPU_FLAGS if flag.partition("=")[0] not in given}
    assert (DETERMINISTIC_FLAG in found) == ("deterministic" not in given)


@pytest.mark.parametrize(("given", "least"), [((700, 10, 10), (10_000, 10, 10)), ((20_000, 5, 30), (20_000, 10, 30))])
def test_garbage_is_collected_less_often_and_not_at_exit(given: tuple[int, ...], least: tuple[int, ...]) -> None:
    words = [sys.executable, "-c", TRACED, *map(str, given)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*map(str, least), "True"]


@pytest.mark.parametrize("given", ["", "--xla_dump_to=/tmp/x"])
def test_a_cpu_is_one_device_to_commands_and_workers(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Several would share each batch; workers with several would be refused."""
    monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count=8 {given}")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
    of_worker = environment.of_worker()
    environment.use_one_cpu_device()
    for found in (of_worker, os.environ):
        assert (found["XLA_FLAGS"], found["JAX_NUM_CPU_DEVICES"]) == (given, "-1")


def test_nothing_is_set_where_nothing_asks_for_several_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    environment.use_one_cpu_device()
    assert dict(os.environ) == before


def test_a_malformed_variable_of_jax_is_bad_input() -> None:
    words = [sys.executable, "-m", "biasprop.run", "tests/torture/small.toml", "--plan"]
    env = os.environ | {"JAX_ENABLE_X64": "banana"}
    ended = subprocess.run(words, env=env, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.splitlines() == [
        "JAX cannot be imported with its variables in the environment: "
        "invalid truth value 'banana' for environment 'JAX_ENABLE_X64'"
    ]
