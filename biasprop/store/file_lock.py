"""Claims: which process does a piece of work, held by a lock that the system frees when its holder dies, however.

A claim is an advisory lock (``flock``) on an empty file of its own, which stays. It also holds between machines where
the file system carries locks: NFS 4, NFS 3 with a lock daemon, Lustre mounted with ``flock``. A file system that
refuses locks makes every claim free: what two processes compute there is then computed twice, and still never wrong,
because results are written whole, with checksums and their status last.
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
"""What a file system answers that has no locks."""


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a claim while inside.

    Args:
        path: the lock's file, made where there is none; its folder exists. It holds who claimed it last, for people.
        wait: until it is free.

    Yields:
        Whether it is held; only without ``wait`` can it not be.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
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
