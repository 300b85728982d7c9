"""Problems of a study, each with its place, and how they read: ``file:line: key: what is wrong; what is allowed``."""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from biasprop.component import OneOf
from biasprop.study.source import Location

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "list_type": "an array",
    "tuple_type": "an array",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
    "too_short": ("min_length", "of length at least"),
    "string_too_short": ("min_length", "of length at least"),
    "too_long": ("max_length", "of length at most"),
    "string_too_long": ("max_length", "of length at most"),
}


MAX_PROBLEMS = 100
"""Problems of one kind that are looked into; who has more has another problem."""

MAX_LENGTH = 1_000
"""Characters of one problem as it is shown."""

_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that steer a terminal or turn text around, line breaks and tabs apart."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study."""

    location: Location
    """The key, part by part."""
    what: str
    """What is wrong and what would be right."""

    def below(self, prefix: Location, drop: int = 0) -> Problem:
        """The same problem at ``prefix`` followed by its location without the first ``drop`` parts."""
        return Problem((*prefix, *self.location[drop:]), self.what)


def dotted(location: Location) -> str:
    """A location as a person writes it: ``factors.mix.levels[2].name``."""
    key = ""
    for part in location:
        plain = isinstance(part, str) and re.fullmatch(r"[A-Za-z0-9_-]+", part)
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if plain else f'."{part}"'
    return key.lstrip(".")


def printable(line: str) -> str:
    """A problem as it may be printed: one line of plausible length in which nothing steers the terminal."""
    plain = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in line[: 2 * MAX_LENGTH]
    )
    return plain if len(plain) <= MAX_LENGTH else f"{plain[: MAX_LENGTH - 3]}..."


def suggestion(wrong: Any, allowed: Iterable[Any]) -> str:
    """``allowed: a, b, c; did you mean a?``, the question only where one of them is close to ``wrong``."""
    names = [str(name) for name in allowed][:1_000]
    by_lower = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower, n=1, cutoff=0.5)
    listed = ", ".join(names[:40]) if names else "none"
    return f"allowed: {listed}" + (f"; did you mean {by_lower[close[0]]}?" if close else "")


def with_tuples(value: Any) -> Any:
    """A parsed table with tuples for arrays, which is what strict validation takes.

    Strict validation of JSON would take arrays for tuples, but not below a component that may also be a bare string.
    """
    if isinstance(value, Mapping):
        return {key: with_tuples(child) for key, child in value.items()}
    return tuple(with_tuples(child) for child in value) if isinstance(value, list | tuple) else value


def of_values(table: Any, location: Location = ()) -> list[Problem]:
    """Values that TOML can write and no study can mean: dates, infinities, not-a-number, characters that steer."""
    if isinstance(table, Mapping):
        wrong = [
            Problem((*location, key), "has a control character in its name") for key in table if _STEERS.search(key)
        ]
        return wrong + [p for key, value in table.items() for p in of_values(value, (*location, key))]
    if isinstance(table, str) and (found := _STEERS.search(table)):
        return [Problem(location, f"has the control character {found[0]!r} in it")]
    if isinstance(table, list):
        return [p for index, value in enumerate(table) for p in of_values(value, (*location, index))]
    if isinstance(table, float) and not math.isfinite(table):
        return [Problem(location, f"is {table}; has to be a finite number")]
    if not isinstance(table, str | int | float):
        return [Problem(location, f"is the date or time {table}; dates mean nothing here, quote it if it is text")]
    return []


def of_validation(error: ValidationError, model: type[BaseModel], table: Any) -> list[Problem]:
    """What pydantic found, in the words of a study file.

    Args:
        error: from validating ``table`` with ``model``.
        model: knows the keys each table may have.
        table: the parsed TOML.
    """
    problems = []
    for detail in error.errors(include_url=False)[:MAX_PROBLEMS]:
        location = _without_tags(detail["loc"], table)
        problems.append(Problem(location, _words(detail, location, model, table)))
    return list(dict.fromkeys(problems))


