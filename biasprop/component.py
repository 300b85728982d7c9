"""Rule 1: a float is a lever, everything else is structure.

Every part of an experiment (generator, encoder, objective, protocol, ...) is one frozen, typed definition. The same
class is the TOML schema, the defaults, the documentation and, through :class:`Component`, a JAX pytree: its levers
(floats, :data:`Count` fields and nested components) are leaves that can be traced, stacked and mapped without
recompilation; ints, strings, bools and tuples are static, so the *structure* of a condition is its compile group.

Values are validated once, when a study is loaded. Flattening and rebuilding for tracing bypasses validation, because a
traced leaf is not a float.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import core_schema

MAX_COMPARED = 1_000
"""Names that a wrong one is compared with."""


class InputError(Exception):
    """Invalid input from the user, with every problem that was found, one line each (exit code 2)."""

    def __init__(self, problems: list[str] | str):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class FieldProblems(InputError, ValueError):
    """What is wrong with fields of a definition; raised by its validators, or by what they call.

    Args:
        located: for each problem, the keys that lead from the definition's table to the field (none: the table itself),
            and what is wrong.
    """

    def __init__(self, located: Iterable[tuple[tuple[str, ...], str]]):
        self.located = list(located)
        super().__init__([what for _, what in self.located])


@contextmanager
def about_field(*keys: str) -> Iterator[None]:
    """Context manager and decorator that says which field of a definition invalid input is about.

    Args:
        keys: lead from the definition's table to the field.

    Raises:
        FieldProblems: for any :class:`InputError` that does not say so itself.
    """
    try:
        yield
    except FieldProblems:
        raise
    except InputError as error:
        raise FieldProblems((keys, problem) for problem in error.problems) from error


def suggestion(wrong: Any, allowed: Iterable[Any]) -> str:
    """``allowed: a, b, c; did you mean a?``, the question only where one of them is close to ``wrong``."""
    names = [str(name) for name in allowed][:MAX_COMPARED]
    close = closest(wrong, names)
    listed = ", ".join(names[:40]) if names else "none"
    return f"allowed: {listed}" + (f"; did you mean {close}?" if close is not None else "")


def closest(wrong: Any, names: Iterable[str]) -> str | None:
    """The name that is most like ``wrong``, in whole or in its beginning; None if none is."""
    text = str(wrong).lower()[:200]
    scores = {name: _likeness(text, name.lower()) for name in list(names)[:MAX_COMPARED]}
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] >= 0.5 else None


def _likeness(wrong: str, name: str) -> float:
    """0 to 1; names of several words are often shortened to the first ones."""
    matcher = difflib.SequenceMatcher(b=wrong, autojunk=False)
    matcher.set_seq1(name)
    whole = matcher.ratio()
    matcher.set_seq1(name[: len(wrong)])
    return max(whole, 0.9 * matcher.ratio()) if len(wrong) >= 4 else whole


class Unfinished(Exception):
    """A sweep ended early; finished arms are stored, and the same command continues from there (exit code 3)."""


class Definition(BaseModel):
    """A frozen, strictly validated table of a study file (no JAX)."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        arbitrary_types_allowed=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any, info: ValidationInfo) -> Any:
        """Keys that a table lacks have the values of the field's default, which may differ from those of its class."""
        if not isinstance(values, Mapping):
            return values
        if info.mode == "json":  # what a validator returns is validated as Python, where an array is no tuple
            values = _with_tuples(values)
        defaults = {name: cls.model_fields[name].default for name in values if name in cls.model_fields}
        return {name: _completed(value, defaults.get(name)) for name, value in values.items()}


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_tuples(each) for name, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _completed(value: Any, default: Any) -> Any:
    if not (isinstance(value, Mapping) and isinstance(default, Definition)):
        return value
    if value.get("kind") != getattr(default, "kind", None):
        return value
    own = {name: getattr(default, name) for name in default.model_fields_set}
    return own | {name: _completed(given, own.get(name)) for name, given in value.items()}


class Traced:
    """Annotation: this integer is a leaf, realised by indices or masks within a static maximum."""


class Computed:
    """Annotation: a value that is left out is computed from the other fields, such as a digest of files they name."""


def computed(definition: Definition) -> dict[str, Any]:
    """The values of a definition's own fields that were computed and not stated, by name."""
    fields = type(definition).model_fields.items()
    names = [name for name, field in fields if any(isinstance(mark, Computed) for mark in field.metadata)]
    return {name: getattr(definition, name) for name in names if name not in definition.model_fields_set}


Count = Annotated[int, Traced()]
"""A number of things (labels, subjects, steps) that may vary without recompilation."""


@dataclass(frozen=True)
class Shared:
    """Arrays that all cells of a batch have in common, such as the images of a table; a pytree.

    Programs over the cells of a batch pass them on as they are, without a leading axis, so that a device holds them
    once.
    """

    arrays: Mapping[str, Any] = dataclasses.field(compare=False)
    """Name -> array."""
    digest: str
    """Of the contents; two with equal digests are equal."""

    def __post_init__(self) -> None:
        _register_shared()


@functools.cache
def _register_shared() -> None:
    import jax  # imported here, as for components

    jax.tree_util.register_pytree_with_keys(
        Shared,
        lambda shared: ([(jax.tree_util.GetAttrKey("arrays"), dict(shared.arrays))], shared.digest),
        lambda digest, children: Shared(next(iter(children)), digest),
    )


