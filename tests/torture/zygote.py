"""A process that has imported everything and runs the command in forks of itself: a start costs no seconds of imports.

It reads a JSON list of the command's words and a file for what it says, writes the fork's number, and at its end its
exit code. It never starts JAX itself, because threads do not survive a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import biasprop.execution.checkpoint
import biasprop.execution.job
import biasprop.execution.sweep
import biasprop.observers.ideal
import biasprop.report.tables
import biasprop.run
from biasprop.execution import interrupt


def serve() -> None:
    """Answer until standard input ends."""
    warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
    for line in sys.stdin:
        told = json.loads(line)
        process = os.fork()
        if not process:
            _command(told["words"], told["said"], told["patience"])
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _command(words: list[str], said: str, patience: float) -> None:
    """What ``python -m biasprop.run`` does, in a process group of its own."""
    code = 1
    try:
        os.setsid()
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        biasprop.execution.checkpoint.INTERVAL_S = patience
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background
        interrupt.install_handlers()
        code = biasprop.run.main(words)
        interrupt.ignore_signals()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    # The package under test is the one of this tree.
    assert Path(biasprop.run.__file__).is_relative_to(Path(__file__).parents[2])
    serve()
