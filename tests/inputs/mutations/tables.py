"""Of tables: of their names and cells, in any format, and of tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.inputs.mutations.changed import HOSTILE, Changed, Random


@dataclass
class Table:
    """Names of columns and cells of a table, and which columns a command reads as what."""

    names: list[str]
    rows: list[list[str]]
    reads: dict[str, str]
    """Column -> its role, a key of :data:`ROLES`, for those that the command reads."""

    def of(self, random: Random, *roles: str) -> str | None:
        """A column that is read in one of these roles; None if there is none."""
        fitting = [name for name, role in self.reads.items() if role in roles]
        return str(random.choice(fitting)) if fitting else None

    def put(self, column: str, value: Callable[[int, str], str]) -> None:
        """Change every cell of a column."""
        at = self.names.index(column)
        for i, row in enumerate(self.rows):
            row[at] = value(i, row[at])


NUMBERS = ("score", "weight", "bins", "feature", "number", "optional")
KEYS = ("person", "id")
DISPENSABLE = ("feature", "optional")
CATEGORIES = ("label", "attribute", "split")
ROLES = (*NUMBERS, *KEYS, *CATEGORIES, "file", "name")
"""What a column can be; a name is any text."""

TableMutation = Callable[[Table, Random], Changed | None]
"""Changes a table; None = there is no column that it fits."""


def cell(roles: tuple[str, ...], *values: str, refused: bool | None = None) -> TableMutation:
    """Another value in one cell."""

    def mutate(table: Table, random: Random) -> Changed | None:
        column = table.of(random, *roles)
        if column is None:
            return None
        row = int(random.integers(len(table.rows)))
        table.rows[row][table.names.index(column)] = str(random.choice(np.array(values, object)))
        return Changed(refused, (row,), column)

    return mutate


def column(roles: tuple[str, ...], value: Callable[[int, str], str], refused: bool | None = None) -> TableMutation:
    """Other values in all cells of a column."""

    def mutate(table: Table, random: Random) -> Changed | None:
        name = table.of(random, *roles)
        if name is None:
            return None
        table.put(name, value)
        return Changed(refused, column=name)

    return mutate


def _value_replaced(table: Table, random: Random) -> Changed | None:
    """A value of a category is another text, in all rows that have it."""
    name = table.of(random, *CATEGORIES, "name")
    if name is None:
        return None
    at, new = table.names.index(name), str(random.choice(np.array(HOSTILE, object)))
    old = table.rows[int(random.integers(len(table.rows)))][at]
    table.put(name, lambda i, value: new if value == old else value)
    return Changed(column=name)


def _twice(table: Table, random: Random) -> Changed | None:
    name = table.of(random, "id")
    if name is None:
        return None
    at, (one, other) = table.names.index(name), random.choice(len(table.rows), 2, replace=False).tolist()
    table.rows[other][at] = table.rows[one][at]
    return Changed(True, (one, other), name)


def _both_sides(table: Table, random: Random) -> Changed | None:
    person, split = table.of(random, "person"), table.of(random, "split")
    if person is None or split is None:
        return None
    who, part = table.names.index(person), table.names.index(split)
    one = next(i for i, row in enumerate(table.rows) if row[part] == "test")
    other = next(i for i, row in enumerate(table.rows) if row[part] == "val")
    same = [i for i, row in enumerate(table.rows) if row[who] in (table.rows[one][who], table.rows[other][who])]
    table.rows[other][who] = table.rows[one][who]
    return Changed(True, tuple(same), person)


def _one_part(table: Table, random: Random) -> Changed | None:
    name = table.of(random, "split")
    if name is None:
        return None
    table.put(name, lambda i, value: "test")
    return Changed(True)


def _gone(table: Table, random: Random) -> Changed | None:
    name = table.of(random, *ROLES)
    if name is None:
        return None
    at = table.names.index(name)
    for row in (table.names, *table.rows):
        del row[at]
    return Changed(None if table.reads[name] in DISPENSABLE else True, column=name)


def _renamed(table: Table, random: Random) -> Changed | None:
    name = table.of(random, *(role for role in ROLES if role not in DISPENSABLE))
    if name is None:
        return None
    table.names[table.names.index(name)] = name.upper() if random.uniform() < 0.5 else f"{name}_"
    return Changed(True, column=name)


def _two_columns(table: Table, random: Random) -> Changed | None:
    name = table.of(random, *ROLES)
    if name is None:
        return None
    for row, value in zip([table.names, *table.rows], [name, *("1" for _ in table.rows)], strict=True):
        row.append(value)
    return Changed(True, column=name)


def _hostile_name(table: Table, random: Random) -> Changed | None:
    new = str(random.choice(np.array([name for name in HOSTILE if len(name) < 100], object)))
    unread = [name for name in table.names if name not in table.reads or table.reads[name] == "feature"]
    if not unread:
        return None
    table.names[table.names.index(str(random.choice(unread)))] = new
    return Changed(False)


def _rows(keep: Callable[[list[list[str]], Random], list[list[str]]], refused: bool | None) -> TableMutation:
    def mutate(table: Table, random: Random) -> Changed:
        table.rows[:] = keep(table.rows, random)
        return Changed(refused)

    return mutate


TABLES: dict[str, TableMutation] = {
    "text in a number column": cell(NUMBERS, "high", "0.5.5", "1_0", "٣", "=0.5", "--1", "0x1A", "½", refused=True),
    "formula in a number column": cell(NUMBERS, "=1+1", "@SUM(A1)", "+cmd|x", "<script>1</script>", refused=True),
    "a number that is not finite": cell(NUMBERS, "inf", "-Infinity", "1e999", "9" * 400, refused=True),
    "a number that is missing": cell(NUMBERS, "", "NaN", "NA", "null", "  "),
    "a huge number": cell(NUMBERS, "1e300", "-1e300", "1e-400", "9" * 30, "123456789012345678"),
    "a number out of range": cell(NUMBERS, "-3", "1.7", "100", "-0.0"),
    "one decimal comma": cell(NUMBERS, "0,25", "1.000,5", "1,000"),
    "one percent sign": cell(NUMBERS, "25 %", "25%", "%"),
    "a missing key": cell(KEYS, "", "NA", "   ", refused=True),
    "a missing category": cell(CATEGORIES, "", "NA", "nan"),
    "a missing file": cell(("file",), "", "gone.png", "..", "/etc/passwd", "../people.csv", "a/b.png", refused=True),
    "a label of no convention": cell(("label",), "maybe", "2", "-1", "ja", "<script>", "=1", "0.5", refused=True),
    "hostile text in a cell": cell((*CATEGORIES, *KEYS, "name"), *HOSTILE),
    "a hostile value": _value_replaced,
    "an empty column": column(("attribute", "label", "person", "id", "file"), lambda i, value: "", refused=True),
    "an empty column of numbers": column((*NUMBERS, "split"), lambda i, value: ""),
    "an attribute unique per row": column(("attribute",), lambda i, value: f"v{i}", refused=True),
    "one class": column(("label",), lambda i, value: "1", refused=True),
    "all scores equal": column(("score",), lambda i, value: "0.5", refused=True),
    "all numbers equal": column(("weight", "bins", "feature"), lambda i, value: "1"),
    "all weights 0": column(("weight",), lambda i, value: "0"),
    "scores outside [0, 1]": column(("score",), lambda i, value: str(10 * float(value) - 5)),
    "decimal commas": column(("score", "weight"), lambda i, value: f"{float(value):.4f}".replace(".", ",")),
    "percent signs": column(("score",), lambda i, value: f"{100 * float(value):.2f} %"),
    "one person": column(("person",), lambda i, value: "p"),
    "one value of the split": _one_part,
    "the same identifier twice": _twice,
    "a person on both sides": _both_sides,
    "a column that is not there": _gone,
    "a column of another name": _renamed,
    "a column twice": _two_columns,
    "a hostile name of a column": _hostile_name,
    "header only": _rows(lambda rows, random: [], True),
    "one row": _rows(lambda rows, random: rows[:1], None),
    "half of the rows": _rows(lambda rows, random: rows[::2], None),
    "rows twice": _rows(lambda rows, random: [list(row) for row in rows + rows], None),
    "rows in another order": _rows(lambda rows, random: [rows[i] for i in random.permutation(len(rows))], None),
}  # fmt: skip
"""Of tables in any format."""


def written(table: Table, delimiter: str = ",", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """A table as CSV."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerows([table.names, *table.rows])
    return out.getvalue()


