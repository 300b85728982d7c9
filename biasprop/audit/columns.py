"""From files and options to scores, labels, groups and people; every problem names file, line and column."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biasprop.audit.arguments import by, named_values
from biasprop.component import InputError, suggestion
from biasprop.metrics.counts import rows_of
from biasprop.statistics.audit_result import OVERALL
from biasprop.statistics.people import MAX_GROUPS
from biasprop.tables.columns import PERCENT
from biasprop.tables.join import joined
from biasprop.tables.labels import binary_labels
from biasprop.tables.read import Kind, Table, missing_column, read_table
from biasprop.tables.source import Source, open_table
from biasprop.terminal import printable, quoted_option

Wanted = tuple[str, str, Kind]
"""Option, name and kind of a column."""


@dataclass(frozen=True)
class Rows:
    """Rows of TABLE with the columns of both files."""

    tables: tuple[Table, ...]
    homes: dict[str, int]
    """Column -> which of the tables has it."""
    rows: tuple[NDArray[np.int64], ...]
    """Of each table [row]."""

    def data(self, name: str, kind: Kind) -> NDArray[Any]:
        """The values of a column, [row]."""
        column = self.tables[self.homes[name]].columns[name, kind].data
        return column[self.rows[self.homes[name]]] if len(self.tables) > 1 else column

    def parser(self, name: str, kind: Kind) -> Any:
        """What read the column."""
        return self.tables[self.homes[name]].columns[name, kind].parser

    def at(self, row: int, name: str) -> str:
        """Start of a message about a cell."""
        home = self.homes[name]
        return self.tables[home].at(int(self.rows[home][row]), name)

    def file(self, name: str) -> Path:
        """The file that has the column."""
        return self.tables[self.homes[name]].file


@dataclass(frozen=True)
class LabelledRows:
    """Rows that are audited, without predictions."""

    labels: NDArray[np.float32]
    """[n], 0 or 1, NaN where missing."""
    groups: dict[str, pd.Categorical]
    """Attribute -> [n]."""
    person: NDArray[np.int64] | None
    """[n], number of the person."""
    weight: NDArray[np.float64] | None
    """[n], at least 0."""
    rows: Rows
    """All rows of the files."""
    audited: NDArray[np.intp]
    """[n], which of the rows."""
    notes: list[str]
    """How the table was read, and which rows were left out."""


@dataclass(frozen=True)
class Predictions(LabelledRows):
    """What is audited, and where the threshold may be set."""

    scores: NDArray[np.float64]
    """[n], NaN where missing; probabilities in [0, 1]."""
    others: tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64] | None] | None
    """Scores, labels and weights of the rows on which the threshold is set; None = none."""
    score_is: str
    """Of ``biasprop.audit_scores``."""
    scale: float
    """What scores were divided by: 100 for percentages, else 1."""


def read_predictions(options: argparse.Namespace) -> Predictions:
    """Read the files of an audit.

    Args:
        options: of :func:`biasprop.audit.arguments.arguments`, without problems.

    Raises:
        InputError: a file, a column or a cell cannot be used.
    """
    notes: list[str] = []
    found = _read(options, notes)
    scores, score_is, scale = _scores(found, options, notes)
    labels = _labels(found, options, notes)
    audited, others = _split(found, options, notes)
    rows = _labelled(found, options, notes, labels, audited, others)
    _check_scores(found, options, scores, labels, audited)
    _check_groups(rows)
    return Predictions(
        **vars(rows),
        scores=rows_of(scores, audited),
        others=None if others is None else (scores[others], labels[others], _of(found, options.weight, others)),
        score_is=score_is,
        scale=scale,
    )


def read_labelled_rows(options: argparse.Namespace) -> LabelledRows:
    """Read the files of an audit without the predictions.

    Args:
        options: as for :func:`read_predictions`; without ``score`` and ``threshold_from``.

    Raises:
        InputError: a file, a column or a cell cannot be used.
    """
    notes: list[str] = []
    found = _read(options, notes)
    labels = _labels(found, options, notes)
    audited, others = _split(found, options, notes)
    rows = _labelled(found, options, notes, labels, audited, others)
    _check_groups(rows)
    return rows


def _labelled(
    found: Rows,
    options: argparse.Namespace,
    notes: list[str],
    labels: NDArray[np.float32],
    audited: NDArray[np.intp],
    others: NDArray[np.intp] | None,
) -> LabelledRows:
    """The audited rows; their groups are not checked yet."""
    person = None
    if options.person:
        person = pd.factorize(found.data(options.person, "key"))[0].astype(np.int64)
        if others is not None:
            _refuse_shared(found, options, person, audited[np.isin(person[audited], person[others])])
    if options.weight:
        weight = found.data(options.weight, "number")
        _refuse(found, options.weight, ~(weight >= 0), "a weight has to be a number of at least 0", weight)
    groups = {name: _groups(found, name, options, notes)[audited] for name in by(options)}
    if not len(audited):
        raise InputError(f"{found.file(options.label)}: no row is left to be audited")
    return LabelledRows(
        labels=labels[audited],
        groups=groups,
        person=None if person is None else person[audited],
        weight=_of(found, options.weight, audited),
        rows=found,
        audited=audited,
        notes=notes,
    )


def _of(found: Rows, name: str | None, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Numbers of some rows; None without a column."""
    return found.data(name, "number")[rows] if name else None


