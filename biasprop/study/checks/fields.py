"""Checks of every key by itself: values that no study can have, and errors of pydantic reworded for a study file."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from biasprop.component import FieldProblems, OneOf, closest
from biasprop.study.location import MAX_KEY_LENGTH, Location, dotted
from biasprop.study.names import PROSE, alike_problems, name_of, name_problem, prose_problem
from biasprop.study.problems import MAX_PROBLEMS, Problem, suggestion
from biasprop.terminal import clipped

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
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
"""Type of pydantic's error -> what the value has to be."""

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
"""Type of pydantic's error -> key of the bound in its context, and words before the bound."""


def value_problems(table: Any, location: Location = ()) -> list[Problem]:
    """Values that TOML allows and a study does not: dates, infinities, not-a-number, and texts that are no names."""
    if isinstance(table, Mapping):
        wrong = [Problem((*location, key), f"as a name {what}") for key in table if (what := name_problem(key))]
        wrong += alike_problems({(*location, key): key for key in table})
        return wrong + [p for key, value in table.items() for p in value_problems(value, (*location, key))]
    if isinstance(table, str):
        key = location[-1] if location else ""
        # Other texts, such as kinds, have to be one of a few; their own messages say which.
        longest = MAX_KEY_LENGTH if key == "name" or isinstance(key, int) else None
        what = prose_problem(table) if key == PROSE else name_problem(table, longest)
        return [Problem(location, what)] if what else []
    if isinstance(table, list):
        wrong = alike_problems({(*location, index): name_of(value) for index, value in enumerate(table)})
        return wrong + [p for index, value in enumerate(table) for p in value_problems(value, (*location, index))]
    if isinstance(table, float) and not math.isfinite(table):
        return [Problem(location, f"is {table}; has to be a finite number")]
    if not isinstance(table, str | int | float):
        return [Problem(location, f"is the date or time {table}; dates are not allowed; put text in quotes")]
    return []


def validate_fields(model: type[Model], table: Any) -> tuple[Model | None, list[Problem]]:
    """Validate a parsed TOML table; the model, or None and what pydantic found."""
    table = _with_default_kinds(model, (), table)
    try:
        return model.model_validate(_with_tuples(table)), []
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False)[:MAX_PROBLEMS]:
            location = _without_tags(detail["loc"], table)
            if detail["type"] == "union_tag_invalid" and isinstance(_at(table, location), Mapping):
                location = (*location, "kind")
            reason = detail.get("ctx", {}).get("error")
            if isinstance(reason, FieldProblems):
                # Of a validator of the whole table, or of one of its fields.
                owner = location if _model_at(model, (), table, location) else location[:-1]
                problems += [Problem((*owner, *keys), what) for keys, what in reason.located]
                continue
            problems.append(Problem(location, _message(detail, location, model, table)))
        return None, list(dict.fromkeys(problems))


def allowed_keys(model: type[BaseModel], table: Any, location: Location) -> tuple[str, ...] | None:
    """The keys that the table at ``location`` may have; None if any key is allowed, or the location is unknown."""
    owner = _model_at(model, (), table, location)
    return tuple(owner.model_fields) if owner is not None else None


def _with_tuples(value: Any) -> Any:
    """A parsed table with tuples for arrays, which strict validation needs.

    Strict validation of JSON accepts arrays for tuples, but not inside a component that may also be a bare string.
    """
    if isinstance(value, Mapping):
        return {key: _with_tuples(child) for key, child in value.items()}
    return tuple(_with_tuples(child) for child in value) if isinstance(value, list | tuple) else value


def _with_default_kinds(annotation: Any, metadata: Any, value: Any, field: FieldInfo | None = None) -> Any:
    """A table in which every component that states keys and no kind has the kind that it has where it is left out.

    Args:
        annotation, metadata: of the value.
        value: a table, or a value in it.
        field: of a model, that holds the value; None if it is not the value of a field itself.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return _with_default_kinds(get_args(annotation)[0], (*metadata, *get_args(annotation)[1:]), value, field)
    if origin is tuple and isinstance(value, list | tuple):
        return [_with_default_kinds(get_args(annotation)[0], (), child) for child in value]
    if not isinstance(value, Mapping):
        return value
    if origin in (Union, types.UnionType):
        model = next((member for member in get_args(annotation) if _is_model(member)), None)
        return _with_default_kinds(model, (), value, field)
    if origin is dict:
        return {name: _with_default_kinds(get_args(annotation)[1], (), child) for name, child in value.items()}
    if mark := next((mark for mark in metadata if isinstance(mark, OneOf)), None):
        if "kind" not in value and field and (default := _default(field)) is not None:
            value = {"kind": default.kind, **value}
        annotation = _member(mark, value)
    if not _is_model(annotation):
        return value
    return {
        name: _with_default_kinds(own.annotation, own.metadata, child, own)
        if (own := annotation.model_fields.get(name))
        else child
        for name, child in value.items()
    }


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _without_tags(location: Location, table: Any) -> Location:
    """pydantic's location without the kinds of components, which are not keys of a study file."""
    parts: list[str | int] = []
    value, tagged = table, False  # a table of a component has one tag, before its keys, one of which may have its name
    for part in location:
        if isinstance(value, Mapping) and value.get("kind") == part and not tagged:
            tagged = True
        elif not (isinstance(value, str) and value == part):
            parts.append(part)
            value, tagged = _child(value, part), False
    return tuple(parts)


