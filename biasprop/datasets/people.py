"""Whose pictures a table lists: part, person, subgroup and label of every row.

Subjects of fine-tuning and of evaluation are people, of whom a replicate takes one row each. A person therefore has one
subgroup and one label: with the disease if any of the rows is, in the subgroup of the first such row. Rows that differ
from it are left out. Pretraining has no labels and no sets to keep apart, so that every row is a subject there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.component import FieldProblems, InputError, about_field, suggestion
from biasprop.datasets.arrays import ENDINGS, ArrayFile, Columns
from biasprop.paths import user_path
from biasprop.tables.columns import Keys
from biasprop.tables.join import refuse_repeated
from biasprop.tables.labels import binary_labels
from biasprop.tables.read import Kind, Table, cell_place, missing_column, read_table
from biasprop.tables.source import Source, open_table

PRETRAINING = 0
"""``Part.PRETRAINING`` of :mod:`biasprop.interfaces`, which loads JAX."""

MAX_NAMED = 5
"""Rows or values that a message names."""

MIN_IDENTIFIERS = 20
"""A text column with at least so many rows and a different value in each is taken for an identifier."""

_INTERVAL = re.compile(r"\[\s*(-?\d+(?:\.\d+)?|-inf)\s*,\s*(-?\d+(?:\.\d+)?|inf)\s*\)", re.ASCII)


@dataclass(frozen=True)
class Files:
    """What is read, and how; every name is a column of the table unless it says otherwise."""

    table: str
    """Path of the table."""
    attributes: tuple[str, ...]
    """Attributes that subgroups are made of."""
    subgroups: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    """Name of each subgroup, and for every attribute the values that its people may have, or an interval
    ``[low, high)``."""
    target: str
    positive: tuple[str, ...] = ()
    """Values of the target that stand for the disease; empty: 1 and 0, yes and no and the like are understood."""
    negative: tuple[str, ...] = ()
    """Values that stand for being without; empty: all others. The rest is left out."""
    person: str = ""
    """Whose a row is; empty: every row is another person's."""
    person_pattern: str = ""
    """Regular expression whose first match in the column is the person; empty: the whole cell."""
    identifier: str = ""
    """By which embeddings are found; empty: they are in the order of the rows."""
    file: str = ""
    """Name of the picture's file."""
    suffix: str = ""
    """What is put behind the names of files; no column."""
    slice: str = ""
    """Slice of a volume, from 0; empty: the middle one."""
    split: str = ""
    """Which part of the data a row belongs to; empty: parts are drawn by person."""
    parts: tuple[tuple[str, ...], ...] = ()
    """Values of the split, by :class:`biasprop.interfaces.Part`."""
    percentages: tuple[int, ...] = ()
    """Percentage of people in each part, without a split."""


@dataclass(frozen=True)
class People:
    """The rows of a table that belong to a subgroup, in the order of the table."""

    files: Files
    part: NDArray[np.int8]
    subgroup: NDArray[np.int32]
    label: NDArray[np.int32]
    person: NDArray[np.int32]
    """Whose each is, from 0: rows of a person have one part, subgroup and label. In the part for pretraining, every row
    is a person of its own."""
    rows: NDArray[np.int64]
    """Row of each in the table, from 0."""
    table: Table
    left_out: dict[str, int] = field(default_factory=dict)
    """Why rows were left out -> how many."""

    @property
    def codes(self) -> NDArray[np.int64]:
        """Stratum of each row: part, subgroup and label as one number."""
        return (self.part.astype(np.int64) * len(self.files.subgroups) + self.subgroup) * 2 + self.label

    @property
    def available(self) -> NDArray[np.int64]:
        """Number of people by part, subgroup and label."""
        shape = (3, len(self.files.subgroups), 2)
        _, first = np.unique(self.person, return_index=True)
        return np.bincount(self.codes[first], minlength=int(np.prod(shape))).reshape(shape)

    def column(self, name: str, kind: Kind) -> NDArray[Any]:
        """A column of the table, of these rows."""
        return self.table.columns[name, kind].data[self.rows]

    def at(self, i: int, column: str) -> str:
        """Start of a message about the i-th of these rows."""
        return self.table.at(int(self.rows[i]), column)

    def digest(self) -> str:
        """Of part, subgroup, label and person of every row."""
        return hashlib.blake2b(self.codes.tobytes() + self.person.tobytes(), digest_size=16).hexdigest()


@contextmanager
def opened(path: Path, wanted: Sequence[str]) -> Iterator[Source]:
    """A table as text, parquet, or the arrays of one dim of an .npz or zarr file."""
    if path.suffix in ENDINGS:
        yield Columns(ArrayFile(path))
        return
    with open_table(path, wanted) as source:
        yield source