def keys_at(model: type[BaseModel], table: Any, location: Location) -> tuple[str, ...] | None:
    """The keys that the table at ``location`` may have; None where any key may be (or the place is unknown)."""
    found = _model_at(model, (), table, location)
    return tuple(found.model_fields) if found is not None else None


def _without_tags(location: Location, table: Any) -> Location:
    """pydantic puts the kind of a component into the path; a study file has no such key."""
    kept: list[str | int] = []
    here = table
    for part in location:
        if isinstance(here, Mapping) and part not in here and here.get("kind") == part:
            continue
        if isinstance(here, str) and here == part:
            continue
        kept.append(part)
        if isinstance(here, Mapping):
            here = here.get(part)  # pyright: ignore[reportArgumentType, reportCallIssue]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            here = None
    return tuple(kept)


def _words(detail: Any, location: Location, model: type[BaseModel], table: Any) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), _short(detail.get("input"))
    if kind == "missing":
        owner = _model_at(model, (), table, location[:-1])
        field = owner.model_fields.get(str(location[-1])) if owner else None
        says = (field.description or "").partition("\n")[0].rstrip(".;:") if field else ""
        return f"is missing and has no default ({says[:1].lower()}{says[1:]})" if says else "is missing"
    if kind == "extra_forbidden":
        allowed = keys_at(model, table, location[:-1]) or ()
        return f"there is no such key here; {suggestion(location[-1], allowed)}"
    if kind in ("literal_error", "enum"):
        return f"is {value}; {suggestion(detail['input'], _quoted(context['expected']))}"
    if kind == "union_tag_invalid":
        return f"there is no kind {context['tag']!r}; {suggestion(context['tag'], _quoted(context['expected_tags']))}"
    if kind == "union_tag_not_found":
        field = _field_at(model, table, location)
        return f"its kind is missing; {suggestion('', field.table if field else ())}"
    if kind in _WANTED:
        return f"is {value}; has to be {_WANTED[kind]}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"is {value}; has to be {words} {context[name]}"
    message = str(context["error"]) if kind == "value_error" else detail["msg"]
    names = message.partition("allowed: ")[2]
    if names and isinstance(detail["input"], str):
        question = suggestion(detail["input"], names.split(", ")).rpartition("; ")
        message += f"; {question[2]}" if question[1] else ""
    return message


def _quoted(text: Any) -> list[str]:
    return re.findall("'([^']*)'", str(text))


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array" if len(value) else "an empty array"
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."


def _model_at(annotation: Any, metadata: Any, table: Any, location: Location) -> type[BaseModel] | None:
    """The model that stands at a location, following kinds as the table states them."""
    for mark in metadata:
        if isinstance(mark, OneOf):
            kind = table if isinstance(table, str) else table.get("kind") if isinstance(table, Mapping) else None
            if not (isinstance(kind, str) and kind in mark.table):
                return None
            return _model_at(mark.table[kind], (), table, location)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _model_at(get_args(annotation)[0], get_args(annotation)[1:], table, location)
    if origin in (Union, types.UnionType):
        found = (_model_at(member, (), table, location) for member in get_args(annotation))
        return next((model for model in found if model is not None), None)
    child = _child(table, location[0]) if location else None
    if origin in (dict, list, tuple):
        return _model_at(get_args(annotation)[origin is dict], (), child, location[1:]) if location else None
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    if not location:
        return annotation
    field = annotation.model_fields.get(str(location[0]))
    return _model_at(field.annotation, field.metadata, child, location[1:]) if field else None


def _field_at(model: type[BaseModel], table: Any, location: Location) -> OneOf | None:
    """The table of kinds that a location may hold, if it holds a component."""
    parent = table
    for part in location[:-1]:
        parent = _child(parent, part)
    owner = _model_at(model, (), table, location[:-1])
    field = owner.model_fields.get(str(location[-1])) if owner and location else None
    return next((mark for mark in field.metadata if isinstance(mark, OneOf)), None) if field else None


def _child(table: Any, part: str | int) -> Any:
    if isinstance(table, Mapping):
        return table.get(part)
    return table[part] if isinstance(table, list) and isinstance(part, int) and part < len(table) else None