def _read(options: argparse.Namespace, notes: list[str]) -> Rows:
    """Open the files, find out which has which column, read and join them."""
    bins = named_values(options.bins)
    attributes = by(options)
    if OVERALL in attributes:
        raise InputError(f"--by {OVERALL}: is the name of all rows together; rename the column")
    if unknown := [name for name in bins if name not in attributes]:
        raise InputError(
            [f"--bins {name}: is no attribute of --by; {suggestion(name, attributes)}" for name in unknown]
        )
    split, other = (text and text.partition("=")[0].strip() for text in (options.split, options.threshold_from))
    asked: list[tuple[str, str | None, Kind]] = [
        ("--label", options.label, "category"),
        ("--score", options.score, "number"),
        *(("--by", name, "number" if name in bins else "category") for name in attributes),
        ("--person", options.person, "key"),
        ("--weight", options.weight, "number"),
        ("--split", split, "category"),
        ("--threshold-from", other, "category"),
    ]
    wanted: list[Wanted] = [(option, name, kind) for option, name, kind in asked if name is not None]
    looked_for = [*(name for _, name, _ in wanted), *([options.on] if options.on else [])]
    files = [options.table, *([options.metadata] if options.metadata else [])]
    with ExitStack() as opened:
        sources = [opened.enter_context(open_table(file, looked_for)) for file in files]
        homes = _homes(files, sources, wanted, options.on)
        keys: list[tuple[str, Kind]] = [(options.on, "key")] if options.on else []
        tables = []
        for number, (file, source) in enumerate(zip(files, sources, strict=True)):
            own: list[tuple[str, Kind]] = [(name, kind) for _, name, kind in wanted if homes[name] == number]
            tables.append(read_table(file, source, [*keys, *own]))
    every = np.arange(len(tables[0].places))
    if len(tables) == 1:
        return Rows(tuple(tables), homes, (every,))
    join = joined(tables[0], tables[1], options.on, many=options.on == options.person)
    matched = np.flatnonzero(join.rows >= 0)
    if lost := len(every) - len(matched):
        first = tables[0].at(int(np.argmax(join.rows < 0)), options.on)
        notes.append(f"{lost:,} rows of {files[0]} have no row in {files[1]} and are left out (first: {first})")
    if join.unused:
        notes.append(f"{join.unused:,} rows of {files[1]} have no row in {files[0]}: people without a prediction")
    return Rows(tuple(tables), homes, (matched, join.rows[matched]))


