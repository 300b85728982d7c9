"""Files that someone else may have made: read up to an expected size, and never written through a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from biasprop.paths import named


def read_bytes(file: Path, most: int) -> bytes:
    """The bytes of a plain file.

    Args:
        file: its path.
        most: largest size, bytes.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is not a plain file (but a pipe, a device, a folder) or too large.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe would wait for its writer
    with os.fdopen(descriptor, "rb") as opened:
        info = os.fstat(opened.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise ValueError(f"{file.name} is not a plain file")
        if info.st_size > most:
            raise ValueError(f"{file.name} has {info.st_size} bytes, more than the {most} that it may have")
        with named(file):
            return opened.read(most + 1)


def first_link(root: Path, key: str) -> str | None:
    """The first part of a path below ``root`` that is a link or ``..``, which may lead anywhere; None if there is none.

    Args:
        root: a folder, which itself may be a link.
        key: a path below it, with ``/``.
    """
    parts = key.split("/")
    for end in range(1, len(parts) + 1):
        part = "/".join(parts[:end])
        if parts[end - 1] == ".." or os.path.islink(os.path.join(root, part)):  # pathlib takes five times as long
            return part
    return None


def link_error(link: Path) -> OSError:
    """The error of a file that would be written through a link."""
    return OSError(errno.ELOOP, "is a link out of the store, where nothing is written; remove it", str(link))


def links_in(folder: Path) -> list[str]:
    """Names of the links in a folder; empty if there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []
