"""Ending early: Ctrl-C and SIGTERM are one thing, and what closes things is not disturbed by a second one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def heed() -> None:
    """Make SIGTERM raise :class:`KeyboardInterrupt`, as Ctrl-C does; for a command, which owns its process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore both signals meanwhile; for what ends by itself within seconds. Outside the main thread nothing changes,
    since signals are never handled there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