def _line_of(table: Table, random: Random, change: Callable[[str], str], text: str) -> tuple[bytes, Changed]:
    """One line below the header is another one."""
    lines = written(table).split("\n")
    at = int(random.integers(1, len(table.rows) + 1))
    lines[at] = change(lines[at])
    return "\n".join(lines).encode(text, "surrogateescape"), Changed(True, line=at + 1)


TEXTS: dict[str, Callable[[Table, Random], tuple[bytes, Changed]]] = {
    "byte-order mark": lambda table, random: (b"\xef\xbb\xbf" + written(table).encode(), Changed(False)),
    "CRLF": lambda table, random: (written(table).replace("\n", "\r\n").encode(), Changed(False)),
    "blank lines": lambda table, random: (written(table).replace("\n", "\n\n").encode(), Changed(False)),
    "all quoted": lambda table, random: (written(table, quoting=csv.QUOTE_ALL).encode(), Changed(False)),
    "semicolons": lambda table, random: (written(table, ";").encode(), Changed(False)),
    "tabs": lambda table, random: (written(table, "\t").encode(), Changed(False)),
    "separator of no kind": lambda table, random: (
        written(table, str(random.choice([":", "~", "^", " "]))).encode(),
        Changed(True),
    ),
    "two separators": lambda table, random: _line_of(table, random, lambda line: line.replace(",", ";"), "utf-8"),
    "a short row": lambda table, random: _line_of(table, random, lambda line: line.rpartition(",")[0], "utf-8"),
    "a long row": lambda table, random: _line_of(table, random, lambda line: f"{line},more", "utf-8"),
    "an open quote": lambda table, random: (
        written(table).encode() + b'"open', Changed(True, line=len(table.rows) + 2)
    ),
    "a NUL": lambda table, random: _line_of(table, random, lambda line: f"{line}\0", "utf-8"),
    "a byte of Latin-1": lambda table, random: _line_of(table, random, lambda line: f"{line}\udcfc", "utf-8"),
    "UTF-16": lambda table, random: (written(table).encode("utf-16"), Changed(True)),
    "a very long field": lambda table, random: _line_of(table, random, lambda line: line + "x" * 200_000, "utf-8"),
    "a very long line": lambda table, random: _line_of(table, random, lambda line: line + "," * 2**20, "utf-8"),
    "a line break in a field": lambda table, random: (
        written(table).replace("nothing", '"two\nlines"').encode(),
        Changed(None if "feature" in table.reads.values() else False),
    ),
}  # fmt: skip
"""Of tables as text only: what is written instead."""
