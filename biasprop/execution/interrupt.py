"""Ctrl-C and SIGTERM: both end a run in the same way, and neither interrupts code that opens or closes resources."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""

_received: list[int] = []


def interruptible(main: Callable[[], int]) -> int:
    """Run the main function of a command that owns its process; returns its exit code."""
    install_handlers()
    code = main()
    ignore_signals()  # nothing is left to interrupt but the exit itself
    return code


def exit_code(run: Callable[[], int], advice: str) -> int:
    """Run a command, and say in one line if it was interrupted.

    Args:
        run: returns the exit code.
        advice: put behind the word.

    Returns:
        The exit code: that of ``run``, or :data:`INTERRUPTED`.
    """
    try:
        return run()
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, Exception) and not was_interrupted():
            raise
        print(f"interrupted; {advice}", file=sys.stderr)
        return INTERRUPTED


def install_handlers() -> None:
    """Make both signals raise :class:`KeyboardInterrupt`; for a command, which owns its process.

    A signal that is ignored stays ignored: a shell starts background processes with SIGINT ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def was_interrupted() -> bool:
    """Whether one of the signals came since :func:`install_handlers`.

    An error afterwards may be a consequence: a library that is interrupted while it writes a file, for instance, may
    raise another error as it closes that file.
    """
    return bool(_received)


def ignore_signals() -> None:
    """Ignore both signals from now on; for a command that has nothing left to do but exit."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore both signals inside; for code that ends by itself within seconds.

    Does nothing outside the main thread, where Python never handles signals.
    """
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Handle both signals only at the end; for what has to be complete before it can be closed.

    Blocking them would not work: the system would deliver them to another thread, and Python handles them in the main
    thread all the same.

    Raises:
        KeyboardInterrupt: at the end, if a signal came, also if the code inside failed: other processes of the group
            got the signal as well and may have died of it.
    """
    received: list[int] = []

    def remember(number: int, _frame: object) -> None:
        received.append(number)
        _received.append(number)

    with _handled_by(remember):
        try:
            yield
        except Exception as error:
            if received:
                raise KeyboardInterrupt from error
            raise
    if received:
        raise KeyboardInterrupt


def _interrupt(number: int, _frame: object) -> None:
    _received.append(number)
    raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
