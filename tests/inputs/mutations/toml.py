"""Of TOML files, and values of --set."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tests.inputs.mutations.changed import Changed, Random

ODD = (
    *("3", "-1", "1.5", "nan", "inf", "true", "2026-01-31", "2026-01-31T10:00:00Z", "10:00:00", "[]", "{}", "[[1]]"),
    *('""', '" "', '["a", 1]', "{ text = 3 }", '{ txt = "x" }', '{ text = "x", stated_by = 3 }', "9" * 90, "1e400"),
    *('"\\u0000"', '"\\u001b[31m"', "'''<script>alert(1)</script>'''", '"=1+1"', f'"{"y" * 20_000}"', "{ F = 1.8 }"),
)
"""Values as TOML."""

Lines = list[str]


def _value(lines: Lines, random: Random) -> Changed:
    """Another value of one key."""
    at = int(random.choice([i for i, line in enumerate(lines) if "=" in line]))
    key, _, old = lines[at].partition("=")
    lines[at] = f"{key}= {random.choice(np.array(ODD, object))}"
    same = lines[at].split() == f"{key}={old}".split()
    return Changed(None, column="" if same else key.strip(), line=0 if same else at + 1)


def _key(lines: Lines, random: Random) -> Changed:
    """A key that is not there, or misspelt."""
    at = int(random.choice([i for i, line in enumerate(lines) if "=" in line and not line.startswith("stated_by")]))
    name = str(random.choice(["x", '"<script>"', '"a b"', "größe", "text", '""', "kind", "a.b.c"]))
    lines.insert(at, f"{name} = 'x'")
    return Changed(True, line=at + 1)


def _line(change: Callable[[str], str], wanted: str, refused: bool | None = True) -> Callable[[Lines, Random], Changed]:
    """Another line in place of one that matches."""

    def mutate(lines: Lines, random: Random) -> Changed:
        at = int(random.choice([i for i, line in enumerate(lines) if re.search(wanted, line)]))
        lines[at] = change(lines[at])
        return Changed(refused, line=at + 1 if refused else 0)

    return mutate


def _key_twice(lines: Lines, random: Random) -> Changed:
    at = int(random.choice([i for i, line in enumerate(lines) if "=" in line]))
    lines.insert(at, lines[at])
    return Changed(True, line=at + 2)


def _header_gone(lines: Lines, random: Random) -> Changed:
    """A header is missing, so that its keys are those of the table before."""
    at = int(random.choice([i for i, line in enumerate(lines) if line.startswith("[")]))
    del lines[at]
    return Changed(True)


TOMLS: dict[str, Callable[[Lines, Random], Changed]] = {
    "a value of another kind": _value,
    "an unknown key": _key,
    "a header that is missing": _header_gone,
    "who states it is missing": lambda lines, random: lines.remove(lines[0]) or Changed(None, column="stated_by"),
    "an unknown table": _line(lambda line: f"[{line[1:-1]}_]", r"^\["),
    "an array of tables": _line(lambda line: f"[{line}]", r"^\["),
    "a key twice": _key_twice,
    "no value": _line(lambda line: line.partition("=")[0] + "=", "="),
    "no quotes": _line(lambda line: line.replace('"', ""), '= "'),
    "an open quote": _line(lambda line: line.rstrip('"'), '= ".*"$'),
    "a NUL": _line(lambda line: f"{line}\0", "="),
    "nested too deeply": _line(lambda line: line.partition("=")[0] + "= " + "[" * 500 + "]" * 500, "="),
    "a comment": _line(lambda line: f"{line} # <script>", "=", False),
    "too large": lambda lines, random: lines.append("#" * 1_000_001) or Changed(True),
    "CRLF": lambda lines, random: lines.__setitem__(slice(None), [f"{line}\r" for line in lines]) or Changed(False),
    "byte-order mark": lambda lines, random: lines.__setitem__(0, f"\ufeff{lines[0]}") or Changed(False),
    "not UTF-8": _line(lambda line: line.replace(" = ", " = '\udcfc' # "), "="),
}
"""Of TOML files."""


SETTINGS: dict[str, tuple[str, ...]] = {
    "generator.table": ('"gone.csv"', "3", "[]", '"."', '""', '"x\\u0000y"', '"study.toml"', '"people.csv/x"'),
    "generator.images": ('"gone"', "3", '"people.csv"', '"images.npz:none"', '"images.npz"', '"x\\u0000"'),
    "generator.embeddings": ('"features.npz"', '"features.csv"', '"gone.npz"', '"people.csv"', '"."', '"x\\u0000"'),
    "generator.file": ('"note"', '"sex"', '"files"', "1", '""', '"id"'),
    "generator.target": ('"sex"', '"age"', '"note"', '"Y"', "true", '"p"', '"split"'),
    "generator.attributes": ('["note"]', '["id"]', '["sex", "age"]', "[]", '"sex"', '["sex", "sex"]', '["<script>"]'),
    "generator.subgroups": ("{}", '{ a = { values = ["F"] } }', '{ a = { values = ["F"] }, b = { values = ["F"] } }'),
    "generator.subgroups.a.values": ('["X"]', '["[0, 5)"]', '["[5, 0)"]', "[]", "3", '["F", "M"]', '[["F", "M"]]'),
    "generator.person": ('"sex"', '"nobody"', '"id"', '"split"', "[]"),
    "generator.person_pattern": ('"("', '"q[0-9]"', '"x"', '"(a+)+$"', "3"),
    "generator.split": ('"sex"', '"splitt"', '"note"', '"age"'),
    "generator.parts": ("{}", "3", '{ pretraining = ["train"], finetuning = ["train"] }', '{ evaluation = [] }'),
    "generator.suffix": ('".jpg"', '"/x"', "1", '"x\\u0000"'),
    "generator.slice": ('"age"', '"sex"', '"note"'),
    "generator.identifier": ('"sex"', '"gone"', '"id"'),
    "generator.positive": ('["1"]', '["2"]', "1", '["0", "1"]', "[]"),
    "generator.size": ("0", "7", "1025", "8.5", "nan", '"8"', "1024"),
    "generator.channels": ("2", "1", "true", '"3"'),
    "generator.square": ('"cut"', "1", '"pad"'),
    "generator.digest": ('"x"', "3", f'"{"a" * 65}"', f'"{"a" * 32}"'),
    "generator.percentages": ("[50, 20, 20]", "[100]", "[-1, 1, 100]", "[1.5, 1, 1]"),
    "generator.size_": ("1",),
    "generator.kind": ('"image"', '"embeddings"', "1"),
    "evaluation.test": ("0", "-1", "100000", "nan", '"many"', "1e3", "2026-01-31"),
    "pretraining.cohort": ("0", "100000", "1.5", "9" * 90),
    "pretraining.shares": ("{}", "{ a = 1.0, b = nan }", "{ a = 2, b = -1 }", "{ F = 0.5, M = 0.5 }"),
    "": ("1",),
    "a..b": ("1",),
    "<script>": ("1",),
}  # fmt: skip
"""Key -> values of --set."""
