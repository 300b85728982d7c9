"""What it costs to have a study's programs: tracing, lowering, compiling, and the buffers they hold."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax

from biasprop.bench.operations import Program


class Cost(NamedTuple):
    """One program of a stage."""

    name: str
    trace: float
    """Seconds to follow the Python code."""
    lower: float
    """Seconds to write it down for the compiler."""
    compile: float | None
    """Seconds to compile it, the cache of compiled programs left out; None where that was not asked for."""
    load: float
    """Seconds to get it from the cache, where a second process finds it."""
    buffers: dict[str, int]
    """Bytes of its arguments, results and what it computes with."""


def costs(programs: Iterable[Program], *, compile: bool = True) -> Iterator[Cost]:
    """The cost of each program.

    Args:
        programs: from :func:`biasprop.bench.operations.recorded`.
        compile: also compile each without the cache, which takes as long as a first run.
    """
    for program in programs:
        _made(program)  # fills the cache if it was not there
        trace, lower, load, whole = _made(program)
        alone = None
        if compile:
            with _without_cache():
                *_, alone, _ = _made(program)
        yield Cost(program.name, trace, lower, alone, load, buffers(whole))


def _made(program: Program) -> tuple[float, float, float, Any]:
    """Seconds to trace, lower and compile a program, as if for the first time in this process, and what came of it."""
    jax.clear_caches()
    began = time.perf_counter()
    traced = program.compiled.trace(*program.arguments)
    after_trace = time.perf_counter()
    lowered = traced.lower()
    after_lower = time.perf_counter()
    whole = lowered.compile()
    return after_trace - began, after_lower - after_trace, time.perf_counter() - after_lower, whole


def buffers(compiled: Any) -> dict[str, int]:
    """Bytes of a compiled program's arguments, results and temporary buffers."""
    told = compiled.memory_analysis()
    return {
        "arguments": int(told.argument_size_in_bytes),
        "results": int(told.output_size_in_bytes),
        "temporary": int(told.temp_size_in_bytes),
    }


def peak_memory() -> dict[str, int]:
    """Bytes this process held at most, and those on its accelerator if there is one."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    on_device = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return found | ({"device": int(on_device)} if on_device else {})


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    from jax.experimental.compilation_cache import compilation_cache

    def use(cache: bool) -> None:
        jax.config.update("jax_enable_compilation_cache", cache)
        compilation_cache.reset_cache()  # or the setting is not looked at again

    before = jax.config.values["jax_enable_compilation_cache"]  # pyright: ignore[reportAttributeAccessIssue]
    use(False)
    try:
        yield
    finally:
        use(before)