def _homes(
    files: Sequence[Path], sources: Sequence[Source], wanted: Sequence[Wanted], on: str | None
) -> dict[str, int]:
    """Which of the files has each column."""
    headers = {file: source.names for file, source in zip(files, sources, strict=True)}
    problems, homes = [], {}
    for option, name, _ in wanted:
        having = [number for number, source in enumerate(sources) if name in source.names]
        if not having:
            problems.append(missing_column(headers, option, name))
        elif len(having) > 1 and name != on:
            problems.append(f"{name!r} ({option}) is a column of {files[0]} and of {files[1]}; rename one of them")
        homes[name] = having[0] if having else 0
    if on:
        problems += [missing_column({file: names}, "--on", on) for file, names in headers.items() if on not in names]
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return homes


def _scores(found: Rows, options: argparse.Namespace, notes: list[str]) -> tuple[NDArray[np.float64], str, float]:
    """Scores, what they are, and what they were divided by."""
    name = options.score
    scores = found.data(name, "number")
    notation = found.parser(name, "number").notation
    notes += [f"{name}: written with {how}" for how in notation]
    score_is, scale = options.score_is, 100.0 if PERCENT in notation else 1.0
    if score_is == "percent":
        scores, scale = (scores, scale) if PERCENT in notation else (scores / 100.0, 100.0)
        score_is = "probability"
    outside = (scores < 0) | (scores > 1)
    if score_is is None:
        score_is = "ranking" if outside.any() else "probability"
        why = "not all are in [0, 1]: calibration is left out" if outside.any() else "all are in [0, 1]"
        notes.append(f"{name}: taken as a {score_is}, because {why} (--score-is states it)")
    if score_is == "probability":
        percent = outside.any() and np.nanmin(scores) >= 0 and np.nanmax(scores) <= 100 and scale == 1
        hint = "; for percentages: --score-is percent" if percent else ""
        _refuse(found, name, outside, f"a probability has to be in [0, {scale:g}]{hint}", scores * scale)
    return scores, score_is, scale


def _labels(found: Rows, options: argparse.Namespace, notes: list[str]) -> NDArray[np.float32]:
    home = found.homes[options.label]
    labels, note = binary_labels(found.tables[home], options.label, options.positive)
    notes += [printable(note)] if note else []
    return np.where(labels < 0, np.float32(np.nan), labels.astype(np.float32))[found.rows[home]]


