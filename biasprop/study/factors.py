"""Factors and their levels: what a study varies, and which keys each level moves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import WithJsonSchema

from biasprop.component import Definition
from biasprop.study.problems import Problem, dotted, suggestion
from biasprop.study.source import Location, key_path

PRETRAINING_SIDE = ("generator", "encoder", "pretraining")
"""Tables whose keys define a cell; a change in one of them needs another encoder or another test set."""

FINETUNING_SIDE = ("finetuning",)
"""Tables whose keys define an arm."""

EVALUATION_SHIFTS: Location = ("evaluation", "shifts")
"""What may vary between arms of who judges them; the rest of the evaluation is the same for all."""

DIMS = ("replicate", "draw", "subgroup", "subject", "latent", "selection", "calibration")
COORDS = ("share", "cohort_size", "label_share", "objective", "judged_label")
VARIABLES = (
    *("score", "train_auc", "separability_score", "label", "latents", "realised_share", "pretext_loss"),
    *("selection_score", "selection_label", "selection_subgroup", "selection_latents"),
    *("calibration_score", "calibration_label", "calibration_subgroup", "calibration_latents"),
    *("status", "seconds", "fingerprint", "checksum"),
)
RESERVED = frozenset((*DIMS, *COORDS, *VARIABLES))
"""Names the cube uses itself."""

MAX_LEVELS = 1_000
"""Levels of one factor."""

Label = str | int | float
"""How a level is called: its coordinate in the cube."""

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


class Factor(Definition):
    """One thing that is varied; it is a dim of the cube."""

    key: str | None = None
    """Dotted key that plain levels are values of; left out where every level has a ``name`` and a ``set``."""
    levels: Annotated[
        tuple[Any, ...],
        Field(min_length=1, max_length=MAX_LEVELS),
        WithJsonSchema({"type": "array", "minItems": 1, "items": _LEVEL_SCHEMA}),
    ]
    """Values of ``key``, or tables ``{ name = "...", set = { "dotted.key" = value, ... } }`` that move several keys."""


@dataclass(frozen=True)
class Level:
    """One level of a factor."""

    label: Label
    """Its coordinate in the cube."""
    moves: dict[Location, Any]
    """Key -> value, as the study file has it."""
    places: dict[Location, Location]
    """Key -> where in the level's own table its value stands."""

    def sides(self) -> set[str]:
        """The tables of the study that it moves."""
        return {str(path[0]) for path in self.moves}


def levels(factor: Mapping[str, Any] | Factor) -> tuple[list[Level], list[Problem]]:
    """Read the levels of a factor.

    Args:
        factor: the factor, or its table as the file has it.

    Returns:
        The levels that could be read, and what is wrong with the others (locations relative to the factor).
    """
    table = {"key": factor.key, "levels": factor.levels} if isinstance(factor, Factor) else factor
    key, given = table.get("key"), table.get("levels")
    found: list[Level] = []
    problems: list[Problem] = []
    path = _path(key)
    if isinstance(key, str) and not path:
        problems.append(Problem(("key",), f"{key!r} is no key; write a dotted key such as finetuning.labels"))
    values = given if isinstance(given, list | tuple) else ()
    for index, value in enumerate(values[:MAX_LEVELS]):
        level = _named(value) if isinstance(value, Mapping) and "set" in value else _plain(path, value)
        if isinstance(level, Level):
            found.append(level)
        else:
            problems.append(level.below(("levels", index)))
    if not problems:
        problems = _ambiguous(found)
    return found, problems


def content(value: Any) -> str:
    """Canonical JSON of a value: equal exactly where two levels mean the same."""
    return json.dumps(value, sort_keys=True, default=str)


def same_label(a: Any, b: Any) -> bool:
    """Whether two labels name one level: 200 and 200.0 do, 200 and "200" do not."""
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b)]
    return a == b if all(numbers) else type(a) is type(b) and a == b


def name_problem(name: str) -> str | None:
    """Why a factor cannot be called so, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return "is no name for a factor; it becomes a dim: lower-case letters, digits and _"
    if name in RESERVED:
        return "is no name for a factor; the cube uses it itself"
    return None


def _path(key: Any) -> Location:
    return key_path(key) if isinstance(key, str) else ()


def _named(value: Mapping[str, Any]) -> Level | Problem:
    if set(value) - {"name", "set"}:
        wrong = sorted(set(value) - {"name", "set"})[0]
        return Problem((wrong,), f"there is no such key here; {suggestion(wrong, ('name', 'set'))}")
    name, moves = value.get("name"), value["set"]
    if not isinstance(name, str) or not name.strip():
        return Problem(("name",), "is missing; a level that sets keys needs a name in quotes")
    if not isinstance(moves, Mapping) or not moves:
        return Problem(("set",), 'has to be a table of dotted keys, such as { "pretraining.cohort" = 5000 }')
    paths = {key: _path(key) for key in moves}
    for key, path in paths.items():
        if not path:
            return Problem(("set", key), f"{key!r} is no key; write a dotted key such as finetuning.labels")
    return Level(name, {paths[k]: v for k, v in moves.items()}, {paths[k]: ("set", k) for k in moves})


def _plain(path: Location, value: Any) -> Level | Problem:
    if not path:
        return Problem((), "needs the factor's key, or a name and a set: { name = ..., set = { key = value } }")
    if isinstance(value, Mapping) and isinstance(value.get("kind"), str):
        label: Label = value["kind"]
    elif isinstance(value, bool):
        label = "true" if value else "false"
    elif isinstance(value, str | int | float):
        label = value
    else:
        return Problem((), f'needs a name: {{ name = "...", set = {{ "{dotted(path)}" = ... }} }}')
    return Level(label, {path: value}, {path: ()})


def _ambiguous(found: list[Level]) -> list[Problem]:
    problems = []
    if len({isinstance(level.label, str) for level in found}) > 1:
        problems.append(Problem(("levels",), "mixes numbers and names; give all levels numbers or all levels names"))
    labels: dict[tuple[bool, Label], int] = {}
    contents: dict[str, int] = {}
    for index, level in enumerate(found):
        same = labels.setdefault((isinstance(level.label, str), level.label), index)
        equal = contents.setdefault(_moves(level), index)
        if same < index:
            what = f"has the label {level.label!r} of level {same}; labels have to differ"
        elif equal < index:
            what = f"sets exactly what level {equal} ({found[equal].label!r}) sets; levels have to differ"
        else:
            continue
        problems.append(Problem(("levels", index), what))
    return problems


def _moves(level: Level) -> str:
    return content([[dotted(path), value] for path, value in sorted(level.moves.items(), key=str)])
