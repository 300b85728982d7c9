"""The text of a study file: parsed TOML, the line every key stands on, and overrides applied to its tables."""

from __future__ import annotations

import copy
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biasprop.component import InputError

MAX_FILE_BYTES = 1_000_000
"""Bytes; a larger file is no study."""

MAX_DEPTH = 32
"""Levels of nesting; a deeper table is no study."""

MAX_ITEMS = 20_000
"""Keys and values of a study file."""

MAX_KEY_LENGTH = 200
"""Characters of a key, or of one of its parts."""

MAX_INTEGER_BITS = 64
"""Bits of a whole number, as TOML has them, times four: what is wider could not even be printed."""

Location = tuple[str | int, ...]

# An unclosed string goes on to the end of its line, or of the text: so no token is ever looked for twice.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)|' + r"'''.*?(?:'''|\Z)|" + r'"(?>(?:\\.|[^"\\\n])*)"?|' + r"'[^'\n]*+'?|"
    r"\#[^\n]*|\n|[\[\]{}=,.]|[^\s\[\]{}=,.\#\"']+",
    re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """One study file as it was read."""

    name: str
    """How error messages call the file."""
    text: str
    """The TOML text."""
    table: dict[str, Any]
    """The parsed text."""
    lines: dict[Location, int] = field(repr=False)
    """Where every key, table and array element starts, counted from 1."""

    def line(self, location: Location) -> int:
        """The line of a key, or of the nearest table around it that has one (1 if none has)."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1


def read(path: str | Path) -> Source:
    """Read a study file.

    Raises:
        InputError: there is no such file, it cannot be read as UTF-8 text of a plausible size, or it is not TOML.
    """
    path = Path(path)
    name = str(path)
    try:
        if not path.exists():
            raise InputError(f"{name}: there is no such file; give the path of a study file (TOML){_neighbours(path)}")
        if not path.is_file():
            near = _neighbours(path / "x")
            raise InputError(f"{name}: this is not a file; give the path of a study file (TOML){near}")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{name}: too large for a study file, which has at most {MAX_FILE_BYTES} bytes")
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{name}:{line}: byte {error.start} is not UTF-8; a study file is UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"{name!r}: cannot be read ({error})") from None
    return parse(text, name)


def parse(text: str, name: str) -> Source:
    """Parse the text of a study.

    Raises:
        InputError: it is not TOML, it is nested too deeply, or no study has so much in it; names the line.
    """
    if line := _overlong_key(text):
        raise InputError(f"{name}:{line}: nested too deeply; a study file has at most {MAX_DEPTH} levels")
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
    except RecursionError:
        raise InputError(f"{name}: nested too deeply; a study file has at most {MAX_DEPTH} levels") from None
    lines = _lines(text)
    if found := implausible(table):
        location, what = found
        where = f"{name}:{Source(name, text, table, lines).line(location)}"
        raise InputError(": ".join((where, *([".".join(map(str, location))] if location else []), what)))
    return Source(name, text, table, lines)


def implausible(table: Any) -> tuple[Location, str] | None:
    """Where parsed TOML is what no study has, and what is wrong there: depth, amount, digits, lengths of keys.

    Looked at before anything else, so that all that follows takes little time and memory and can be printed.
    """
    open_: list[tuple[Any, Location]] = [(table, ())]
    count = 0
    while open_:
        here, at = open_.pop()
        if len(at) >= MAX_DEPTH and isinstance(here, dict | list):
            return at[:1], f"nested too deeply; a study file has at most {MAX_DEPTH} levels"
        if isinstance(here, int) and here.bit_length() > 4 * MAX_INTEGER_BITS:
            return at, "a number has too many digits"
        pairs = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        count += len(here) if isinstance(here, dict | list) else 0
        if count > MAX_ITEMS:
            return at[:1], f"too much for a study file, which has at most {MAX_ITEMS} keys and values"
        for part, child in pairs:
            if isinstance(part, str) and len(part) > MAX_KEY_LENGTH:
                return at, f"a key has {len(part)} characters; at most {MAX_KEY_LENGTH} are allowed"
            open_.append((child, (*at, part)))
    return None


def key_path(key: str) -> Location:
    """A dotted key, part by part; empty where the text is no key."""
    if len(key) > MAX_KEY_LENGTH or set("=#\n") & set(key):
        return ()
    try:
        return only_path(tomllib.loads(f"{key} = 0"))
    except (tomllib.TOMLDecodeError, ValueError):
        return ()


def override(table: dict[str, Any], assignment: str) -> tuple[Location, Any]:
    """Apply one ``key=value`` of the command line to a study's tables, in place.

    The value is read as TOML and, where it is none, taken as a string. A component given as a bare string becomes a
    table of that kind when one of its keys is set.

    Returns:
        The key as a path and the value.

    Raises:
        InputError: there is no ``=``, the key is no dotted TOML key, or it leads into something that has no keys.
    """
    key, equals, right = assignment.partition("=")
    if not equals or not key.strip() or "\n" in key:
        raise InputError(f"--set {assignment}: has to be KEY=VALUE, such as --set finetuning.labels=500")
    path = key_path(key)
    if not path:
        raise InputError(f"--set {assignment}: {key.strip()!r} is no key; write a dotted key such as a.b")
    try:
        if _overlong_key(right):
            raise RecursionError
        parsed = tomllib.loads(f"v = {right}")
        value = parsed["v"] if len(parsed) == 1 else right.strip()
    except (ValueError, RecursionError):
        value = right.strip()
    if len(path) > MAX_DEPTH or (found := implausible(value)) is not None:
        what = found[1] if len(path) <= MAX_DEPTH else f"nested too deeply; at most {MAX_DEPTH} levels"  # pyright: ignore
        raise InputError(f"--set {assignment}: {what}")
    try:
        return place(table, path, value), value
    except KeyError as error:
        raise InputError(f"--set {assignment}: {error.args[0]}") from None


def place(table: dict[str, Any], path: Location, value: Any) -> Location:
    """Set ``table[a][b]... = value`` in place, making tables on the way.

    Returns:
        The path, with the numbers of array elements as ints.

    Raises:
        KeyError: the path leads into a value that is no table and no string; its argument says so.
    """
    here: Any = table
    walked: list[str | int] = []
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, list):
            if not (isinstance(part, int) or part.isdigit()) or int(part) >= len(here):
                shown = ".".join(map(str, walked))
                raise KeyError(f"{shown} is an array of {len(here)}; name an element by its number, from 0")
            part = int(part)
        elif not isinstance(here, dict):
            raise KeyError(f"{'.'.join(map(str, walked))} has the value {here!r}, which has no keys")
        walked.append(part)
        if last:
            here[part] = copy.deepcopy(value)  # pyright: ignore[reportArgumentType, reportCallIssue]
            break
        if isinstance(here, dict) and part not in here:
            here[part] = {}
        child = here[part]  # pyright: ignore[reportArgumentType, reportCallIssue]
        if isinstance(child, str):
            child = here[part] = {"kind": child}  # pyright: ignore[reportArgumentType, reportCallIssue]
        here = child
    return tuple(walked)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over`` in it, table by table; a component of another kind replaces the old one."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("kind") in (None, old.get("kind")):
            merged[key] = merge(old, value)
        elif isinstance(old, str) and isinstance(value, dict) and "kind" not in value:
            merged[key] = {"kind": old, **copy.deepcopy(value)}
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def only_path(table: dict[str, Any]) -> Location:
    """The one key that nested tables lead to, part by part.

    Raises:
        ValueError: there are several keys.
    """
    path: list[str] = []
    here: Any = table
    while isinstance(here, dict):
        ((part, here),) = here.items()
        path.append(part)
    return tuple(path)


def _neighbours(path: Path) -> str:
    try:
        found = sorted(str(p) for p in path.parent.glob("*.toml"))
    except OSError:
        found = []
    return f"; here: {', '.join(found[:8])}" if found else ""


def _overlong_key(text: str) -> int | None:
    """The line of the first dotted key of more than ``DEEPEST`` parts: a parser of TOML takes time with the square of
    their number."""
    line, dots, part = 1, 0, False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == ".":
            dots, part = dots + 1, False
            if dots > MAX_DEPTH:
                return line
        elif part or token in "[]{}=,\n":
            dots, part = 0, token not in "[]{}=,\n"
        else:
            part = True
        line += token.count("\n")
    return None


class _Scanner:
    """Walks text that is known to be TOML and notes the line of every key; tomllib keeps no positions."""

    def __init__(self, text: str):
        line, self.tokens = 1, []
        for match in _TOKEN.finditer(text):
            if not match[0].startswith("#"):
                self.tokens.append((match[0], line))
            line += match[0].count("\n")
        self.tokens.append(("", line))
        self.at = 0
        self.lines: dict[Location, int] = {}

    def take(self) -> tuple[str, int]:
        self.at += 1
        return self.tokens[self.at - 1]

    def peek(self) -> str:
        return self.tokens[self.at][0]

    def skip_newlines(self) -> None:
        while self.peek() == "\n":
            self.at += 1

    def part(self) -> tuple[str, int]:
        part, line = self.take()
        return (tomllib.loads(f"v = {part}")["v"] if part[0] in "\"'" else part), line

    def key(self, path: Location, elements: dict[Location, int] | None = None) -> Location:
        """Read a dotted key below ``path``; ``elements`` says in which element of an array of tables a header is."""
        while True:
            part, line = self.part()
            path = (*path, part)
            self.lines.setdefault(path, line)
            if self.peek() != ".":
                return path
            self.take()
            if elements and path in elements:
                path = (*path, elements[path])

    def value(self, path: Location) -> None:
        if self.peek() == "[":
            self.take()
            self.skip_newlines()
            index = 0
            while self.peek() != "]":
                self.lines.setdefault((*path, index), self.tokens[self.at][1])
                self.value((*path, index))
                index += 1
                self.skip_separators()
            self.take()
        elif self.peek() == "{":
            self.take()
            self.skip_newlines()
            while self.peek() != "}":
                here = self.key(path)
                self.take()
                self.value(here)
                self.skip_separators()
            self.take()
        else:
            while self.peek() not in (",", "]", "}", "\n", ""):
                self.take()

    def skip_separators(self) -> None:
        while self.peek() in ("\n", ","):
            self.at += 1

    def document(self) -> dict[Location, int]:
        prefix: Location = ()
        elements: dict[Location, int] = {}
        while self.skip_newlines() or self.peek():
            if self.peek() != "[":
                here = self.key(prefix)
                self.take()
                self.value(here)
                continue
            self.take()
            array = self.peek() == "["
            if array:
                self.take()
            line = self.tokens[self.at][1]
            prefix = self.key((), elements)
            self.take()
            if array:
                self.take()
                elements[prefix] = elements.get(prefix, -1) + 1
                prefix = (*prefix, elements[prefix])
            self.lines.setdefault(prefix, line)
        return self.lines


def _lines(text: str) -> dict[Location, int]:
    try:
        return _Scanner(text).document()
    except (IndexError, RecursionError):  # best effort: a wrong line is bad, a traceback is worse
        return {}