def _split(
    found: Rows, options: argparse.Namespace, notes: list[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Rows that are audited, and rows on which the threshold is set."""
    audited, others = np.ones(len(found.rows[0]), bool), None
    if options.threshold_from:
        name, _, value = (part.strip() for part in options.threshold_from.partition("="))
        codes = found.data(name, "category")
        others = codes == _code(found, name, value, "--threshold-from")
        audited = (codes >= 0) & ~others
        notes += _left_out(name, codes)
    if options.split:
        name, _, value = (part.strip() for part in options.split.partition("="))
        codes = found.data(name, "category")
        audited = codes == _code(found, name, value, "--split")
        notes += _left_out(name, codes)
        if others is not None and (both := np.flatnonzero(audited & others)).size:
            raise InputError(
                f"{found.at(int(both[0]), name)}: is in --split and in --threshold-from; they have to differ"
            )
    return np.flatnonzero(audited), None if others is None else np.flatnonzero(others)


def _left_out(name: str, codes: NDArray[np.integer]) -> list[str]:
    missing = int((codes < 0).sum())
    return [f"{missing:,} rows have no {printable(name)} and are left out"] if missing else []


def _code(found: Rows, name: str, value: str, option: str) -> int:
    values = found.parser(name, "category").values
    if value not in values:
        allowed = suggestion(value, map(printable, values))
        raise InputError(f"{found.file(name)}: {printable(name)}: no value {value!r} ({option}); {allowed}")
    return values.index(value)


def _groups(found: Rows, name: str, options: argparse.Namespace, notes: list[str]) -> pd.Categorical:
    """The group of each row; missing values are of none."""
    bins = named_values(options.bins)
    if name in bins:
        return _binned(found, name, bins[name])
    codes, parser = found.data(name, "category"), found.parser(name, "category")
    values = parser.values
    order = sorted(range(len(values)), key=lambda i: values[i])
    rank = np.empty(len(values) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(values)), -1
    lower: dict[str, str] = {}
    for value in values:
        if lower.setdefault(value.casefold(), value) != value:
            first = lower[value.casefold()]
            notes.append(printable(f"{name}: {first!r} and {value!r} are taken as different groups"))
    return pd.Categorical.from_codes(rank[codes], [values[i] for i in order])


def _binned(found: Rows, name: str, text: str) -> pd.Categorical:
    numbers, stated = found.data(name, "number"), quoted_option("--bins", f"{name}={text}")
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{stated}: has to be numbers, such as age=0,18,65") from None
    if len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InputError(f"{stated}: has to be at least two numbers that rise, such as age=0,18,65")
    _refuse(found, name, numbers < edges[0], f"--bins starts at {edges[0]:g}", numbers)
    names = [f"{low:g} to <{high:g}" for low, high in pairwise(edges)]
    codes = np.searchsorted(edges, numbers, side="right") - 1
    return pd.Categorical.from_codes(np.where(np.isnan(numbers), -1, codes), [*names, f"{edges[-1]:g} and more"])


def _refuse(found: Rows, name: str, wrong: NDArray[np.bool_], what: str, values: NDArray[Any]) -> None:
    """Raise an error that names the first wrong cell and counts the others."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        more = f" ({len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
        raise InputError(f"{found.at(int(rows[0]), name)}: is {values[rows[0]]:g}; {what}{more}")


def _refuse_shared(found: Rows, options: argparse.Namespace, person: NDArray[np.int64], both: NDArray[np.intp]) -> None:
    """No person may be on both sides of a split: rows that are audited, and people of the other side."""
    if len(both):
        people = len(np.unique(person[both]))
        who = f"{people:,} people are" if people > 1 else "this person is"
        those = quoted_option("--threshold-from", options.threshold_from)
        message = f"{who} also among the rows of {those}; a threshold is set on other people"
        raise InputError(f"{found.at(int(both[0]), options.person)}: {message}")


def _check_scores(
    found: Rows,
    options: argparse.Namespace,
    scores: NDArray[np.float64],
    labels: NDArray[np.float32],
    audited: NDArray[np.intp],
) -> None:
    """There is something to be measured: people of both classes, with different scores."""
    with_score, with_label = ~np.isnan(scores[audited]), ~np.isnan(labels[audited])
    known = audited[with_score & with_label]
    if not len(known):
        column = options.score if with_label.any() else options.label
        each = with_label.any() and with_score.any()
        what = "no audited row has both a score and a label" if each else "is empty in every audited row"
        raise InputError(f"{found.at(int(audited[0]), column)}: {what}")
    if options.weight:
        first, known = int(known[0]), known[found.data(options.weight, "number")[known] > 0]
        if not len(known):
            what = "is 0, and so it is in every audited row that has a score and a label"
            raise InputError(f"{found.at(first, options.weight)}: {what}")
    if len(np.unique(labels[known])) == 1:
        side = "with" if labels[known[0]] == 1 else "without"
        what = f"all {len(known):,} audited rows are {side} disease; both are needed"
        raise InputError(f"{found.at(int(known[0]), options.label)}: {what}")
    if np.ptp(scores[known]) == 0:
        message = f"all {len(known):,} audited rows have the score {scores[known[0]]:g}"
        raise InputError(f"{found.at(int(known[0]), options.score)}: {message}")


def _check_groups(found: LabelledRows) -> None:
    """There are groups of every attribute, and not as many as rows."""
    for name, groups in found.groups.items():
        _check_attribute(found.rows, name, groups, int(found.audited[0]))


def _check_attribute(found: Rows, name: str, groups: pd.Categorical, first: int) -> None:
    known = int((groups.codes >= 0).sum())
    if not known:
        raise InputError(f"{found.at(first, name)}: is empty in every audited row")
    used = len(np.unique(groups.codes[groups.codes >= 0]))
    cut = "cut numbers into groups with --bins"
    if used == known > 2:
        raise InputError(f"{found.at(first, name)}: every row has a value of its own, so there are no groups; {cut}")
    if len(groups.categories) > MAX_GROUPS:
        many = f"{len(groups.categories):,} different values, at most {MAX_GROUPS} groups"
        raise InputError(f"{found.at(first, name)}: {many}; {cut}")
