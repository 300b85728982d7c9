"""Ctrl-C and SIGTERM are handled when what is being opened is complete."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from biasprop.execution import interrupt


@pytest.fixture(autouse=True)
def forgotten_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal received here must not turn an error in a later test into an interruption."""
    monkeypatch.setattr(interrupt, "_received", [])


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_a_deferred_signal_is_handled_at_the_end(number: signal.Signals) -> None:
    """Also with other threads, which the system may deliver it to; Python handles it in the main one."""
    before = [signal.getsignal(known) for known in interrupt.SIGNALS]
    bystander = threading.Thread(target=time.sleep, args=(0.5,))
    bystander.start()
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupt.signals_deferred():
        signal.pthread_sigmask(signal.SIG_BLOCK, interrupt.SIGNALS)
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupt.SIGNALS)
        reached = True
    assert reached
    bystander.join()
    assert [signal.getsignal(known) for known in interrupt.SIGNALS] == before
    with interrupt.signals_deferred():
        pass


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_an_error_after_a_signal_counts_as_interruption(number: signal.Signals) -> None:
    """As where a worker process dies of the same signal while it starts."""
    with pytest.raises(KeyboardInterrupt) as told, interrupt.signals_deferred():
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        raise RuntimeError("Nanny failed to start.")
    assert isinstance(told.value.__cause__, RuntimeError)
    with pytest.raises(RuntimeError, match="a bug"), interrupt.signals_deferred():
        raise RuntimeError("a bug")


def test_an_ignored_signal_stays_ignored() -> None:
    before = [signal.getsignal(known) for known in interrupt.SIGNALS]
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupt.install_handlers()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_IGN, signal.SIG_DFL, before[1])
    finally:
        for number, usual in zip(interrupt.SIGNALS, before, strict=True):
            signal.signal(number, usual)


INTERRUPTED = """
import os, signal, sys, time
from biasprop.execution import interrupt
from biasprop import run

def interrupted(given):
    try:
        if number := int(sys.argv[1]):
            os.kill(os.getpid(), number)
            time.sleep(5)
    finally:
        raise AttributeError("'Stream' object has no attribute 'pos'")

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background, such as these tests
interrupt.install_handlers()
run._answered = interrupted
sys.exit(run.main(["study.toml"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (0, 1)])
def test_an_error_in_an_interrupted_library_counts_as_interruption(number: int, code: int) -> None:
    """As in matplotlib while it writes a PDF file; the same error without a signal is a bug."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(int(number))], capture_output=True, text=True)
    assert done.returncode == code
    assert ("Traceback" in done.stderr) == (code == 1)
    assert ("interrupted; to resume: python -m biasprop.run study.toml" in done.stderr) == (code == 130)
