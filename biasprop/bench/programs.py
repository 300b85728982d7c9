"""Cost of a study's compiled programs: tracing, lowering, compiling, and the memory of their buffers."""

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
    """Cost of one program."""

    name: str
    trace: float
    """Seconds to trace the Python code."""
    lower: float
    """Seconds to lower it to StableHLO."""
    compile: float | None
    """Seconds to compile it without the compile cache; None if that was not asked for."""
    load: float
    """Seconds to load it from the compile cache, as every later process does."""
    buffers: dict[str, int]
    """Bytes of arguments, results and temporary buffers."""


def costs(programs: Iterable[Program], *, compile: bool = True) -> Iterator[Cost]:
    """The cost of each program.

    Args:
        programs: from :func:`biasprop.bench.operations.recorded`.
        compile: also compile each without the cache, as a first run does.
    """
    for program in programs:
        _compile(program)  # fills the cache
        trace, lower, load, compiled = _compile(program)
        without_cache = None
        if compile:
            with _without_cache():
                *_, without_cache, _ = _compile(program)
        yield Cost(program.name, trace, lower, without_cache, load, buffers(compiled))


def _compile(program: Program) -> tuple[float, float, float, Any]:
    """Compile a program as in a new process: seconds to trace, lower and compile, and the compiled program."""
    jax.clear_caches()
    began = time.perf_counter()
    traced = program.compiled.trace(*program.arguments)
    after_trace = time.perf_counter()
    lowered = traced.lower()
    after_lower = time.perf_counter()
    compiled = lowered.compile()
    return after_trace - began, after_lower - after_trace, time.perf_counter() - after_lower, compiled


def buffers(compiled: Any) -> dict[str, int]:
    """Bytes of a compiled program's arguments, results and temporary buffers."""
    analysis = compiled.memory_analysis()
    return {
        "arguments": int(analysis.argument_size_in_bytes),
        "results": int(analysis.output_size_in_bytes),
        "temporary": int(analysis.temp_size_in_bytes),
    }


def peak_memory() -> dict[str, int]:
    """Peak memory of this process in bytes, and that on its accelerator if there is one."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    on_device = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return found | ({"device": int(on_device)} if on_device else {})


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    from jax.experimental.compilation_cache import compilation_cache

    def use(cache: bool) -> None:
        jax.config.update("jax_enable_compilation_cache", cache)
        compilation_cache.reset_cache()  # otherwise the setting is not read again

    before = jax.config.values["jax_enable_compilation_cache"]  # pyright: ignore[reportAttributeAccessIssue]
    use(False)
    try:
        yield
    finally:
        use(before)