def read(files: Files) -> People:
    """Read a table.

    Raises:
        FieldProblems: the table cannot be read, a column is missing or useless, people are in several parts, or a
            subgroup is empty; fields are those of the generator.
    """
    with about_field("table"):
        table = _table(files)
    label = _labels(table, files)
    subgroup = _subgroups(table, files)
    person = _persons(table, files)
    part = _parts(table, files, person)
    left_out = {
        f"no class of {files.target}": int((label < 0).sum()),
        "in no subgroup": int(((label >= 0) & (subgroup < 0)).sum()),
        f"no value of {files.split}": int(((label >= 0) & (subgroup >= 0) & (part < 0)).sum()),
    }
    rows = np.flatnonzero((label >= 0) & (subgroup >= 0) & (part >= 0))
    agrees, person = _people(part[rows], person[rows], subgroup[rows], label[rows])
    left_out["of people who have another label or subgroup"] = int((~agrees).sum())
    rows = rows[agrees]
    if files.identifier:
        with about_field("identifier"):
            refuse_repeated(table, files.identifier)
    people = People(
        files,
        part[rows].astype(np.int8),
        subgroup[rows].astype(np.int32),
        label[rows].astype(np.int32),
        person[agrees],
        rows,
        table,
        {why: count for why, count in left_out.items() if count},
    )
    _check_classes(people)
    return people


def _table(files: Files) -> Table:
    path = user_path(files.table)
    columns = _columns(files)
    with opened(path, [name for name, _, _ in columns]) as source:
        if missing := [(name, field) for name, _, field in columns if name not in source.names]:
            every = {path: source.names}
            raise FieldProblems(((field,), missing_column(every, "", name)) for name, field in missing)
        return read_table(path, source, [(name, kind) for name, kind, _ in columns])


def _columns(files: Files) -> list[tuple[str, Kind, str]]:
    """Name and kind of every column that is read, and the field of the generator that names it."""
    found: list[tuple[str, Kind, str]] = []
    for i, name in enumerate(files.attributes):
        for kind in _kinds(files, i):
            found.append((name, kind, "attributes"))
    person: Kind = "text" if files.person_pattern else "key"
    others: tuple[tuple[str, Kind, str], ...] = (
        (files.target, "category", "target"),
        (files.person, person, "person"),
        (files.identifier, "key", "identifier"),
        (files.file, "text", "file"),
        (files.slice, "number", "slice"),
        (files.split, "category", "split"),
    )
    found += [one for one in others if one[0]]
    return found


def _kinds(files: Files, attribute: int) -> list[Kind]:
    """How a column of an attribute is read: as text for values, as numbers for intervals."""
    intervals = {bool(_INTERVAL.fullmatch(value)) for _, own in files.subgroups for value in own[attribute]}
    return ["number" if interval else "category" for interval in sorted(intervals)]


@about_field("target")
def _labels(table: Table, files: Files) -> NDArray[np.int8]:
    """1, 0, or -1 where missing."""
    parser = table.columns[files.target, "category"].parser
    if not files.positive:
        found = binary_labels(table, files.target, None, "generator.positive =")[0]
    else:
        for key in ("positive", "negative"):
            for value in getattr(files, key):
                if value not in parser.values:
                    where = f"{table.file}: {files.target}: no value {value!r}"
                    raise FieldProblems([((key,), f"{where}; {suggestion(value, parser.values)}")])
        meaning = {value: 0 for value in files.negative or parser.values} | dict.fromkeys(files.positive, 1)
        codes = np.array([*(meaning.get(value, -1) for value in parser.values), -1], np.int8)
        found = codes[table.columns[files.target, "category"].data]
    if len(classes := set(found.tolist()) - {-1}) < 2:
        one = "has no values" if not classes else f"is {'positive' if classes == {1} else 'negative'} in every row"
        raise InputError(f"{table.file}: {files.target}: {one}; both classes are needed")
    return found


@about_field("subgroups")
def _subgroups(table: Table, files: Files) -> NDArray[np.int32]:
    """Index of the subgroup of each row, or -1."""
    found = np.full(len(table.places), -1, np.int32)
    for g, (name, values) in enumerate(files.subgroups):
        inside = np.ones(len(found), bool)
        for i, (attribute, allowed) in enumerate(zip(files.attributes, values, strict=True)):
            inside &= _having(table, files, i, attribute, allowed, name)
        if (twice := np.flatnonzero(inside & (found >= 0))).size:
            other = files.subgroups[found[twice[0]]][0]
            raise InputError(
                f"{table.at(int(twice[0]), files.attributes[0])}: belongs to {other} and to {name}; "
                "subgroups must not overlap"
            )
        found[inside] = g
    return found


def _having(
    table: Table, files: Files, i: int, attribute: str, allowed: tuple[str, ...], subgroup: str
) -> NDArray[np.bool_]:
    """Rows whose attribute is one of the allowed values, or in one of the intervals."""
    inside = np.zeros(len(table.places), bool)
    for value in allowed:
        if match := _INTERVAL.fullmatch(value):
            numbers = table.columns[attribute, "number"].data
            with np.errstate(invalid="ignore"):
                inside |= (numbers >= float(match[1])) & (numbers < float(match[2]))
            continue
        column = table.columns[attribute, "category"]
        parser = column.parser
        if not parser.values:
            raise FieldProblems([(("attributes",), f"{table.file}: {attribute}: is empty in every row")])
        if len(parser.values) == len(column.data) >= MIN_IDENTIFIERS:
            what = f"{table.file}: {attribute}: has a different value in every row, so it is no attribute of subgroups"
            raise FieldProblems([(("attributes",), f'{what}; give an interval such as "[40, 60)" for numbers')])
        if value not in parser.values:
            what = f"{table.file}: {attribute}: no value {value!r}; {suggestion(value, parser.values)}"
            raise FieldProblems([(("subgroups", subgroup, "values"), what)])
        inside |= column.data == parser.values.index(value)
    return inside


