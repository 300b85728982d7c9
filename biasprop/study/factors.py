"""Factors and their levels: what a study varies, and which keys each level sets."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from pydantic.json_schema import WithJsonSchema

from biasprop.component import Definition
from biasprop.study.location import Location, dotted, parse_key, set_at
from biasprop.study.problems import Problem, suggestion

PRETRAINING_SIDE = ("generator", "encoder", "pretraining")
"""Tables whose keys define a cell; a change in one of them needs another encoder or another test set."""

FINETUNING_SIDE = ("finetuning",)
"""Tables whose keys define an arm."""

EVALUATION_SHIFTS: Location = ("evaluation", "shifts")
"""The only part of the evaluation that may differ between arms."""

MAX_FACTORS = 12
"""Factors of a study."""

MAX_LEVELS = 1_000
"""Levels of one factor."""

Label = str | int | float
"""Name of a level: its coordinate in the cube."""

_LEVEL_SCHEMA = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "set": {"type": "object"}},
            "required": ["name", "set"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]},
    ]
}

LEVELS_SCHEMA = {"type": "array", "minItems": 1, "items": _LEVEL_SCHEMA}
"""JSON schema of a list of levels."""


class Factor(Definition):
    """One thing that is varied; it is a dim of the cube."""

    key: str | None = None
    """Dotted key that plain levels are values of; left out where every level has a ``name`` and a ``set``."""
    levels: Annotated[
        tuple[Any, ...],
        Field(min_length=1, max_length=MAX_LEVELS),
        WithJsonSchema(LEVELS_SCHEMA),
    ]
    """Values of ``key``, or tables ``{ name = "...", set = { "dotted.key" = value, ... } }`` that set several keys."""


@dataclass(frozen=True)
class Level:
    """One level of a factor."""

    label: Label
    """Its coordinate in the cube."""
    settings: dict[Location, Any]
    """Key of the study -> value, as the study file has it."""
    written_at: dict[Location, Location]
    """Key of the study -> location of its value inside the level."""

    def sides(self) -> set[str]:
        """The tables of the study that it sets keys of."""
        return {str(key[0]) for key in self.settings}


class ReadFactor(NamedTuple):
    """The levels of a factor that could be read, and what is wrong with the others (locations inside the factor)."""

    levels: list[Level]
    problems: list[Problem]


def read_factors(table: Mapping[str, Any]) -> dict[str, ReadFactor]:
    """Read the factors of a study's tables, valid or not; entries that are not tables, or too many, are left out."""
    factors = table.get("factors")
    tables = {n: f for n, f in factors.items() if isinstance(f, dict)} if isinstance(factors, dict) else {}
    return {name: read_factor(factor) for name, factor in itertools.islice(tables.items(), MAX_FACTORS)}


def read_factor(factor: Mapping[str, Any] | Factor) -> ReadFactor:
    """Read the levels of a factor, given as a definition or as the table of a study file."""
    table = {"key": factor.key, "levels": factor.levels} if isinstance(factor, Factor) else factor
    key, values = table.get("key"), table.get("levels")
    levels: list[Level] = []
    problems: list[Problem] = []
    location = parse_key(key) if isinstance(key, str) else ()
    if isinstance(key, str) and not location:
        problems.append(Problem(("key",), f"{key!r} is not a key; write a dotted key such as finetuning.labels"))
    for index, value in enumerate(values[:MAX_LEVELS] if isinstance(values, list | tuple) else ()):
        level = _named_level(value) if isinstance(value, Mapping) and "set" in value else _plain_level(location, value)
        if isinstance(level, Level):
            levels.append(level)
        else:
            problems.append(level.below(("levels", index)))
    return ReadFactor(levels, problems or _ambiguities(levels))


def combinations(levels: Mapping[str, Sequence[Level]]) -> Iterator[dict[str, Level]]:
    """Every combination of one level per factor; the last factor varies fastest."""
    for combination in itertools.product(*levels.values()):
        yield dict(zip(levels, combination, strict=True))


def with_settings(table: Mapping[str, Any], levels: Iterable[Level]) -> dict[str, Any]:
    """A copy of a study's tables with the keys of some levels set.

    Raises:
        KeyError: a key leads into something that has no keys; its argument says so.
    """
    changed = copy.deepcopy(dict(table))
    for level in levels:
        for key, value in level.settings.items():
            set_at(changed, key, value)
    return changed


def content(value: Any) -> str:
    """Canonical JSON of a value: equal exactly if two levels mean the same."""
    return json.dumps(value, sort_keys=True, default=str)


def same_label(a: Any, b: Any) -> bool:
    """Whether two labels name one level: 200 and 200.0 do, 200 and "200" do not."""
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b)]
    return a == b if all(numbers) else type(a) is type(b) and a == b


def _named_level(value: Mapping[str, Any]) -> Level | Problem:
    """``{ name = "...", set = { "dotted.key" = value, ... } }``."""
    if set(value) - {"name", "set"}:
        wrong = sorted(set(value) - {"name", "set"})[0]
        return Problem((wrong,), f"there is no such key here; {suggestion(wrong, ('name', 'set'))}")
    name, settings = value.get("name"), value["set"]
    if not isinstance(name, str) or not name.strip():
        return Problem(("name",), "is missing; a level that sets keys needs a name in quotes")
    if not isinstance(settings, Mapping) or not settings:
        return Problem(("set",), 'has to be a table of dotted keys, such as { "pretraining.cohort" = 5000 }')
    locations = {key: parse_key(key) for key in settings}
    for key, location in locations.items():
        if not location:
            return Problem(("set", key), f"{key!r} is not a key; write a dotted key such as finetuning.labels")
    return Level(
        name,
        {locations[key]: new for key, new in settings.items()},
        {locations[key]: ("set", key) for key in settings},
    )


def _plain_level(key: Location, value: Any) -> Level | Problem:
    """A value of the factor's key; its label is the value, or its kind."""
    if not key:
        return Problem((), "needs the factor's key, or a name and a set: { name = ..., set = { key = value } }")
    if isinstance(value, Mapping) and isinstance(value.get("kind"), str):
        label: Label = value["kind"]
    elif isinstance(value, bool):
        label = "true" if value else "false"
    elif isinstance(value, str | int | float):
        label = value
    else:
        return Problem((), f'needs a name: {{ name = "...", set = {{ "{dotted(key)}" = ... }} }}')
    return Level(label, {key: value}, {key: ()})


def _ambiguities(levels: list[Level]) -> list[Problem]:
    """Labels of mixed types, and levels of the same label or content."""
    problems = []
    if len({isinstance(level.label, str) for level in levels}) > 1:
        problems.append(Problem(("levels",), "mixes numbers and names; give all levels numbers or all levels names"))
    labels: dict[tuple[bool, Label], int] = {}
    contents: dict[str, int] = {}
    for index, level in enumerate(levels):
        same = labels.setdefault((isinstance(level.label, str), level.label), index)
        equal = contents.setdefault(_content_of(level), index)
        if same < index:
            what = f"has the label {level.label!r} of level {same}; labels have to differ"
        elif equal < index:
            what = f"sets exactly what level {equal} ({levels[equal].label!r}) sets; levels have to differ"
        else:
            continue
        problems.append(Problem(("levels", index), what))
    return problems


def _content_of(level: Level) -> str:
    return content([[dotted(key), value] for key, value in sorted(level.settings.items(), key=str)])
