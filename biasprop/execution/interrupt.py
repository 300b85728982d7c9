"""Ending early: Ctrl-C and SIGTERM are one thing, and what opens or closes things is not torn by them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_received: list[int] = []


def install_handlers() -> None:
    """Make both signals raise :class:`KeyboardInterrupt`, and be remembered; for a command, which owns its process. One
    that is ignored stays so: a shell starts what runs in the background deaf to Ctrl-C."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def was_interrupted() -> bool:
    """Whether one of the signals came since :func:`install_handlers`. Whatever fails then may have failed of it: a library that is
    torn in the middle of a file, say, closes that file and raises what its own torn state makes of it."""
    return bool(_received)


def ignore_signals() -> None:
    """Ignore both signals from now on; for a command that only has to exit, with the code it has."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore both signals meanwhile; for what ends by itself within seconds. Outside the main thread nothing changes,
    since signals are never handled there."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Heed both signals only at the end; for what has to be whole before it can be closed. Blocking them would not do:
    the system then gives them to another thread, and Python handles them in the main one all the same.

    Raises:
        KeyboardInterrupt: at the end, if one came, also where what was begun then failed: other processes of the group
            got the signal as well and may have died of it.
    """
    came: list[int] = []

    def remember(number: int, _frame: object) -> None:
        came.append(number)
        _received.append(number)

    with _handled_by(remember):
        try:
            yield
        except Exception as error:
            if came:
                raise KeyboardInterrupt from error
            raise
    if came:
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
        for number, usual in before.items():
            signal.signal(number, usual)
