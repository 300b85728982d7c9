"""Paths as users give them, and errors that name the file they are about. Imports nothing heavy."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

UNUSABLE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
    errno.EROFS,
    errno.ETXTBSY,
)
"""Errors of the system that say a place cannot be used: neither a bug nor a matter of the study."""

MAX_NAME_BYTES = 255
"""Length of a file's name, in bytes of UTF-8, that every common file system allows."""

_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d+)")


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` and ``~user`` expanded; one of an unknown user stays as it is."""
    return Path(os.path.expanduser(path))


def descriptor(path: str | os.PathLike[str]) -> int | None:
    """The descriptor of this process that ``/dev/stdin``, ``/dev/stdout``, ``/dev/fd/3`` and so on stand for.

    To be duplicated instead of opened again: what is opened again starts at the beginning of a file, and not where the
    shell's redirection is.
    """
    name = os.path.abspath(path)
    for _ in range(8):  # /dev/stdout -> /proc/self/fd/1; the link of a descriptor itself is not followed
        if match := _DESCRIPTOR.fullmatch(name.replace(f"/proc/{os.getpid()}/", "/proc/self/")):
            return int(match[1])
        if not os.path.islink(name):
            return None
        name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))
    return None


@contextmanager
def named(file: str | os.PathLike[str], *aliases: str | os.PathLike[str]) -> Iterator[None]:
    """Name a file in errors that name none (a full disk), one of its aliases, or a temporary file (``.partial``).

    Raises:
        OSError: as it was raised inside, with the file's name.
    """
    try:
        yield
    except OSError as error:
        name = str(error.filename or "")
        unnamed = not name or name.endswith(".partial") or name in {str(alias) for alias in aliases}
        if error.errno is None or not unnamed:
            raise
        raise OSError(error.errno, error.strerror or os.strerror(error.errno), os.fspath(file)) from error


def reason(error: OSError, subject: str | os.PathLike[str] | None = None) -> str:
    """What went wrong, in the system's words; with the file where that is not the subject of the sentence."""
    file = "" if subject is None or error.filename in (None, os.fspath(subject)) else f"{error.filename}: "
    return f"{file}{error.strerror or error}"


def _exists(file: Path) -> bool:
    """As ``Path.exists``, but a loop of links is an error."""
    try:
        os.stat(file)
    except FileNotFoundError:
        return False
    return True


def unwritable(file: Path, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> list[str]:
    """Why a file of certain formats cannot be written, as far as it can be said beforehand.

    Args:
        file: to be written.
        suffixes: endings that are allowed, with their dots.
        inputs: files that the command reads, which must not be overwritten.

    Returns:
        Reasons, each with the file's name; empty if there is none.
    """
    problems = [f"{file}: {problem}" for problem in output_problems(file, inputs)]
    if file.suffix not in suffixes:
        problems.append(f"{file}: no such format; allowed: {', '.join(suffixes)}")
    return problems


def output_problems(file: Path, inputs: Iterable[Path] = ()) -> list[str]:
    """Why a file cannot be written, as far as it can be said beforehand.

    Args:
        file: to be written.
        inputs: files that the command reads, which must not be overwritten.

    Returns:
        Reasons, without the file's name; empty if there is none.
    """
    try:
        if len(os.fsencode(file.name)) > MAX_NAME_BYTES:
            return [f"the name has more than {MAX_NAME_BYTES} bytes"]
        if not file.parent.is_dir():
            return [f"there is no folder {file.parent}"]
        if descriptor(file) is None and not _exists(file):
            folder = Path(os.path.realpath(file)).parent  # of what a link points at
            if not folder.is_dir():
                return [f"is a link into {folder}, and there is no such folder"]
            return [] if os.access(folder, os.W_OK | os.X_OK) else [f"the folder {folder} cannot be written"]
        if file.is_dir():
            return ["is a folder; has to be a file"]
        if any(other.is_file() and os.path.samefile(file, other) for other in inputs):
            return ["is read by this command, and would be overwritten"]
        if not os.access(file, os.W_OK):
            return ["cannot be written (permission denied)"]
    except (OSError, ValueError) as error:  # a loop of links; a name that no file can have
        return [f"cannot be written ({reason(error) if isinstance(error, OSError) else error})"]
    return []
