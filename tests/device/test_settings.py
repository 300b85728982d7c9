"""Every setting of the process that can move a bit is pinned, in the fingerprint, or on the list with a reason."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from biasprop.component import InputError
from biasprop.execution import progress, sweep
from biasprop.hardware import device, environment, settings
from biasprop.hardware.settings import SETTINGS, Treatment
from biasprop.study.load import load_study
from tests.source_tree import ROOT

README = ROOT / "biasprop" / "execution" / "README.md"
HEADING = "## What is pinned, and why"
VERSION = tuple(map(int, re.findall(r"\d+", jax.__version__)))

DEFAULTS = """
import json, jax
print(json.dumps({name: getattr(value, "name", value) for name, value in jax.config.values.items()}))
"""


def values() -> dict[str, Any]:
    return dict(jax.config.values)  # pyright: ignore[reportAttributeAccessIssue]


def global_values() -> dict[str, Any]:
    """Without those of a context of this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(values).result()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment that is in the fingerprint."""
    for name in [*os.environ]:
        entry = settings.find(name)
        if entry and entry.treatment is Treatment.FINGERPRINT and entry.value in ("flags", settings.OTHER):
            monkeypatch.delenv(name)


newer = pytest.mark.skipif(VERSION > settings.CHECKED_JAX, reason="this JAX is newer than the table of settings")


@newer
def test_every_setting_of_jax_has_an_entry() -> None:
    assert [name for name in values() if settings.find(name) is None] == []


@newer
def test_what_is_pinned_is_the_default_of_jax() -> None:
    """So that a process in which nothing is set computes as one that is pinned."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run([sys.executable, "-c", DEFAULTS], env=plain, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    guards = {name: "allow" for name, value in found.items() if "guard" in name and value is None}
    enumerations = {name: found[name].lower() for name, value in values().items() if hasattr(value, "name")}
    assert settings.pins(found) == {name: (found | guards | enumerations)[name] for name in settings.pins(found)}


def test_each_name_stands_in_one_entry() -> None:
    names = [name for setting in SETTINGS for name in setting.names]
    assert len(names) == len({name.lower() for name in names})
    plain = [name for name in names if "*" not in name]
    assert [name for name in plain if sum(setting.is_about(name) for setting in SETTINGS) != 1] == []


@pytest.mark.parametrize(
    "name", ["XLA_FLAGS", "NPROC", "OMP_NUM_THREADS", "MKL_CBWR", "PYTHONHASHSEED", "JAX_ENABLE_X64"]
)
def test_variables_of_the_environment_have_an_entry(name: str) -> None:
    assert settings.find(name)


