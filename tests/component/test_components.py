"""Rule 1 over every member of every room, and its details on a component made for it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import pytest
from pydantic import Field, TypeAdapter, ValidationError

from biasprop.component import Component, Count, OneOf, levers
from tests.members import EVERY, ROOMS, compiled, member


class Spring(Component):
    """A part of :class:`Machine`."""

    stiffness: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How stiff."""
    turns: int = 3
    """How many turns."""


class Weight(Component):
    """Another part."""

    kind: str = "weight"
    mass: float = 2.0
    """How heavy."""


class Machine(Component):
    """One field of every sort."""

    rate: float
    """A lever."""
    parts: Count = 7
    """A traced integer."""
    width: int = 4
    """Structure."""
    name: str = "m"
    """Structure."""
    fast: bool = False
    """Structure."""
    grid: tuple[float, ...] = (0.1, 0.2)
    """Structure: a tuple's length decides shapes."""
    spring: Spring = Spring()
    """Nested."""
    doses: dict[str, float] = {"z": 1.0, "a": 2.0}  # noqa: RUF012 - pydantic copies defaults
    """A lever for every name."""
    end: float | None = None
    """A lever that may be absent."""


MACHINE = Machine(rate=0.5)


def test_levers_are_floats_counts_and_components() -> None:
    assert levers(Machine) == ("rate", "parts", "spring", "doses", "end")
    assert jax.tree.leaves(MACHINE) == [0.5, 7, 1.0, 1.0, 2.0]
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(MACHINE)]
    assert paths == [".rate", ".parts", ".spring.stiffness", ".doses.z", ".doses.a"]


def test_the_order_of_names_is_kept() -> None:
    assert list(jax.tree.map(lambda x: x, MACHINE).doses) == ["z", "a"]
    turned = Machine(rate=0.5, doses={"a": 1.0, "z": 2.0})
    assert jax.tree.structure(turned) != jax.tree.structure(MACHINE)


def test_structure_is_equal_across_levers_and_differs_in_everything_else() -> None:
    base = jax.tree.structure(MACHINE)
    assert base == jax.tree.structure(
        Machine(rate=9.0, parts=8, spring=Spring(stiffness=3.0), doses={"z": 0.0, "a": 0.0})
    )
    others: list[dict[str, Any]] = [
        {"width": 5},
        {"name": "n"},
        {"fast": True},
        {"grid": (0.1,)},
        {"spring": Spring(turns=4)},
    ]
    for other in others:
        assert base != jax.tree.structure(Machine(rate=0.5, **other))


def test_one_compiled_program_serves_every_lever() -> None:
    runs = jax.jit(lambda m: m.rate * m.parts + m.doses["a"] * m.width)
    assert float(runs(MACHINE)) == 0.5 * 7 + 2.0 * 4
    assert float(runs(Machine(rate=2.0, parts=3, doses={"z": 0.0, "a": 5.0}))) == 2.0 * 3 + 5.0 * 4
    assert compiled(runs) == 1
    runs(Machine(rate=2.0, width=5))
    assert compiled(runs) == 2


def test_rebuilding_bypasses_validation() -> None:
    beyond = jax.tree.map(lambda leaf: leaf - 1e6, MACHINE)
    assert beyond.spring.stiffness == 1.0 - 1e6 and beyond.width == 4
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[Machine(rate=float(i)) for i in range(3)])
    assert stacked.rate.shape == (3,)
    assert jax.vmap(lambda m: m.rate * 2)(stacked).tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({}, "rate"),
        ({"rate": "1"}, "rate"),
        ({"rate": True}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"rate": 1.0, "parts": 1.0}, "parts"),
        ({"rate": 1.0, "width": True}, "width"),
        ({"rate": 1.0, "fast": 1}, "fast"),
        ({"rate": 1.0, "spring": {"stiffness": 11.0}}, "stiffness"),
        ({"rate": 1.0, "spring": {"turn": 1}}, "turn"),
        ({"rate": 1.0, "doses": {"z": "much"}}, "z"),
        ({"rate": 1.0, "rates": 1.0}, "rates"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Machine.model_validate(values)
    assert [error["loc"][-1] for error in caught.value.errors()] == [where]


class Engine(Component):
    """Parts whose defaults are not those of their class."""

    machine: Machine = Machine(rate=0.5, width=8, spring=Spring(turns=9))
    """Two levels deep."""
    part: Annotated[Spring | Weight, Field()] = Weight(mass=7.0)
    """One of two kinds."""


def test_keys_that_a_table_lacks_have_the_values_of_the_field() -> None:
    given = {"machine": {"spring": {"stiffness": 3.0}}, "part": {"kind": "weight"}}
    for found in (Engine.model_validate(given), Engine.model_validate_json(json.dumps(given))):
        assert found.machine == Machine(rate=0.5, width=8, spring=Spring(turns=9, stiffness=3.0))
        assert found.part == Weight(mass=7.0)
    assert Engine.model_validate({"part": {"stiffness": 3.0}}).part == Spring(stiffness=3.0)  # of another kind
    assert Engine().machine.spring.model_fields_set == {"turns"}  # what is not set stays so


def test_a_definition_is_frozen() -> None:
    with pytest.raises(ValidationError):
        MACHINE.rate = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("room", "kind"), EVERY)
def test_a_member_survives_flattening(room: str, kind: str) -> None:
    one = member(room, kind)
    leaves, structure = jax.tree.flatten(one)
    back = jax.tree.unflatten(structure, leaves)
    assert back == one and type(back) is type(one)
    assert all(isinstance(leaf, int | float) for leaf in leaves)
    moved = jax.tree.map(lambda leaf: leaf + 1, one)
    assert jax.tree.structure(moved) == structure and hash(structure) == hash(jax.tree.structure(moved))
    if leaves:
        assert moved != one


@pytest.mark.parametrize(("room", "kind"), EVERY)
def test_every_float_of_a_member_is_a_lever_and_no_other_scalar_is(room: str, kind: str) -> None:
    cls = ROOMS[room][kind]
    scalars = {name: field.annotation for name, field in cls.model_fields.items()}
    assert {name for name, kind_of in scalars.items() if kind_of is float} <= set(levers(cls))
    assert not {name for name, kind_of in scalars.items() if kind_of in (bool, str)} & set(levers(cls))


@pytest.mark.parametrize(("room", "kind"), EVERY)
def test_a_member_survives_json_and_names_itself(room: str, kind: str) -> None:
    one = member(room, kind)
    assert type(one).model_validate_json(one.model_dump_json()) == one
    assert one.kind == kind
    with pytest.raises(ValidationError):
        type(one).model_validate(one.model_dump() | {"no_such_key": 1})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_takes_a_bare_name_for_defaults_and_refuses_unknown_names(room: str) -> None:
    table = ROOMS[room]
    adapter = TypeAdapter(Annotated[Any, OneOf(table)])
    for kind, cls in table.items():
        if any(field.is_required() for field in cls.model_fields.values()):
            one = member(room, kind)
            assert adapter.validate_python({"kind": kind} | one.model_dump()) == one
        else:
            assert adapter.validate_python(kind) == adapter.validate_python({"kind": kind}) == cls()
    with pytest.raises(ValidationError):
        adapter.validate_python("no such kind")
    with pytest.raises(ValidationError):
        adapter.validate_python({"no": "kind"})
    assert adapter.json_schema()["anyOf"][0] == {"enum": list(table)}
