"""Who may import whom. Read from the source, so an import inside a function counts as well."""

from __future__ import annotations

import graphlib

import pytest

from tests.source_tree import ROOT, Import, imports, modules

FLOORS = (
    ("interfaces",),
    ("component", "keys", "paths", "status", "terminal", "biasprop"),
    ("command", "html", "optimisers", "normalisations"),
    ("hardware", "metrics", "nn", "population", "store", "tables"),
    ("datasets",),
    ("generators", "encoders", "objectives", "protocols", "mitigations", "tasks", "loops", "statistics"),
    ("difficulty", "estimands"),
    ("sources",),
    ("study",),
    ("training",),
    ("observers",),
    ("execution", "report", "truth"),
    ("bench", "coverage", "arguments"),
    ("run", "show", "draw", "page", "audit"),
    ("card",),
)
"""From the ground up: a unit uses those below its floor, and on its own floor none but itself. A unit is a room, or a
file at the top of the package; ``biasprop`` itself loads its public names when they are asked for."""

ROOMS = (
    "generators",
    "encoders",
    "objectives",
    "protocols",
    "mitigations",
    "tasks",
    "loops",
    "optimisers",
    "normalisations",
    "sources",
    "difficulty",
    "estimands",
)
"""Rooms of things a study chooses between; each may see itself, what :data:`BASE` says, and no other room."""

BASE = dict.fromkeys(ROOMS, ("component", "interfaces", "keys", "nn")) | {"estimands": ("metrics", "statistics")}
"""What a room may use."""

BESIDES = {
    "difficulty": ("generators",),
    "encoders": ("normalisations",),
    "generators": ("datasets",),
    "sources": ("generators", "difficulty", "population"),
}
"""What else a room may use: people's own images come from their files; a mode wraps generators; a source draws subjects
of a population, and may have a generator of its own."""

LIBRARIES_WITHOUT = {
    # room or module -> top-level libraries it may not use
    "statistics": {"jax", "flax", "optax", "zarr", "matplotlib", "dask", "distributed"},
    "estimands": {"jax", "flax", "optax", "zarr", "matplotlib", "dask", "distributed"},
    "metrics": {"jax", "flax", "optax", "zarr", "matplotlib", "dask", "distributed", "xarray"},
    "store": {"jax", "flax", "optax", "matplotlib", "dask", "distributed"},
    "tables": {"jax", "flax", "optax", "zarr", "matplotlib", "dask", "distributed", "xarray", "scipy"},
    "html": {"jax", "flax", "optax", "zarr", "matplotlib", "dask", "distributed", "xarray", "scipy", "numpy", "pandas"},
    "audit": {"jax", "flax", "optax", "zarr", "dask", "distributed"},
    "card": {"flax", "optax", "zarr", "matplotlib", "dask", "distributed", "xarray"},
}

OURS = modules("biasprop")


def unit(module: str) -> str:
    """The room, or the file at the top of the package, that a module belongs to."""
    return module.split(".")[1] if "." in module else module


def ours(module: str, typing: bool = False) -> list[Import]:
    """What a module imports of the package itself; names used only by the type checker on request."""
    return [found for found in imports(OURS[module]) if found.module in OURS and (typing or not found.typing)]


def place(module: str, found: Import) -> str:
    return f"{OURS[module].relative_to(ROOT)}:{found.line} imports {found.module}"


def reachable(start: str) -> set[str]:
    """Every unit that a unit uses, directly or by a detour."""
    arrows = units()
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for other in arrows.get(waiting.pop(), set()) - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def units() -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for module in OURS:
        used = {unit(found.module) for found in ours(module)}
        arrows.setdefault(unit(module), set()).update(used - {unit(module)})
    return arrows


def test_every_unit_has_its_floor() -> None:
    assert sorted(name for floor in FLOORS for name in floor) == sorted({unit(module) for module in OURS})


def test_arrows_point_down() -> None:
    level = {name: i for i, floor in enumerate(FLOORS) for name in floor}
    wrong = [
        place(module, found)
        for module in OURS
        for found in ours(module)
        if unit(module) not in (unit(found.module), "biasprop") and level[unit(found.module)] >= level[unit(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circles_between_the_files_of_a_room() -> None:
    # A package's __init__ may load its members when they are asked for.
    arrows = {
        module: {found.module for found in ours(module) if found.module != module and not found.lazy} for module in OURS
    }
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(f"circle of imports: {' <- '.join(circle.args[1])}")


@pytest.mark.parametrize("room", [room for room in ROOMS if f"biasprop.{room}" in OURS])
def test_a_room_sees_only_itself_and_the_base(room: str) -> None:
    wrong = [
        place(module, found)
        for module in OURS
        if unit(module) == room
        for found in ours(module, typing=True)
        if unit(found.module) not in (room, *BASE[room], *BESIDES.get(room, ()))
    ]
    assert not wrong, "\n".join(wrong)


def test_members_of_a_room_are_named_only_inside_it() -> None:
    """Everyone else goes through the room's table, so a new member needs no change elsewhere."""
    shared = {"biasprop.generators.canvas"}
    wrong = [
        place(module, found)
        for module in OURS
        for found in ours(module, typing=True)
        if unit(found.module) in {*ROOMS} - {unit(module)}
        and found.module.count(".") > 1
        and found.module not in shared
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", LIBRARIES_WITHOUT)
def test_a_room_keeps_to_its_libraries(name: str) -> None:
    wrong = [
        place(module, found)
        for module, file in OURS.items()
        if unit(module) == name
        for found in imports(file)
        if found.module.split(".")[0] in LIBRARIES_WITHOUT[name]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["metrics", "statistics", "estimands", "store"])
def test_nothing_that_uses_jax_is_reached(name: str) -> None:
    """Not by a detour either: a measure or a cube can be read where JAX is not installed."""
    users = {unit(m) for m, file in OURS.items() if any(i.module.split(".")[0] == "jax" for i in imports(file))}
    users.discard("component")  # registers a pytree only when a component is made
    reached = reachable(name) & users
    assert not reached, f"{name} reaches {sorted(reached)}"


def test_flax_stays_where_parameters_are_owned() -> None:
    owners = {"nn", *ROOMS}
    wrong = [
        place(module, found)
        for module, file in OURS.items()
        for found in imports(file)
        if found.module.split(".")[0] == "flax" and unit(module) not in owners
    ]
    assert not wrong, "\n".join(wrong)


def test_the_package_does_not_use_the_paper_or_the_tests() -> None:
    wrong = [
        place(module, found)
        for module, file in OURS.items()
        for found in imports(file)
        if found.module.split(".")[0] in ("paper", "tests")
    ]
    assert not wrong, "\n".join(wrong)
