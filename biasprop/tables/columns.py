"""Columns of a table: numbers, categories and keys, filled chunk by chunk from cells of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array

from biasprop.component import InputError
from biasprop.terminal import clipped, printable

MISSING = frozenset({"", "na", "n/a", "nan", "null", "<na>"})
"""Cells without a value, in lower case."""
MAX_CATEGORIES = 10_000
"""Different values of a category."""

POINT, COMMA, PERCENT, NO_PERCENT = "a decimal point", "a decimal comma", "a percent sign", "no percent sign"
_CLASHES = ((POINT, COMMA), (PERCENT, NO_PERCENT))
_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(%?)", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)

Place = Callable[[int], str]
"""From a line or row to the start of a message about a cell: ``file:12: column``."""


class Numbers:
    """A column of numbers, all written in one way."""

    def __init__(self, place: Place):
        self._place = place
        self._chunks: list[NDArray[np.float64]] = []
        self._first: dict[str, int] = {}
        self._thousands = True

    def add(self, cells: Sequence[str], places: NDArray[np.int32]) -> None:
        """Append cells.

        Raises:
            InputError: a cell is no finite number.
        """
        values = _plain_numbers(cells)
        if values is None:
            values = np.array([self._number(cell, at) for cell, at in zip(cells, places.tolist(), strict=True)])
        else:
            self._note(POINT, (i for i, cell in enumerate(cells) if "." in cell), places)
            self._note(NO_PERCENT, np.flatnonzero(~np.isnan(values)), places)
        self._chunks.append(values)

    def finish(self) -> NDArray[np.float64]:
        """Return the numbers, NaN where missing; percentages as shares of 1.

        Raises:
            InputError: numbers are written in several ways.
        """
        for one, other in _CLASHES:
            if one in self._first and other in self._first:
                at = self._first[one], self._first[other]
                ways = (one, other) if at[0] < at[1] else (other, one)
                first, second = sorted(at)
                raise InputError(f"{self._place(second)}: has {ways[1]}, but {self._place(first)} has {ways[0]}")
        if COMMA in self._first and self._thousands:
            raise InputError(
                f"{self._place(self._first[COMMA])}: the comma may mean decimals or thousands; write a decimal point"
            )
        values = np.concatenate(self._chunks) if self._chunks else np.zeros(0)
        self._chunks = []
        return values / 100.0 if PERCENT in self._first else values

    @property
    def notation(self) -> list[str]:
        """Ways of writing other than Python's: decimal commas, percentages."""
        return [how for how in (COMMA, PERCENT) if how in self._first]

    def _note(self, how: str, found: Iterable[int], places: NDArray[np.int32]) -> None:
        """Remember the first cell that is written in this way."""
        if how not in self._first and (first := next(iter(found), None)) is not None:
            self._first[how] = int(places[first])

    def _number(self, cell: str, at: int) -> float:
        text = cell.strip()
        if text.lower() in MISSING:
            return np.nan
        if not (match := _NUMBER.fullmatch(text)):
            raise InputError(f"{self._place(at)}: {shortened(text)} is not a finite number")
        number = match[1]
        self._first.setdefault(PERCENT if match[2] else NO_PERCENT, at)
        if "." in number:
            self._first.setdefault(POINT, at)
        if "," in number:
            self._first.setdefault(COMMA, at)
            self._thousands = self._thousands and bool(_THOUSANDS.fullmatch(number))
        value = float(number.replace(",", "."))
        if not np.isfinite(value):
            raise InputError(f"{self._place(at)}: {shortened(text)} is not a finite number")
        return value


class Categories:
    """A column with few different values."""

    def __init__(self, place: Place):
        self._place = place
        self._chunks: list[NDArray[np.int32]] = []
        self._code: dict[str, int] = {}
        self.first: list[int] = []
        """Place where each value is first."""

    @property
    def values(self) -> list[str]:
        """Different values, in the order in which they occur; the place of each is its code."""
        return list(self._code)

    def add(self, cells: Sequence[str], places: NDArray[np.int32]) -> None:
        """Append cells.

        Raises:
            InputError: there are more than :data:`MAX_CATEGORIES` different values.
        """
        local, found = pd.factorize(np.array(cells, dtype=object))
        codes = np.full(len(found), -1, np.int32)
        for i, value in enumerate(found):
            text = str(value).strip()
            if text.lower() in MISSING:
                continue
            if text not in self._code:
                at = int(places[np.argmax(local == i)])
                if len(self._code) == MAX_CATEGORIES:
                    many = f"the column has more than {MAX_CATEGORIES:,} different values"
                    raise InputError(f"{self._place(at)}: {many}, too many for groups, labels or splits")
                self._code[text] = len(self._code)
                self.first.append(at)
            codes[i] = self._code[text]
        self._chunks.append(codes[local])

    def finish(self) -> NDArray[np.int32]:
        """Return the code of each row, -1 where missing."""
        codes = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int32)
        self._chunks = []
        return codes


class Keys:
    """A column of identifiers, of which only equality matters.

    Kept as 64-bit hashes: among 10 million, two different ones get the same hash with a probability of 3 in a million.
    """

    def __init__(self, place: Place):
        self._place = place
        self._chunks: list[NDArray[np.uint64]] = []

    def add(self, cells: Sequence[str], places: NDArray[np.int32]) -> None:
        """Append cells.

        Raises:
            InputError: a cell is empty.
        """
        texts = [cell.strip() for cell in cells]
        missing = [i for i, text in enumerate(texts) if text.lower() in MISSING]
        if missing:
            raise InputError(f"{self._place(int(places[missing[0]]))}: is empty; every row needs one")
        hashed = hash_array(np.array(texts, dtype=object), categorize=False)  # pyright: ignore[reportCallIssue]
        self._chunks.append(hashed)

    def finish(self) -> NDArray[np.uint64]:
        """Return the hash of each row."""
        keys = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.uint64)
        self._chunks = []
        return keys


class Texts:
    """A column of which every cell is needed as it is written, such as names of files."""

    def __init__(self, place: Place):
        self._place = place
        self._cells: list[str] = []

    def add(self, cells: Sequence[str], places: NDArray[np.int32]) -> None:
        """Append cells.

        Raises:
            InputError: a cell is empty.
        """
        texts = [cell.strip() for cell in cells]
        if "" in texts:
            raise InputError(f"{self._place(int(places[texts.index('')]))}: is empty; every row needs one")
        self._cells += texts

    def finish(self) -> NDArray[np.object_]:
        """Return the text of each row."""
        return np.array(self._cells, dtype=object)


KINDS = {"number": Numbers, "category": Categories, "key": Keys, "text": Texts}


def shortened(text: str) -> str:
    """A cell as it is quoted in a message: printable, and at most 60 characters."""
    return repr(clipped(text)) if text.isprintable() else f"'{printable(clipped(text))}'"


def _plain_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Numbers as Python writes them; None if a cell is anything else, also if it is infinite or missing in words."""
    try:
        values = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None
    text = "".join(cells)
    return values if text.isascii() and "_" not in text and not np.isinf(values).any() else None
