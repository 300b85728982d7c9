"""How every command ends: bad input and full disks in one line each, and quietly where the reader has gone."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from biasprop import terminal
from biasprop.paths import UNUSABLE, reason

BAD_INPUT = 2
"""Exit code of bad input, and of a file or folder that cannot be read or written."""


def explained(run: Callable[[], int], advice: str = "") -> int:
    """Run a command, and print what is wrong with its input, one line per problem.

    Args:
        run: returns the exit code.
        advice: put behind a line about a file that cannot be used.

    Returns:
        The exit code: that of ``run``, or :data:`BAD_INPUT`.
    """
    from biasprop.component import InputError  # not for --help

    try:
        code = run()
        sys.stdout.flush()  # a full disk behind a redirection shows only now
        return code
    except InputError as error:
        terminal.say(error.problems)
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        where = error.filename or "standard output"  # what writes a file names it, see biasprop.paths.named
        print(f"{where}: {reason(error)}{advice}", file=sys.stderr)
    except ValueError as error:
        if not _kept_jax_from_loading(error):
            raise
        print(f"JAX cannot be imported with its variables in the environment: {error}", file=sys.stderr)
    return BAD_INPUT


def _kept_jax_from_loading(error: ValueError) -> bool:
    """Whether JAX raised the error as it was imported: it reads its variables ``JAX_...`` then."""
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts
    return "jax" in raised_in and "jax" not in sys.modules


def start(main: Callable[[], int]) -> NoReturn:
    """Run a command as a program, and exit. A reader that closes the pipe early, such as ``head``, has all it wants."""
    try:
        code = main()
    except BrokenPipeError:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # said above, or the reader has gone; Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
