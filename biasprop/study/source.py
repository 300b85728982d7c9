"""The text of a study file, or of another TOML file, parsed: its tables and the line of every key."""

from __future__ import annotations

import os
import re
import select
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biasprop.component import InputError
from biasprop.paths import descriptor, user_path
from biasprop.study.location import MAX_KEY_LENGTH, Location
from biasprop.study.toml_lines import key_lines, line_of_deep_nesting, line_of_overlong_key

STUDY_FILE = "study file"
"""What messages call a file, unless it is of another kind."""

MAX_FILE_BYTES = 1_000_000
"""Size of a study file."""

PIPE_TIMEOUT_S = 10.0
"""How long a study that is read from a named pipe may take to begin."""

MAX_DEPTH = 32
"""Levels of nesting of a study file."""

MAX_ITEMS = 20_000
"""Keys and values of a study file."""

MAX_INTEGER_BITS = 256
"""Bits of a whole number: four times those of TOML, since Python prints no number of thousands of digits."""


@dataclass(frozen=True)
class Source:
    """A parsed study file."""

    name: str
    """What messages call the file."""
    text: str
    """The TOML text."""
    table: dict[str, Any]
    """The parsed text."""
    lines: dict[Location, int] = field(repr=False)
    """Line, from 1, of every key, table and array element."""

    def line(self, location: Location) -> int:
        """Line of a key, or of the innermost table around it that has one (1 if none has)."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1


def read_text(path: str | Path, kind: str = STUDY_FILE) -> str:
    """The text of a TOML file.

    Args:
        path: the file.
        kind: what messages call it.

    Raises:
        InputError: the file does not exist, is too large, or cannot be read as UTF-8 text.
    """
    path = user_path(path)
    name, content = str(path), b""
    try:
        content = _content(path, kind)
        return content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{name}:{line}: byte {error.start} is not UTF-8; a {kind} is UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"{name!r}: cannot be read ({error})") from None


def _content(path: Path, kind: str) -> bytes:
    """The bytes of a file, a named pipe, or what is redirected to a descriptor such as ``/dev/stdin``."""
    number = descriptor(path)
    try:
        mode = os.stat(path if number is None else number).st_mode
    except (FileNotFoundError, NotADirectoryError):
        near = _neighbours(path)
        raise InputError(f"{path}: there is no such file; give the path of a {kind} (TOML){near}") from None
    if number is None and not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        near = _neighbours(path / "x")
        raise InputError(f"{path}: this is not a file; give the path of a {kind} (TOML){near}")
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if number is None else os.dup(number)
    with open(opened, "rb") as file:
        if number is None and stat.S_ISFIFO(mode):
            if not select.select([file], [], [], PIPE_TIMEOUT_S)[0]:
                raise InputError(f"{path}: nothing was written to this pipe for {PIPE_TIMEOUT_S:g} seconds")
            os.set_blocking(opened, True)
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{path}: too large for a {kind}, which has at most {MAX_FILE_BYTES} bytes")
    return content


def parse(text: str, name: str, kind: str = STUDY_FILE) -> Source:
    """Parse the text of a TOML file.

    Args:
        text: of the file.
        name: what messages call the file.
        kind: what messages call such a file.

    Raises:
        InputError: the text is not TOML, or exceeds a limit of this module; names the line.
    """
    if line := line_of_overlong_key(text, MAX_DEPTH) or line_of_deep_nesting(text, MAX_DEPTH):
        raise InputError(f"{name}:{line}: nested too deeply; a {kind} has at most {MAX_DEPTH} levels")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+), column (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise InputError(f"{name}:{line}: this is not TOML: {what[:1].lower()}{what[1:]}") from None
    except ValueError:  # Python reads no number of thousands of digits
        digits = re.search(r"[0-9][0-9_]{4000,}", text)
        line = text[: digits.start()].count("\n") + 1 if digits else 1
        raise InputError(f"{name}:{line}: a number has too many digits") from None
    source = Source(name, text, table, key_lines(text))
    if excess := exceeded_limit(table, kind):
        location, what = excess
        key = [".".join(map(str, location))] if location else []
        raise InputError(": ".join((f"{name}:{source.line(location)}", *key, what)))
    return source


def exceeded_limit(table: Any, kind: str = STUDY_FILE) -> tuple[Location, str] | None:
    """Where parsed TOML exceeds a limit (depth, number of items, digits, length of a key), and which; None if it fits.

    Checked first, so that every later step is fast, small in memory and printable.
    """
    unvisited: list[tuple[Any, Location]] = [(table, ())]
    count = 0
    while unvisited:
        value, location = unvisited.pop()
        if len(location) >= MAX_DEPTH and isinstance(value, dict | list):
            return location[:1], f"nested too deeply; a {kind} has at most {MAX_DEPTH} levels"
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            return location, "a number has too many digits"
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        count += len(value) if isinstance(value, dict | list) else 0
        if count > MAX_ITEMS:
            return location[:1], f"too many keys and values; a {kind} has at most {MAX_ITEMS}"
        for part, child in pairs:
            if isinstance(part, str) and len(part) > MAX_KEY_LENGTH:
                return location, f"a key has {len(part)} characters; at most {MAX_KEY_LENGTH} are allowed"
            unvisited.append((child, (*location, part)))
    return None


def _neighbours(path: Path) -> str:
    """The study files beside a path, to put behind a message."""
    try:
        files = sorted(str(p) for p in path.parent.glob("*.toml"))
    except OSError:
        files = []
    return f"; here: {', '.join(files[:8])}" if files else ""
