"""What is opened is whole before Ctrl-C or SIGTERM is heeded."""

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
    """What is heard here must not turn an error of a later test's command into an interruption."""
    monkeypatch.setattr(interrupt, "_received", [])


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_a_signal_is_heeded_at_the_end(number: signal.Signals) -> None:
    """Also with threads that do not block it: the system gives it to any of them, and Python to the main one."""
    before = [signal.getsignal(each) for each in interrupt.SIGNALS]
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
    assert [signal.getsignal(each) for each in interrupt.SIGNALS] == before
    with interrupt.signals_deferred():
        pass


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_what_fails_after_a_signal_failed_of_it(number: signal.Signals) -> None:
    """As where a worker process dies of the same signal while it starts."""
    with pytest.raises(KeyboardInterrupt) as told, interrupt.signals_deferred():
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        raise RuntimeError("Nanny failed to start.")
    assert isinstance(told.value.__cause__, RuntimeError)
    with pytest.raises(RuntimeError, match="a bug"), interrupt.signals_deferred():
        raise RuntimeError("a bug")


def test_what_is_ignored_stays_ignored() -> None:
    before = [signal.getsignal(each) for each in interrupt.SIGNALS]
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupt.install_handlers()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_IGN, signal.SIG_DFL, before[1])
    finally:
        for number, usual in zip(interrupt.SIGNALS, before, strict=True):
            signal.signal(number, usual)


TORN = """
import os, signal, sys, time
from biasprop.execution import interrupt
from biasprop import run

def torn(given):
    try:
        if number := int(sys.argv[1]):
            os.kill(os.getpid(), number)
            time.sleep(5)
    finally:
        raise AttributeError("'Stream' object has no attribute 'pos'")

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background, such as these tests
interrupt.install_handlers()
run._answered = torn
sys.exit(run.main(["study.toml"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (0, 1)])
def test_a_library_that_is_torn_was_interrupted(number: int, code: int) -> None:
    """As matplotlib is in the middle of a PDF file; the same error without a signal is a bug."""
    done = subprocess.run([sys.executable, "-c", TORN, str(int(number))], capture_output=True, text=True)
    assert done.returncode == code
    assert ("Traceback" in done.stderr) == (code == 1)
    assert ("interrupted; to resume: python -m biasprop.run study.toml" in done.stderr) == (code == 130)
