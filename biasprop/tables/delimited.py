"""Delimited text: comma, semicolon, tab or bar, with quotes as in RFC 4180, in UTF-8."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError
from biasprop.paths import reason
from biasprop.terminal import printable

SEPARATORS = (",", ";", "\t", "|")
CHUNK = 2**16
"""Rows that are read at a time."""
MAX_LINE = 2**20
"""Characters of a line; a file with longer ones is no table."""
BYTE_ORDER_MARK = "\ufeff"

_SURROGATE = re.compile("[\udc80-\udcff]")
_SEPARATOR_LINE = re.compile(r"sep=([,;|\t])\r?\n?")
"""First line of a file by which Excel is told the separator."""


class Delimited:
    """A table in a text file whose header has been read."""

    unit = "line"

    def __init__(self, file: Path, binary: BinaryIO, wanted: Sequence[str]):
        """Read the header, and find out how columns are separated.

        Args:
            file: named in messages.
            binary: its bytes.
            wanted: names of columns that are looked for.

        Raises:
            InputError: there is no header, or it is not text.
        """
        self.file = file
        self._stream = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="")
        self._read = 0
        self._lines = self._checked_lines()
        header, separators = self._header_line()
        self.names, self._separator = self._split(header, separators, set(wanted))
        self._before = self._read

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Sequence[str]]]]:
        """Read all rows; see ``Source``.

        Raises:
            InputError: a record has another number of fields than the header, or is not well-formed; names the line.
        """
        indices = {name: self.names.index(name) for name in columns}
        reader = csv.reader(self._lines, delimiter=self._separator, strict=True)
        width = len(self.names)
        while True:
            rows, places = [], []
            try:
                for row in reader:
                    if len(row) == width:
                        rows.append(row)
                        places.append(self._before + reader.line_num)
                        if len(rows) == CHUNK:
                            break
                    elif len(row) > 1 or (row and row[0].strip()):
                        fields = f"{len(row)} field{'s' * (len(row) != 1)}"
                        raise self._problem(f"{fields}, but the header has {width}", self._before + reader.line_num)
            except csv.Error as error:
                raise self._problem(_explained(error), self._before + reader.line_num) from error
            if not rows:
                return
            yield np.array(places, np.int32), {name: [row[i] for row in rows] for name, i in indices.items()}

    def _problem(self, what: str, line: int) -> InputError:
        return InputError(f"{self.file}:{line}: {what}")

    def _checked_lines(self) -> Iterator[str]:
        """Lines with their ends, refused where they are no text."""
        while True:
            try:
                line = self._stream.readline(MAX_LINE)
            except OSError as error:
                raise InputError(f"{self.file}: {reason(error)}") from error
            if not line:
                return
            self._read += 1
            if "\0" in line:
                raise self._problem("has a NUL character; not a text file", self._read)
            if not line.isascii() and (byte := _SURROGATE.search(line)):
                value = ord(byte[0]) - 0xDC00
                raise self._problem(f"is not UTF-8 (byte 0x{value:02x}); save the file as UTF-8", self._read)
            if len(line) == MAX_LINE:
                raise self._problem(f"has more than {MAX_LINE:,} characters; not a table", self._read)
            yield line

    def _header_line(self) -> tuple[str, Sequence[str]]:
        """The first line that is not blank, and the separators that it may have."""
        separators: Sequence[str] = SEPARATORS
        for line in self._lines:
            line = line.removeprefix(BYTE_ORDER_MARK) if self._read == 1 else line
            if stated := _SEPARATOR_LINE.fullmatch(line):
                separators = stated[1]
            elif line.strip():
                return line, separators
        raise InputError(f"{self.file}: is empty; the first line has to name the columns")

    def _split(self, header: str, separators: Sequence[str], wanted: set[str]) -> tuple[list[str], str]:
        """Names of columns, split by the separator that gives most of the columns looked for, then most columns."""
        found = []
        for separator in separators:
            try:
                (names,) = csv.reader([header], delimiter=separator, strict=True)
            except csv.Error:
                continue
            names = [name.strip() for name in names]
            found.append((len(wanted.intersection(names)), len(names), names, separator))
        if not found:
            raise self._problem("the header has quotes that do not match", self._read)
        _, _, names, separator = max(found, key=lambda one: one[:2])
        return names, separator


def _explained(error: csv.Error) -> str:
    """What the parser found, in words that say what to do."""
    text = str(error)
    if "field limit" in text or "end of data" in text:
        return "a quoted field is not closed (or has more than 131,072 characters)"
    return f"quotes are not as in CSV ({printable(text)})"
