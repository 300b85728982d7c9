"""Tables with one thing wrong in them, by the thousand: each is refused with file, line and column.

A case is a valid table of predictions, written in one of many ways (separator, line ends, quotes, decimal commas), in
which one thing is broken; what the message has to name is known. Besides, tables with random bytes changed are either
audited or refused, never a traceback.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from biasprop.terminal import printable

NAMES = ("y", "p", "sex", "age", "patient", "split", "w", "id")
ODD_NAMES = ("größe", "=1+1", "<b>bold</b>", "a b", "\x1b[31mred", "日本", 'quo"te', "comma, name", "@SUM(A1)")
FILE = "t.csv"


@dataclass
class Case:
    """A table, options of the command, and what the message has to say."""

    kind: str
    header: list[str]
    rows: list[list[str]]
    words: list[str]
    """Options behind the file."""
    row: int = 0
    column: int | None = None
    """Column that the message names; None = the line alone, or only the file."""
    says: str = ""
    line_known: bool = True
    """Whether the message names the line of ``row``."""
    write: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    """Instead of header and rows."""

    def text(self) -> tuple[bytes, list[int]]:
        """The file, and the line on which each row ends."""
        lines, out = [], io.StringIO(newline="")
        writer = csv.writer(out, delimiter=self.write["delimiter"], lineterminator=self.write["end"])
        for row in [self.header, *self.rows]:
            writer.writerow(row)
            text = out.getvalue()
            lines.append(text.count("\n") if "\n" in self.write["end"] else text.count("\r"))
        return (self.write["mark"] + out.getvalue()).encode(), lines[1:]


def table(random: np.random.Generator) -> Case:
    """A valid table, and options that use every column."""
    n = int(random.integers(24, 60))
    odd = str(random.choice(ODD_NAMES)) if random.uniform() < 0.4 else "sex"
    names = [odd if name == "sex" else name for name in NAMES]
    label = random.permutation(np.arange(n) % 2)
    pair = [("0", "1"), ("no", "yes"), ("FALSE", "TRUE"), ("benign", "malignant")][int(random.integers(4))]
    style = str(random.choice(["point", "comma", "percent"]))
    scores = random.uniform(0.05, 0.95, n)
    cells = [f"{score:.4f}" for score in scores]
    if style == "comma":
        cells = [cell.replace(".", ",") for cell in cells]
    if style == "percent":
        cells = [f"{100 * score:.2f} %" for score in scores]
    person = np.arange(n) // 2
    ages, parts = random.integers(20, 90, n), np.where(person % 3 == 0, "val", "test")
    rows = [
        [pair[y], p, "FM"[i % 2], str(ages[i]), f"q{person[i]}", str(parts[i]), "1.5", f"id{i}"]
        for i, (y, p) in enumerate(zip(label, cells, strict=True))
    ]
    write = {
        "delimiter": str(random.choice([",", ";", "\t", "|"])),
        "end": str(random.choice(["\n", "\r\n"])),
        "mark": str(random.choice(["", "\ufeff"])),
    }
    if random.uniform() < 0.3:  # a line break in a field of a column that is not asked for
        names.append("note")
        rows = [[*row, "two\nlines" if write["end"] == "\n" and i % 5 == 0 else "one"] for i, row in enumerate(rows)]
    by = f"{names[2]},age" if "," not in names[2] else "age"
    words = ["--label", "y", "--score", "p", "--by", by, "--bins", "age=18,65", "--person", "patient"]
    words += ["--weight", "w", "--threshold-from", "split=val", "--json"]
    return Case("valid", names, rows, words, write=write)


def _cell(column: int, says: str, *values: str) -> Callable[[Case, np.random.Generator], None]:
    """Break one cell."""

    def mend(case: Case, random: np.random.Generator) -> None:
        case.row = int(random.integers(4, len(case.rows)))
        case.rows[case.row][column] = str(random.choice(values))
        case.column, case.says = column, says

    return mend


def _short(case: Case, random: np.random.Generator) -> None:
    case.row = int(random.integers(len(case.rows)))
    case.rows[case.row] = case.rows[case.row][: -int(random.integers(1, 5))]
    case.says = "fields, but the header has"


def _long(case: Case, random: np.random.Generator) -> None:
    case.row = int(random.integers(len(case.rows)))
    case.rows[case.row] = [*case.rows[case.row], "more"]
    case.says = "fields, but the header has"


def _mixed(case: Case, random: np.random.Generator) -> None:
    case.row = int(random.integers(1, len(case.rows)))
    first = case.rows[0][1]
    case.rows[case.row][1] = "0,25" if "%" not in first and "," not in first else "0.25"
    case.column, case.says = 1, "decimal" if "%" not in first else "percent sign"


def _outside(case: Case, random: np.random.Generator) -> None:
    case.row = int(random.integers(1, len(case.rows)))
    comma, percent = "," in case.rows[0][1], "%" in case.rows[0][1]
    case.rows[case.row][1] = str(random.choice(["170.5 %", "-3.5 %"] if percent else ["1.7", "-0.2", "55.5"]))
    case.rows[case.row][1] = case.rows[case.row][1].replace(".", "," if comma else ".")
    case.words += ["--score-is", "probability"]
    case.column, case.says = 1, "a probability has to be in [0,"


def _misspelt(case: Case, random: np.random.Generator) -> None:
    case.words[case.words.index("patient")] = "patent"
    case.says, case.line_known = "no column 'patent' (--person); allowed: ", False


def _twice(case: Case, random: np.random.Generator) -> None:
    case.header[7] = str(random.choice(["y", "p", "w"]))
    case.says, case.line_known = f"2 columns '{case.header[7]}'", False


def _constant(column: int, says: str, value: str | None) -> Callable[[Case, np.random.Generator], None]:
    def mend(case: Case, random: np.random.Generator) -> None:
        first = case.rows[0][column] if value is None else value
        for row in case.rows:
            row[column] = first
        case.column, case.says = column, says
        case.row = next(i for i, row in enumerate(case.rows) if row[5] == "test")

    return mend


def _own_value(case: Case, random: np.random.Generator) -> None:
    for i, row in enumerate(case.rows):
        row[7] = f"id{i}"
    case.words[case.words.index("--by") + 1] = "id,age"
    case.column, case.says = 7, "every row has a value of its own"
    case.row = next(i for i, row in enumerate(case.rows) if row[5] == "test")


def _both_sides(case: Case, random: np.random.Generator) -> None:
    tested = [i for i, row in enumerate(case.rows) if row[5] == "test"]
    case.row = int(random.choice(tested[::2]))
    case.rows[case.row][4] = "q0"
    case.column, case.says = 4, "also among the rows of --threshold-from split=val"


def _no_split(case: Case, random: np.random.Generator) -> None:
    case.words[case.words.index("split=val")] = "split=vall"
    case.column, case.says, case.line_known = 5, "no value 'vall' (--threshold-from); allowed: ", False


def _nul(case: Case, random: np.random.Generator) -> None:
    case.row = 1 + 5 * int(random.integers(4))  # not one of the rows on two lines
    case.rows[case.row][2] = "a\0b"
    case.says = "NUL"


def _quote(case: Case, random: np.random.Generator) -> None:
    case.content = case.text()[0] + b'"never closed'
    case.says, case.line_known = "a quoted field is not closed", False


def _latin(case: Case, random: np.random.Generator) -> None:
    case.row = 2 + 5 * int(random.integers(4))  # not one of the rows on two lines
    case.rows[case.row][2] = "MARKEDHERE"
    case.content = case.text()[0].replace(b"MARKEDHERE", b"weibl\xefch")
    case.says = "is not UTF-8 (byte 0xef)"


def _content(content: bytes, says: str) -> Callable[[Case, np.random.Generator], None]:
    def mend(case: Case, random: np.random.Generator) -> None:
        case.content, case.says, case.line_known = content, says, False
        case.words[case.words.index("--by") + 1] = "sex,age"

    return mend


BROKEN: dict[str, Callable[[Case, np.random.Generator], None]] = {
    "score in words": _cell(1, "is not a finite number", "high", "0.5.5", "1e999", "inf", "1_0", "=0.5", "٣", "--1"),
    "label of no convention": _cell(0, "is no label", "maybe", "2", "-1", "ja", "<script>", "=1", "0.5"),
    "short row": _short,
    "long row": _long,
    "two ways of numbers": _mixed,
    "no probability": _outside,
    "no such column": _misspelt,
    "column twice": _twice,
    "one class": _constant(0, "both are needed", None),
    "equal scores": _constant(1, "have the score", "0.5"),
    "empty labels": _constant(0, "is empty in every audited row", "NA"),
    "empty scores": _constant(1, "is empty in every audited row", "NA"),
    "empty attribute": _constant(2, "is empty in every audited row", "NA"),
    "attribute unique per row": _own_value,
    "weight": _cell(6, "a weight has to be a number of at least 0", "-1", "", "NA"),
    "weights of 0": _constant(6, "is 0, and so it is in every audited row", "0"),
    "weight in words": _cell(6, "is not a finite number", "much", "inf"),
    "age below the bins": _cell(3, "--bins starts at 18", "3", "-5", "0"),
    "age in words": _cell(3, "is not a finite number", "old", "1/2"),
    "no person": _cell(4, "is empty; every row needs one", "", "NA", "  "),
    "person on both sides": _both_sides,
    "no such split": _no_split,
    "NUL": _nul,
    "open quote": _quote,
    "Latin-1": _latin,
    "empty file": _content(b"", "is empty"),
    "blank file": _content(b"\n\n \r\n", "is empty"),
    "UTF-16": _content("y,p\n1,2\n".encode("utf-16"), "is UTF-16"),
    "gzip": _content(b"\x1f\x8b\x08\x00abc", "is compressed (gzip)"),
    "Excel": _content(b"PK\x03\x04abc", "is an Excel workbook"),
    "header only": _content(b"y,p,sex,age,patient,split,w\n", "has no rows below the header"),
    "HTML": _content(b"<!DOCTYPE html>\n<html><body>\n", "no column 'y' (--label)"),
    "long line": _content(b"y,p,sex,age,patient,split,w\n" + b"1" * 2**21, "characters; not a table"),
}  # fmt: skip
"""Kind -> what breaks a valid table in this way."""


def cases(number: int, seed: int) -> Iterator[Case]:
    """Yield broken tables, of each kind in turn."""
    for i in range(number):
        random = np.random.default_rng([seed, i])
        kind = list(BROKEN)[i % len(BROKEN)]
        case = table(random)
        case.kind = kind
        if kind == "empty attribute" and "," in case.header[2]:
            case.header[2] = "sex"
            case.words[case.words.index("--by") + 1] = "sex,age"
        BROKEN[kind](case, random)
        yield case


def expected(case: Case) -> str:
    """How the message starts."""
    if not case.line_known:
        return f"{FILE}:"
    line = case.text()[1][case.row]
    column = "" if case.column is None else f" {printable(case.header[case.column])}:"
    return f"{FILE}:{line}:{column}"


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """The file with a few bytes changed, left out or repeated."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 3))):
        at = int(random.integers(len(data)))
        how = int(random.integers(4))
        if how == 0:
            data[at] = int(random.integers(256))
        elif how == 1:
            del data[at : at + int(random.integers(1, 3))]
        elif how == 2:
            data[at:at] = random.choice([b'"', b"\n", b",", b";", b"\0", b"=", b"\xff", b"1", b"9", b"-", b"NA", b" "])
        else:
            data[at:at] = data[at : at + int(random.integers(1, 200))]
        data = data or bytearray(b"y")
    return bytes(data)


def written(case: Case, folder: Path) -> Path:
    """Write the table of a case."""
    file = folder / FILE
    file.write_bytes(case.text()[0] if case.content is None else case.content)
    return file