def test_the_readme_shows_the_table() -> None:
    words = {
        Treatment.PINNED: lambda setting: f"`{setting.value}`",
        Treatment.FINGERPRINT: lambda setting: f"fingerprint: `{setting.value}`",
        Treatment.IRRELEVANT: lambda setting: "irrelevant",
    }
    names = [", ".join(f"`{name}`" for name in setting.names) for setting in SETTINGS]
    rows = [
        f"| {setting_names} | {words[setting.treatment](setting)} | {setting.reason} |"
        for setting_names, setting in zip(names, SETTINGS, strict=True)
    ]
    section = README.read_text().partition(HEADING)[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert shown == rows, "the table should be:\n" + "\n".join(rows)


OTHER_VALUES = {
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_enable_x64": True,
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_debug_nans": True,
    "jax_disable_jit": True,
    "jax_transfer_guard": "disallow",
    "jax_disable_most_optimizations": True,
    "jax_explicit_x64_dtypes": "allow",
    "jax_persistent_cache_min_compile_time_secs": 3.0,
    "jax_compilation_cache_dir": None,
}


@contextlib.contextmanager
def changed(name: str, value: Any) -> Iterator[None]:
    """A global setting of JAX with another value."""
    before = values()[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def draw() -> np.ndarray:
    """Random numbers, a product and a sum of types."""
    numbers = jax.random.normal(jax.random.key(3), (5, 7))
    return np.asarray(jax.jit(lambda x: (x @ x.T) / 3 + jnp.arange(5))(numbers))


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_numbers_do_not_depend_on_a_setting_of_the_user_which_is_restored(name: str) -> None:
    with device.computing():
        expected, pinned = draw(), values()
    with changed(name, OTHER_VALUES[name]):
        before = values()
        with pytest.raises(RuntimeError, match="an error"), device.computing():
            assert {key: value for key, value in values().items() if value != pinned[key]} == {}
            found = draw()
            raise RuntimeError("an error")
        assert values() == before
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes()


def test_a_context_of_jax_that_the_caller_is_in_is_overruled_and_kept() -> None:
    with device.computing():
        expected = draw()
    outside, everywhere = values(), global_values()
    with jax.enable_x64(True), jax.default_prng_impl("rbg"), jax.numpy_rank_promotion("raise"):
        before = values()
        with device.computing():
            assert draw().tobytes() == expected.tobytes()
        assert values() == before
    assert values() == outside and global_values() == everywhere


def test_blas_has_one_thread_and_numpy_its_own_error_handling_inside() -> None:
    with threadpool_limits(2, "blas"), np.errstate(all="raise"):
        before = threadpool_info()
        with device.computing():
            assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
            assert np.geterr()["invalid"] == "warn"
        assert threadpool_info() == before and np.geterr()["under"] == "raise"


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("OPENBLAS_CORETYPE", "Haswell", settings.OTHER),
        ("NPY_DISABLE_CPU_FEATURES", "AVX2", settings.OTHER),
        ("JAX_OF_THE_FUTURE", "1", settings.OTHER),
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true", "flags"),
    ],
)
def test_what_is_not_pinned_is_in_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, key: str
) -> None:
    plain = device.fingerprint(1)
    monkeypatch.setenv(name, value)
    assert device.fingerprint(1) == plain | {key: value if key == "flags" else f"{name}={value}"}


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONHASHSEED", "JAX_LOG_COMPILES", "JAX_ENABLE_X64", "HOME"])
def test_what_moves_no_bit_is_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plain = device.fingerprint(1)
    assert settings.OTHER not in plain, "existing stores have a fingerprint without it"
    monkeypatch.setenv(name, "1")
    assert device.fingerprint(1) == plain


def test_of_flags_that_are_repeated_the_last_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    marks = []
    for flags in ("--xla_a=1 --xla_b=2 --xla_a=3", "--xla_a=3 --xla_a=1 --xla_b=2", str(tmp_path / "flags")):
        (tmp_path / "flags").write_text("--xla_b=2\n--xla_a=1\n")
        monkeypatch.setenv("XLA_FLAGS", flags)
        marks.append(device.fingerprint(1)["flags"])
    assert marks == ["--xla_a=3 --xla_b=2", "--xla_a=1 --xla_b=2", "--xla_a=1 --xla_b=2"]


def test_the_environment_is_configured_for_the_call_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    monkeypatch.setattr(environment, "NVIDIA_GPU", tmp_path)
    started = iter([False, False, False])
    monkeypatch.setattr(environment, "jax_has_started", lambda: next(started))
    thresholds = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        with pytest.raises(RuntimeError, match="an error"), environment.configured():
            assert os.environ["NPROC"] == "1" and environment.sums_are_ordered()
            raise RuntimeError("an error")
        assert "NPROC" not in os.environ and os.environ["XLA_FLAGS"] == "--xla_a=1"
        assert gc.get_threshold() == (700, 10, 10)
        started = iter([False, False, True])
        with environment.configured():
            pass
        assert environment.sums_are_ordered(), "the flags that JAX has started with stay"
    finally:
        gc.set_threshold(*thresholds)


def test_a_gpu_that_jax_has_started_without_an_order_of_sums_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "NVIDIA_GPU", tmp_path)
    monkeypatch.setattr(device, "is_cpu", lambda: False)
    jax.devices()
    study = load_study(ROOT / "tests" / "torture" / "small.toml")
    with pytest.raises(InputError, match="JAX has already started in this process"):
        sweep.run(study, study.store(tmp_path / "out"), workers=0, progress=progress.make(quiet=True))
    assert "XLA_FLAGS" not in os.environ and not (tmp_path / "out").exists()
