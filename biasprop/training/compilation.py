"""Compiled programs, each compiled by one process and loaded from JAX's persistent cache by all others.

Processes that start together need the same programs at about the same time. A program is therefore locked while it is
compiled, and marked as compiled afterwards. A process that needs a program which another one is compiling does not only
wait: it first compiles the programs that it will need next and that no other process is compiling (:func:`ahead`).
Locks are those of :mod:`biasprop.store.file_lock`, which end with their process. Without a cache folder that can be
written, every process compiles for itself.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from biasprop.store.file_lock import locked

FOLDER = "programs"
"""Folder of locks and marks, in that of the cache."""

WAIT_EVENT = "/biasprop/compile/wait_duration"
"""Event of ``jax.monitoring``: seconds in which another process compiled what this one needs."""

MAX_WAIT_S = 600.0
"""Seconds after which a process compiles a program itself, because the one that locked it may be suspended."""

POLL_INTERVAL_S = 0.05
"""Seconds between two looks at whether a program is compiled."""

MAX_CALLS = 1_000
"""Calls of one program in a rehearsal, after which it ends: a loop that depends on results might not."""

_ahead: ContextVar[list[Callable[[], object]] | None] = ContextVar("_ahead", default=None)
_rehearsed: ContextVar[Counter[Any] | None] = ContextVar("_rehearsed", default=None)
"""Calls of each program, in a rehearsal."""


class Program:
    """A function of arrays, compiled when it is first called with arguments of some structure, shapes and types.

    Args:
        function: what to compile.
        donate: index of an argument whose buffers may be reused.
    """

    def __init__(self, function: Callable[..., Any], donate: int | None = None):
        self.jitted = jax.jit(function, donate_argnums=() if donate is None else donate)
        self._compiled: set[Any] = set()

    def __call__(self, *arguments: Any) -> Any:
        """The function's results; those of a rehearsal have the right structure, shapes and types, and no meaning."""
        leaves, structure = jax.tree.flatten(arguments)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self.jitted(*arguments)
        types = structure, tuple(map(jax.typeof, leaves))
        if (calls := _rehearsed.get()) is not None:
            calls[self, types] += 1
            if calls[self, types] > MAX_CALLS:
                raise RuntimeError("a loop does not end in a rehearsal")
        if types not in self._compiled and _compile(self.jitted.lower(*arguments)):
            self._compiled.add(types)
        if calls is not None:
            return jax.tree.map(_blank, self.jitted.eval_shape(*arguments))
        return self.jitted(*arguments)

    def __getattr__(self, name: str) -> Any:
        """Everything else is as for a function that is compiled by ``jax.jit``."""
        return getattr(self.jitted, name)


@contextmanager
def ahead(rehearse: Callable[[], object]) -> Iterator[None]:
    """Say what is needed inside, for the time that would be spent waiting for another process.

    Args:
        rehearse: calls the programs that will be needed, inside :func:`rehearsal`; called at most once.
    """
    token = _ahead.set([rehearse])
    try:
        yield
    finally:
        _ahead.reset(token)


@contextmanager
def rehearsal() -> Iterator[None]:
    """Compile the programs that are called inside, and run none; leave out those that another process is compiling.

    Their results are constant: -1 where they are integers, which says that no training diverged, and 0 elsewhere.
    """
    token = _rehearsed.set(Counter())
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _rehearsed.reset(token)


def _blank(result: jax.ShapeDtypeStruct) -> np.ndarray:
    value = -1 if jnp.issubdtype(result.dtype, jnp.signedinteger) else 0
    return np.broadcast_to(np.asarray(value, result.dtype), result.shape)


def _compile(lowered: Any) -> bool:
    """Compile a program into the cache, unless another process has compiled it, or does so meanwhile.

    Returns:
        False in a rehearsal if another process is compiling it, else True: calling the program loads it, or compiles it
        if there is no cache.
    """
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if not cache:
        return True
    mark = _mark(lowered, Path(cache))
    lock = mark.with_suffix(".lock")
    with suppress(OSError):  # the folder cannot be written
        if mark.exists():
            return True
        mark.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock, wait=False) as free:
            if free:
                lowered.compile()
                mark.touch()
                return True
        if _rehearsed.get() is not None:
            return False
        _wait(lock)
    return True


def _mark(lowered: Any, cache: Path) -> Path:
    """The file which says that a program has been compiled into the cache."""
    return cache / FOLDER / hashlib.blake2b(lowered.as_text().encode(), digest_size=16).hexdigest()


def _wait(lock: Path) -> None:
    """Wait until another process has compiled a program, and compile others before."""
    if functions := _ahead.get():
        with suppress(Exception):  # then the programs are compiled when they are needed
            functions.pop()()
    began, free = time.monotonic(), False
    while not free and time.monotonic() < began + MAX_WAIT_S:
        time.sleep(POLL_INTERVAL_S)
        with locked(lock, wait=False) as free:
            pass
    jax.monitoring.record_event_duration_secs(WAIT_EVENT, time.monotonic() - began)
