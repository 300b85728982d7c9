"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from biasprop.paths import descriptor, named, user_path


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Write a file of a store: whole or not at all, also with several writers, and never through a link.

    Args:
        file: its path; its folder exists.

    Yields:
        A path beside it to write to, which replaces the file at the end. Its name does not contain the file's, so that
        every name that the file system allows can be written. The file gets the mode that the umask leaves.

    Raises:
        OSError: the file cannot be written; names it.
    """
    partial = file.with_name(f".{os.getpid()}-{os.urandom(6).hex()}.partial")
    try:
        with named(file):
            yield partial
            os.replace(partial, file)
    finally:
        with suppress(OSError):  # there is none, or not even its folder
            partial.unlink()


@contextmanager
def output(file: Path) -> Iterator[Path]:
    """Write a file that a user has named: whole or not at all where it is a plain file.

    A link stays, and what it points at is written; a pipe or a device (``/dev/stdout``, ``>(command)``) gets the bytes.
    An existing file keeps its mode.

    Args:
        file: its path; its folder exists.

    Yields:
        A path to write to, of which nothing is left at the end.

    Raises:
        OSError: the file cannot be written; names it.
    """
    file = user_path(file)
    target = Path(os.path.realpath(file))
    with named(file, target):
        if descriptor(file) is None and (not file.exists() or (file.is_file() and os.access(target.parent, os.W_OK))):
            with replaced(target) as partial:
                yield partial
                if target.exists():
                    shutil.copymode(target, partial)
            return
        with tempfile.TemporaryDirectory(prefix="biasprop-") as folder:
            whole = Path(folder) / "output"
            yield whole
            with suppress(BrokenPipeError):  # the reader has all that it wants
                _copy(whole, file)


def write_text(file: Path, text: str) -> None:
    """Write text in UTF-8 to a file that a user has named, see :func:`output`."""
    with output(file) as whole:
        whole.write_text(text, encoding="utf-8")


def _copy(source: Path, file: Path) -> None:
    """Write the bytes of a file into a pipe, a device, or a file whose folder cannot be written."""
    number = descriptor(file)
    if number is not None:
        for stream in (sys.stdout, sys.stderr):  # what was printed before comes first
            stream.flush()
        number = os.dup(number)
    with source.open("rb") as content, open(file if number is None else number, "wb", buffering=0) as opened:
        shutil.copyfileobj(content, opened)