def _message(detail: Any, location: Location, model: type[BaseModel], table: Any) -> str:
    """One error of pydantic, such as ``is -3; has to be at least 4``."""
    kind, context, value = detail["type"], detail.get("ctx", {}), _short_repr(detail.get("input"))
    if kind == "missing":
        owner = _model_at(model, (), table, location[:-1])
        field = owner.model_fields.get(str(location[-1])) if owner else None
        meaning = (field.description or "").partition("\n")[0].rstrip(".;:") if field else ""
        return f"is missing and has no default ({meaning[:1].lower()}{meaning[1:]})" if meaning else "is missing"
    if kind == "extra_forbidden":
        allowed = allowed_keys(model, table, location[:-1]) or ()
        if elsewhere := _elsewhere(model, str(location[-1]), allowed):
            return f"there is no such key here; {suggestion('', allowed)}; did you mean {elsewhere}?"
        return f"there is no such key here; {suggestion(location[-1], allowed)}"
    if kind in ("literal_error", "enum"):
        return f"is {value}; {suggestion(detail['input'], _quoted(context['expected']))}"
    if kind == "union_tag_invalid":
        return f"there is no kind {context['tag']!r}; {suggestion(context['tag'], _quoted(context['expected_tags']))}"
    if kind == "union_tag_not_found":
        return f"its kind is missing; {suggestion('', _kinds_at(model, (), table, location))}"
    if kind in _EXPECTED:
        return f"is {value}; has to be {_EXPECTED[kind]}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"is {value}; has to be {words} {context[name]}"
    message = str(context["error"]) if kind == "value_error" else detail["msg"]
    names = message.partition("allowed: ")[2]
    if names and isinstance(detail["input"], str):
        question = suggestion(detail["input"], names.split(", ")).rpartition("; ")
        message += f"; {question[2]}" if question[1] else ""
    return message


def _elsewhere(model: type[BaseModel], key: str, allowed: Iterable[str]) -> str:
    """The key of another table that is meant: that of this name, or else, if none of the allowed ones is like it, one
    that begins with it; empty if there is none."""
    known = {str(location[-1]): location for location in reversed(list(_keys(model)))}
    begin = [] if closest(key, allowed) else [name for name in known if len(key) >= 4 and name.startswith(key)]
    name = key if key in known else closest(key, begin)
    return dotted(known[name]) if name else ""


def _keys(model: type[BaseModel], location: Location = ()) -> Iterator[Location]:
    """Every key of a model whose tables are not chosen by a kind."""
    for name, field in model.model_fields.items():
        yield (*location, name)
        table: Any = field.annotation
        if _is_model(table):
            yield from _keys(table, (*location, name))


def _quoted(text: Any) -> list[str]:
    return re.findall("'([^']*)'", str(text))


def _short_repr(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array" if len(value) else "an empty array"
    return clipped(repr(value))


def _model_at(annotation: Any, metadata: Any, table: Any, location: Location) -> type[BaseModel] | None:
    """The model of the table at a location, by the kinds that the tables name."""
    annotation, metadata, table = _annotation_at(annotation, metadata, table, location)
    mark = next((mark for mark in metadata if isinstance(mark, OneOf)), None)
    if mark is not None:
        annotation = _member(mark, table)
    return annotation if _is_model(annotation) else None


def _kinds_at(annotation: Any, metadata: Any, table: Any, location: Location) -> Iterable[str]:
    """The kinds that the component at a location may have."""
    _, metadata, _ = _annotation_at(annotation, metadata, table, location)
    return next((mark.table for mark in metadata if isinstance(mark, OneOf)), ())


def _annotation_at(annotation: Any, metadata: Any, table: Any, location: Location) -> tuple[Any, tuple[Any, ...], Any]:
    """Annotation, its metadata and the value at a location, by the kinds that the tables name; no annotation where the
    location is unknown."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotation_at(get_args(annotation)[0], (*metadata, *get_args(annotation)[1:]), table, location)
    if origin in (Union, types.UnionType):
        members = (_annotation_at(member, (), table, location) for member in get_args(annotation))
        return next((found for found in members if _is_model(found[0])), (None, (), None))
    if not location:
        return annotation, tuple(metadata), table
    mark = next((mark for mark in metadata if isinstance(mark, OneOf)), None)
    if mark is not None:
        annotation = _member(mark, table)
    child = _child(table, location[0])
    if origin in (dict, list, tuple):
        return _annotation_at(get_args(annotation)[origin is dict], (), child, location[1:])
    if not _is_model(annotation):
        return None, (), None
    field = annotation.model_fields.get(str(location[0]))
    return _annotation_at(field.annotation, field.metadata, child, location[1:]) if field else (None, (), None)


def _member(mark: OneOf, table: Any) -> type[BaseModel] | None:
    kind = table if isinstance(table, str) else table.get("kind") if isinstance(table, Mapping) else None
    return mark.table.get(kind) if isinstance(kind, str) else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _at(table: Any, location: Location) -> Any:
    for part in location:
        table = _child(table, part)
    return table


def _child(table: Any, part: str | int) -> Any:
    if isinstance(table, Mapping):
        return table.get(part)
    return table[part] if isinstance(table, list) and isinstance(part, int) and part < len(table) else None
