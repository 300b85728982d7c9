"""Files that someone else may have made: read no further than expected, and never written through a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_bytes(file: Path, most: int) -> bytes:
    """The bytes of a plain file.

    Args:
        file: its path.
        most: bytes it may have.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is no plain file (but a pipe, a device, a folder) or too large.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
    with os.fdopen(descriptor, "rb") as opened:
        about = os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{file.name} is no plain file")
        if about.st_size > most:
            raise ValueError(f"{file.name} has {about.st_size} bytes, more than the {most} that it may have")
        return opened.read(most + 1)


def first_link(root: Path, key: str) -> str | None:
    """The first part of a path below ``root`` that is a link, which may lead anywhere; None if none is.

    Args:
        root: a folder, which itself may be a link.
        key: a path below it, with ``/``.
    """
    parts = key.split("/")
    for end in range(1, len(parts) + 1):
        here = "/".join(parts[:end])
        if parts[end - 1] == ".." or os.path.islink(os.path.join(root, here)):  # pathlib takes five times as long
            return here
    return None


def links_in(folder: Path) -> list[str]:
    """Names of what lies in a folder and is a link; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []
