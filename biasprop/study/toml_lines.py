"""The line of every key of a TOML text, which ``tomllib`` does not keep."""

from __future__ import annotations

import re
import tomllib

from biasprop.study.location import Location

# An unclosed string ends with its line or with the text, so that no token is searched for twice.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)|' + r"'''.*?(?:'''|\Z)|" + r'"(?>(?:\\.|[^"\\\n])*)"?|' + r"'[^'\n]*+'?|"
    r"\#[^\n]*|\n|[\[\]{}=,.]|[^\s\[\]{}=,.\#\"']+",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Location, int]:
    """Line, from 1, at which every key, table and array element of a valid TOML text starts.

    Best effort: empty if the text cannot be followed, since a wrong line is better than a traceback.
    """
    try:
        return _Scanner(text).document()
    except (IndexError, RecursionError):
        return {}


def line_of_overlong_key(text: str, max_parts: int) -> int | None:
    """Line of the first dotted key of more than ``max_parts`` parts, if there is one.

    To be checked before parsing, whose time grows with the square of the number of parts.
    """
    line, dots, part = 1, 0, False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == ".":
            dots, part = dots + 1, False
            if dots > max_parts:
                return line
        elif part or token in "[]{}=,\n":
            dots, part = 0, token not in "[]{}=,\n"
        else:
            part = True
        line += token.count("\n")
    return None


def line_of_deep_nesting(text: str, max_depth: int) -> int | None:
    """Line of the first bracket that is within ``max_depth`` others, if there is one.

    To be checked before parsing, which is recursive, here and in ``tomllib``.
    """
    line, depth = 1, 0
    for match in _TOKEN.finditer(text):
        depth = max(depth + (match[0] in ("[", "{")) - (match[0] in ("]", "}")), 0)
        if depth > max_depth:
            return line
        line += match[0].count("\n")
    return None


class _Scanner:
    """Recursive descent over the tokens of a text that is known to be TOML."""

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

    def skip_separators(self) -> None:
        while self.peek() in ("\n", ","):
            self.at += 1

    def part(self) -> tuple[str, int]:
        part, line = self.take()
        return (tomllib.loads(f"v = {part}")["v"] if part[0] in "\"'" else part), line

    def key(self, location: Location, elements: dict[Location, int] | None = None) -> Location:
        """Read a dotted key below ``location``; ``elements`` numbers the current element of each array of tables."""
        while True:
            part, line = self.part()
            location = (*location, part)
            self.lines.setdefault(location, line)
            if self.peek() != ".":
                return location
            self.take()
            if elements and location in elements:
                location = (*location, elements[location])

    def value(self, location: Location) -> None:
        if self.peek() == "[":
            self.take()
            self.skip_newlines()
            index = 0
            while self.peek() != "]":
                self.lines.setdefault((*location, index), self.tokens[self.at][1])
                self.value((*location, index))
                index += 1
                self.skip_separators()
            self.take()
        elif self.peek() == "{":
            self.take()
            self.skip_newlines()
            while self.peek() != "}":
                self.assignment(location)
                self.skip_separators()
            self.take()
        else:
            while self.peek() not in (",", "]", "}", "\n", ""):
                self.take()

    def assignment(self, location: Location) -> None:
        """Read ``key = value`` below ``location``."""
        key = self.key(location)
        self.take()
        self.value(key)

    def document(self) -> dict[Location, int]:
        table: Location = ()
        elements: dict[Location, int] = {}
        while self.skip_newlines() or self.peek():
            if self.peek() == "[":
                table = self.header(elements)
            else:
                self.assignment(table)
        return self.lines

    def header(self, elements: dict[Location, int]) -> Location:
        """Read ``[table]`` or ``[[array of tables]]``, which counts one more element."""
        self.take()
        array = self.peek() == "["
        if array:
            self.take()
        line = self.tokens[self.at][1]
        table = self.key((), elements)
        self.take()
        if array:
            self.take()
            elements[table] = elements.get(table, -1) + 1
            table = (*table, elements[table])
        self.lines.setdefault(table, line)
        return table