@dataclass(frozen=True)
class OneOf:
    """Annotation: any member of a room's table, chosen by its ``kind``; a bare string means the defaults.

    Args:
        table: kind -> class, the literal table of a folder such as ``objectives``.
        bare: whether a bare string is allowed; not where a member has fields without defaults.
    """

    table: Mapping[str, type[Definition]]
    bare: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        members = Union[tuple(self.table.values())]  # noqa: UP007 - built from a table
        tagged = handler.generate_schema(Annotated[members, Field(discriminator="kind")])
        return core_schema.no_info_before_validator_function(_by_kind, tagged) if self.bare else tagged

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.table)}, handler(schema)]} if self.bare else handler(schema)


def default_member(table: Mapping[str, type[Definition]], kind: str) -> Callable[[], Any]:
    """A factory of a member with its defaults, for a field annotated with :class:`OneOf`.

    Args:
        table: of the room.
        kind: of the member.
    """
    return lambda: table[kind]()


def _by_kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class NameOf:
    """Annotation: the name of an entry of a table.

    Args:
        table: name -> entry.
    """

    table: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.table))


@dataclass(frozen=True)
class Preset:
    """Annotation: a table, or the name of a preset that stands for one.

    Setting a key below a name (``--set``, or a level of a factor) turns it into a table whose ``kind`` is the name; the
    other keys then override the preset's.

    Args:
        table: name -> values.
    """

    table: Mapping[str, Mapping[str, Any]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._values, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.table)}, handler(schema)]}

    def _values(self, value: Any) -> Any:
        overrides = {name: v for name, v in value.items() if name != "kind"} if isinstance(value, Mapping) else {}
        name = value.get("kind") if isinstance(value, Mapping) else value
        if not isinstance(name, str):
            return value
        if name not in self.table:
            raise ValueError(f"there is no preset {name!r}; allowed: {', '.join(self.table)}")
        return {**self.table[name], **overrides}


class Component(Definition):
    """A :class:`Definition` that is also a JAX pytree whose leaves are its levers."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        import jax  # imported here, so that definitions that are never traced do not need JAX

        jax.tree_util.register_pytree_with_keys(cls, _flatten_with_keys, lambda aux, leaves: _rebuild(cls, aux, leaves))


@functools.cache
def levers(cls: type[Definition]) -> tuple[str, ...]:
    """Names of a definition's fields that are leaves, in the order of declaration."""
    return tuple(name for name, field in cls.model_fields.items() if _is_lever(field.annotation, field.metadata))


def _is_lever(annotation: Any, metadata: Any = ()) -> bool:
    if any(isinstance(mark, Traced | OneOf) for mark in metadata):
        return True
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_lever(get_args(annotation)[0], get_args(annotation)[1:])
    if origin is dict:
        return _is_lever(get_args(annotation)[1])
    if origin is tuple:  # a tuple of numbers is structure, because its length decides shapes
        return any(isinstance(member, type) and issubclass(member, Component) for member in get_args(annotation))
    if origin in (Union, types.UnionType):
        return any(_is_lever(member) for member in get_args(annotation))
    return annotation is float or (isinstance(annotation, type) and issubclass(annotation, Component))


def _flatten_with_keys(component: Component) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
    import jax

    key = jax.tree_util.GetAttrKey
    dynamic = levers(type(component))
    static = tuple((n, getattr(component, n)) for n in type(component).model_fields if n not in dynamic)
    children: list[tuple[Any, Any]] = []
    orders: list[tuple[str, tuple[str, ...] | None]] = []
    for name in dynamic:
        value = getattr(component, name)
        if isinstance(value, dict):  # JAX would sort the keys; the study's order of subgroups is kept
            orders.append((name, tuple(value)))
            children += [(key(f"{name}.{k}"), v) for k, v in value.items()]
        else:
            orders.append((name, None))
            children.append((key(name), value))
    return children, (static, tuple(orders))


def _rebuild(cls: type[Component], aux: tuple[Any, ...], leaves: Any) -> Component:
    static, orders = aux
    values: dict[str, Any] = dict(static)
    remaining = iter(leaves)
    for name, keys in orders:
        values[name] = next(remaining) if keys is None else {k: next(remaining) for k in keys}
    component = cls.__new__(cls)
    object.__setattr__(component, "__dict__", values)
    object.__setattr__(component, "__pydantic_fields_set__", set(values))
    object.__setattr__(component, "__pydantic_extra__", None)
    object.__setattr__(component, "__pydantic_private__", None)
    return component


def replace_nested(node: Any, classes: tuple[type[Definition], ...], function: Callable[[Any], Any]) -> Any:
    """A copy of a definition, or of a field's value, with every nested definition of these classes replaced.

    Args:
        node: what to copy; itself replaced if it is of these classes.
        classes: of what is replaced.
        function: old -> new.
    """
    if isinstance(node, classes):
        return function(node)
    if isinstance(node, tuple):
        return tuple(replace_nested(part, classes, function) for part in node)
    if not isinstance(node, Definition):
        return node
    return node.model_copy(
        update={name: replace_nested(getattr(node, name), classes, function) for name in type(node).model_fields}
    )