def _persons(table: Table, files: Files) -> NDArray[np.uint64]:
    """A number for each person, which depends on the name of the person alone."""
    if files.person_pattern:
        return _matched(table, files.person, files.person_pattern)
    for name in (files.person, files.identifier):
        if name:
            return table.columns[name, "key"].data
    rows = np.arange(len(table.places), dtype=np.uint64)
    with np.errstate(over="ignore"):  # splitmix64, whose bits are all well mixed
        x = (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _matched(table: Table, name: str, pattern: str) -> NDArray[np.uint64]:
    """As :func:`_persons`, of what a regular expression finds in a column."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        what = f"{pattern!r} is no regular expression ({error})"
        raise FieldProblems([(("person_pattern",), what)]) from error
    cells = table.columns[name, "text"].data
    found = [match[0] if (match := expression.search(cell)) else "" for cell in cells]
    if "" in found:
        where = table.at(found.index(""), name)
        raise FieldProblems([(("person_pattern",), f"{where}: nothing matches {pattern!r}")])
    keys = Keys(lambda place: name)
    keys.add(found, table.places)
    return keys.finish()


def _people(
    part: NDArray[np.int8], person: NDArray[np.uint64], subgroup: NDArray[np.int32], label: NDArray[np.int8]
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Rows that have the label and subgroup of their person, and the number of each one's person."""
    own = np.arange(len(part))
    _, earliest, named = np.unique(person, return_index=True, return_inverse=True)
    unit = np.unique(np.where(part == PRETRAINING, own, earliest[named]), return_inverse=True)[1]
    order = np.lexsort((own, -label, unit))  # of each person, first the first row with the disease, if there is one
    first = order[np.unique(unit[order], return_index=True)[1]][unit]
    agrees = (label == label[first]) & (subgroup == subgroup[first])
    return agrees, unit.astype(np.int32)


@about_field("split")
def _parts(table: Table, files: Files, person: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Part of each row, or -1 where the table states none."""
    if not files.split:
        # Of equal people equal; whose part a person is in does not depend on who else is in the table.
        edges = np.cumsum(files.percentages)[:-1] / 100
        return np.searchsorted(edges, person / 2.0**64, side="right").astype(np.int8)
    column = table.columns[files.split, "category"]
    if not column.parser.values:
        raise InputError(f"{table.file}: {files.split}: is empty in every row")
    known: dict[str, int] = {}
    for part, values in enumerate(files.parts):
        for value in values:
            if known.setdefault(value.lower(), part) != part:
                raise FieldProblems([(("parts",), f"{value!r} is a value of two parts; parts must not overlap")])
    for value, first in zip(column.parser.values, column.parser.first, strict=True):
        if value.lower() not in known:
            place = cell_place(table.file, table.unit, files.split, first)
            raise InputError(f"{place}: {value!r} is in none of generator.parts; {suggestion(value, known)}")
    codes = np.array([*(known[value.lower()] for value in column.parser.values), -1], np.int8)
    part = codes[column.data]
    if files.person:
        _check_split_by_person(table, files, person, part)
    return part


def _check_split_by_person(table: Table, files: Files, person: NDArray[np.uint64], part: NDArray[np.int8]) -> None:
    """No person is in two parts; people are named by their rows, because their names may be confidential."""
    order = np.lexsort((part, person))
    order = order[part[order] >= 0]
    torn = np.flatnonzero((person[order][1:] == person[order][:-1]) & (part[order][1:] != part[order][:-1]))
    if torn.size:
        one, other = (int(table.places[order[torn[0] + i]]) for i in (0, 1))
        many = len(np.unique(person[order][torn]))
        raise InputError(
            f"{table.file}: {files.split}: {many:,} people are on both sides of a split, "
            f"such as the one of {table.unit}s {one} and {other} ({files.person}); split by person"
        )


def _check_classes(people: People) -> None:
    """Every subgroup has people of both classes somewhere."""
    counts = people.available.sum(axis=0)
    problems = []
    for (name, values), (healthy, diseased) in zip(people.files.subgroups, counts.tolist(), strict=True):
        stated = ", ".join(f"{a} = {' or '.join(v)}" for a, v in zip(people.files.attributes, values, strict=True))
        if not healthy + diseased:
            problems.append((("subgroups", name), f"{people.table.file}: subgroup {name} ({stated}) has no people"))
        elif not (healthy and diseased):
            missing = "with" if healthy else "without"
            what = f"{people.table.file}: subgroup {name} ({stated}) has no people {missing} the disease"
            problems.append((("subgroups", name), what))
    if problems:
        raise FieldProblems(problems)
