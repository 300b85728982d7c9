"""Processes that need the same program: one compiles it, and the others load it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.execution import cells, progress, sweep
from biasprop.hardware import device
from biasprop.store.file_lock import locked
from biasprop.study.load import load_study
from biasprop.training import batching, compilation
from biasprop.training.compilation import Program, ahead, rehearsal

ROOT = Path(__file__).parents[2]
ONE = np.ones(3, np.float32)

_events: Counter[str] = Counter()
jax.monitoring.register_event_listener(lambda event, **_: _events.update([event.rpartition("/")[2]]))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of compiled programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with device.computing():
        _events.clear()
        yield device.cache_folder()


def program(number: float) -> Program:
    """A new function; JAX compiles each, but functions with the same number are one program on disk."""

    def shifted(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.sin(x) + number, jnp.int32(3)

    return Program(shifted)


def mark(of: Program, cache: Path) -> Path:
    return compilation._mark(of.lower(ONE), cache)


def test_processes_that_start_together_compile_a_program_once(cache: Path) -> None:
    programs, start = [program(1.0) for _ in range(4)], threading.Barrier(4)

    def call(one: Program) -> None:
        start.wait()
        one(ONE)

    threads = [threading.Thread(target=call, args=(one,)) for one in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _events["cache_misses"] == 1 and _events["cache_hits"] == 3
    assert np.array_equal(programs[0](ONE)[0], jnp.sin(ONE) + 1)


def test_who_waits_for_a_program_compiles_later_ones_first(cache: Path) -> None:
    first, later = program(1.0), program(2.0)
    mark(first, cache).parent.mkdir(parents=True)
    with ExitStack() as another_process:
        another_process.enter_context(locked(mark(first, cache).with_suffix(".lock")))

        def rehearse() -> None:
            with rehearsal():
                blank = first(ONE)
                later(blank[0])
            assert [(leaf.shape, leaf.dtype, leaf.min()) for leaf in blank] == [((3,), "float32", 0), ((), "int32", -1)]
            assert mark(later, cache).exists() and not mark(first, cache).exists()
            another_process.close()

        with ahead(rehearse):
            assert np.array_equal(first(ONE)[0], jnp.sin(ONE) + 1)
    assert mark(later, cache).exists(), "the rehearsal was called"
    misses = _events["cache_misses"]
    later(ONE)
    assert _events["cache_misses"] == misses


def test_without_locks_in_the_cache_every_process_compiles(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    (cache / compilation.FOLDER).write_text("in the place of the folder")
    assert np.array_equal(program(1.0)(ONE)[0], jnp.sin(ONE) + 1)


def test_a_suspended_process_does_not_stop_others(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "MAX_WAIT_S", 0.0)
    one = program(1.0)
    mark(one, cache).parent.mkdir(parents=True)
    with locked(mark(one, cache).with_suffix(".lock")):
        assert np.array_equal(one(ONE)[0], jnp.sin(ONE) + 1)


def test_a_rehearsal_with_an_endless_loop_ends() -> None:
    one = program(1.0)
    with rehearsal(), pytest.raises(RuntimeError, match="does not end"):
        while one(ONE)[1] < 3:
            pass


def test_a_rehearsal_compiles_all_that_the_arms_of_a_cell_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    counts: list[int] = []
    run, compile_one = cells.CellBatch.run, compilation._compile

    def recorded(lowered: Any) -> bool:
        compiled.append(lowered.as_text())
        return compile_one(lowered)

    def rehearsed(self: cells.CellBatch, arms: list[int]) -> None:
        self.rehearse(arms)
        counts.append(len(compiled))
        run(self, arms)

    monkeypatch.setattr(compilation, "_compile", recorded)
    monkeypatch.setattr(cells.CellBatch, "run", rehearsed)
    batching.over_cells.cache_clear()
    text = (ROOT / "tests" / "engine" / "small.toml").read_text()
    for old, new in (
        ('"finetuning.labels"', '"finetuning.protocol"'),
        ("[16, 32]", '["linear_probe", "full"]'),
        ("labels = 32", 'labels = "full"'),
    ):
        text = text.replace(old, new)
    (tmp_path / "small.toml").write_text(text)
    study = load_study(tmp_path / "small.toml", set=("finetuning.labels=32",))
    sweep.run(study, study.store(tmp_path), workers=0, progress=progress.make(quiet=True), arms={(0, 0), (0, 1)})
    assert counts == [len(compiled)] == [len(set(compiled))]
    for function in ("run_segment", "_finetuning_segment", "_separability"):
        assert sum(f"@jit_{function} " in text for text in compiled) == 1, function
