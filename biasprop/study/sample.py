"""Sampled settings: levers of the base condition that are drawn anew for every replicate, from a Latin hypercube.

Setting k is the base condition of replicate k and of no other, so a sample costs as many cells as replicates do and
adds no dim to the cube: a setting has subjects of its own, and the cube has the values of the levers along
``replicate``. How far results differ between settings is then the sum of what the levers do and of what replicates do
(:mod:`biasprop.statistics.stability`).

A Latin hypercube of n settings divides the range of every lever into n equally probable strata and has one setting in
each. It cannot be extended: another size is another sample, and another store.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import WithJsonSchema

from biasprop.component import Definition
from biasprop.study.factors import LEVELS_SCHEMA, MAX_LEVELS, Label, Level, ReadFactor, read_factor
from biasprop.study.location import Location, get_at, parse_key
from biasprop.study.problems import Problem

MAX_SETTINGS = 1_000
"""Settings of a sample."""

MAX_LEVERS = 50
"""Levers of a sample."""

DIGITS = 4
"""Significant digits of a sampled number: what a table shows is what was run, on every machine."""

SETTING = "setting"
"""What a setting is called among the levels of factors."""


class Lever(Definition):
    """One lever of a sample: a range of numbers, or levels."""

    key: str | None = None
    """Dotted key that is varied; left out where every level has a ``name`` and a ``set``."""
    low: float | None = None
    """Smallest value; with ``high``."""
    high: float | None = None
    """Largest value. Where the base condition has a whole number, values are whole numbers."""
    scale: Literal["linear", "log"] = "linear"
    """On which scale values of the range are equally probable."""
    levels: Annotated[
        tuple[Any, ...],
        Field(max_length=MAX_LEVELS),
        WithJsonSchema(LEVELS_SCHEMA),
    ] = ()
    """In place of a range: levels as those of a factor, all equally probable."""


class Sample(Definition):
    """A Latin hypercube of settings; setting k is run in replicate k alone."""

    size: Annotated[int, Field(ge=2, le=MAX_SETTINGS)]
    """Number of settings, and the largest number of replicates. Another size makes other settings."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """Determines the settings; that of the study determines everything else."""
    levers: Annotated[dict[str, Lever], Field(min_length=1, max_length=MAX_LEVERS)]
    """Name -> lever; the cube has its values as the coordinate ``setting_<name>``."""


@dataclass(frozen=True)
class Setting:
    """One setting."""

    values: dict[str, Label]
    """Lever -> number, or label of its level."""
    level: Level
    """What it sets; its label is its number, from 0."""


def coordinate(lever: str) -> str:
    """Name of the cube's coordinate with the values of a lever."""
    return f"{SETTING}_{lever}"


def read_levers(table: Mapping[str, Any]) -> dict[str, ReadFactor]:
    """Read the levers of a study's tables, valid or not; entries that are not tables, or too many, are left out."""
    sample = table.get("sample")
    levers = sample.get("levers") if isinstance(sample, dict) else None
    tables = {n: lever for n, lever in levers.items() if isinstance(lever, dict)} if isinstance(levers, dict) else {}
    return {name: read_lever(lever) for name, lever in itertools.islice(tables.items(), MAX_LEVERS)}


def read_lever(table: Mapping[str, Any] | Lever) -> ReadFactor:
    """Read a lever, given as a definition or as the table of a study file.

    Returns:
        Its levels, or the two ends of its range; and what is wrong with it (locations inside the lever).
    """
    given = table.model_dump(exclude_unset=True) if isinstance(table, Lever) else table
    ends = [name for name in ("low", "high") if given.get(name) is not None]
    if "levels" in given:
        extra = next((name for name in ("low", "high", "scale") if name in given), None)
        if extra:
            return ReadFactor([], [Problem((extra,), "belongs to a range; a lever has a range or levels, not both")])
        found = read_factor(given)
        if not found.problems and len(found.levels) == 1:
            return ReadFactor([], [Problem(("levels",), "has one level; a lever that is varied needs two or more")])
        every = enumerate(found.levels)
        placed = [replace(x, written_at={k: ("levels", i, *at) for k, at in x.written_at.items()}) for i, x in every]
        return ReadFactor(placed, found.problems)
    if len(ends) < 2:
        return ReadFactor([], [Problem((), "needs low and high, or levels")])
    key = given.get("key")
    location = parse_key(key) if isinstance(key, str) else ()
    if not location:
        where: Location = ("key",) if "key" in given else ()
        return ReadFactor([], [Problem(where, "a range needs the dotted key of a number, such as generator.pigment")])
    low, high = given["low"], given["high"]
    problems: list[Problem] = []
    if not (_is_number(low) and _is_number(high)):
        return ReadFactor([], [])  # the field has its own problem
    if low >= high:
        problems.append(Problem(("high",), f"is {high:g}; has to be above low, {low:g}"))
    elif given.get("scale") == "log" and low <= 0:
        problems.append(Problem(("low",), f"is {low:g}; has to be above 0 on a log scale"))
    return ReadFactor([Level(end, {location: given[end]}, {location: (end,)}) for end in ends], problems)


def settings(sample: Sample, base: Mapping[str, Any]) -> list[Setting]:
    """The settings of a sample.

    Args:
        sample: valid.
        base: tables of the base condition with defaults filled in, which say what numbers are whole.
    """
    from scipy.stats import qmc  # here, because most studies have no sample, and importing it takes a second

    cube = qmc.LatinHypercube(len(sample.levers), rng=sample.seed).random(sample.size)
    found = []
    for number, point in enumerate(cube.tolist()):
        drawn = {name: _drawn(lever, u, base) for (name, lever), u in zip(sample.levers.items(), point, strict=True)}
        merged = {key: (name, value) for name, level in drawn.items() for key, value in level.settings.items()}
        keys = sorted(merged, key=len)  # a lever inside a component is set after the component itself
        level = Level(number, {key: merged[key][1] for key in keys}, {key: ("levers", merged[key][0]) for key in keys})
        found.append(Setting({name: level.label for name, level in drawn.items()}, level))
    return found


def settings_table(found: Sequence[Setting]) -> list[str]:
    """Lines of a table: one row for each setting, one column for each lever."""
    rows = [[SETTING, *found[0].values]] if found else []
    rows += [[str(setting.level.label), *map(str, setting.values.values())] for setting in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _drawn(lever: Lever, u: float, base: Mapping[str, Any]) -> Level:
    """The level of a lever at a position u of [0, 1)."""
    levels = read_lever(lever).levels
    if lever.low is None or lever.high is None:
        return levels[int(u * len(levels))]
    (key,) = levels[0].settings
    value = _number(lever, u, whole=_is_whole(get_at(base, key)))
    return Level(value, {key: value}, {key: ()})


def _number(lever: Lever, u: float, whole: bool) -> int | float:
    assert lever.low is not None and lever.high is not None, "a range"
    low, high = lever.low, lever.high
    top = high + 1 if whole else high  # every whole number is as probable as the others on this scale
    logarithm = lever.scale == "log"
    x = math.exp(math.log(low) + u * math.log(top / low)) if logarithm else low + u * (top - low)
    x = math.floor(x) if whole else float(f"{x:.{DIGITS}g}")
    return type(x)(min(max(x, low), high))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
