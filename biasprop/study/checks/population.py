"""Whether the attributes, subgroups and groups of a population fit each other."""

from __future__ import annotations

import math
import re

from biasprop.population.attributes import MAX_SUBGROUPS, Population
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion


def population_problems(population: Population) -> list[Problem]:
    """Problems of a table ``[population]``, located inside it."""
    attributes = population.all_attributes()
    if not attributes:
        return [Problem(("attributes",), "is missing; a population has at least one attribute with two values")]
    problems = [
        Problem(("random", name), "is the name of an attribute in population.attributes as well")
        for name in population.random
        if name in population.attributes
    ]
    problems += _name_problems(population)
    for name, law in population.random.items():
        others = [other for other in attributes if other != name]
        if law.within is not None and law.within not in others:
            message = f"there is no other attribute {law.within!r}; {suggestion(law.within, others)}"
            problems.append(Problem(("random", name, "within"), message))
    combinations = math.prod(map(len, attributes.values()))
    if not population.subgroups and combinations > MAX_SUBGROUPS:
        message = f"make {combinations} subgroups; at most {MAX_SUBGROUPS} are allowed"
        return [*problems, Problem(("attributes",), message)]
    if not population.subgroups and len(population.combinations()) < combinations:
        message = "two combinations of values have one name when joined by _; rename a value, or name the subgroups in "
        return [*problems, Problem(("attributes",), f"{message}population.subgroups")]
    problems += _subgroup_problems(population)
    return problems + _group_problems(population)


def _name_problems(population: Population) -> list[Problem]:
    """A value names a group, so that no two attributes may have it in common."""
    problems: list[Problem] = []
    owners: dict[str, str] = {}
    for name, values in population.all_attributes().items():
        location: Location = ("attributes" if name in population.attributes else "random", name)
        for value in values:
            if not re.fullmatch(r"[^\s.\"'\[\]=]([^\n\"\[\]=]*\S)?", value):
                problems.append(Problem(location, f"{value!r} cannot be the name of a group"))
            elif value in owners and owners[value] == name:
                problems.append(Problem(location, f"has the value {value!r} twice"))
            elif value in owners:
                problems.append(Problem(location, f"{value!r} is a value of {owners[value]} as well; rename one"))
            owners.setdefault(value, name)
    return problems


def _subgroup_problems(population: Population) -> list[Problem]:
    problems: list[Problem] = []
    attributes = population.all_attributes()
    seen: dict[tuple[str | None, ...], str] = {}
    for name, own in population.subgroups.items():
        location: Location = ("subgroups", name)
        for attribute, value in own.items():
            if attribute not in attributes:
                message = f"there is no such attribute; {suggestion(attribute, attributes)}"
                problems.append(Problem((*location, attribute), message))
            elif value not in attributes[attribute]:
                message = f"{attribute} has no value {value!r}; {suggestion(value, attributes[attribute])}"
                problems.append(Problem((*location, attribute), message))
        if missing := [attribute for attribute in attributes if attribute not in own]:
            problems.append(Problem(location, f"has no value of {', '.join(missing)}"))
        values = tuple(own.get(attribute) for attribute in attributes)
        if seen.setdefault(values, name) != name:
            problems.append(Problem(location, f"has the same attributes as {seen[values]}"))
        for attribute, possible in attributes.items():
            if name in possible and own.get(attribute) != name:
                problems.append(Problem(location, f"is a value of {attribute}, which it does not have; rename one"))
    if len(population.subgroups) == 1:
        problems.append(Problem(("subgroups",), "has one subgroup; a population has at least two"))
    return problems


def _group_problems(population: Population) -> list[Problem]:
    problems: list[Problem] = []
    members = population.members()
    values = [value for possible in population.all_attributes().values() for value in possible]
    for name, parts in population.groups.items():
        location: Location = ("groups", name)
        if name in population.combinations() or name in values:
            problems.append(Problem(location, "is the name of a subgroup or of a value; rename it"))
        known = [other for other in members if other != name]
        for i, part in enumerate(parts):
            if part not in known:
                message = f"there is no subgroup or group {part!r}; {suggestion(part, known)}"
                problems.append(Problem((*location, i), message))
        if not any(p.location[:2] == location for p in problems) and not members[name]:
            problems.append(Problem(location, "contains itself"))
    for name in population.shifts:
        if name not in members:
            message = f"there is no such subgroup or group; {suggestion(name, members)}"
            problems.append(Problem(("shifts", name), message))
    return problems
