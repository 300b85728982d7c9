"""File locks: which process does a piece of work. The system frees a lock when its holder ends, killed or not.

A lock is advisory (``flock``), on a file of its own, which stays. It also holds between machines where the file system
carries locks: NFS 4, NFS 3 with a lock daemon, Lustre mounted with ``flock``. On a file system without locks every lock
is free: two processes may then compute the same work, and results are still right, because they are written whole,
with checksums and their status last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of a file system that has no locks."""


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock inside the context.

    Args:
        path: the lock's file, made if it is missing; its folder exists. It names the last holder, for people.
        wait: wait until it is free.

    Yields:
        Whether it is held; always True with ``wait``.

    Raises:
        OSError: the file cannot be made.
    """
    # Whether the others of a group may use it is up to the umask and the folder.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        held = _acquired(descriptor, wait)
        if held:
            with contextlib.suppress(OSError):  # a full disk
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} of {platform.node()}\n".encode(), 0)
        yield held
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
