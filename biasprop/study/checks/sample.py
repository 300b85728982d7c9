"""The levers of a sample: their names, keys, ranges and levels, and the number of replicates that have a setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biasprop.study.checks.conditions import check_conditions
from biasprop.study.checks.factors import key_problem, name_problem
from biasprop.study.factors import ReadFactor, with_settings
from biasprop.study.location import Location, dotted
from biasprop.study.problems import Problem
from biasprop.study.sample import SETTING, coordinate, read_levers

LEVERS: Location = ("sample", "levers")


def sample_problems(table: Mapping[str, Any], factors: Mapping[str, ReadFactor], base: dict[str, Any]) -> list[Problem]:
    """Levers that cannot be varied or that something else sets, and replicates without a setting.

    Args:
        table: of the study.
        factors: of the study.
        base: the tables of the base condition; the values of levers are checked once these are valid.
    """
    sample = table.get("sample")
    if not isinstance(sample, dict):
        return []
    problems = _name_problems(sample, factors)
    size, replicates = sample.get("size"), table.get("replicates")
    if isinstance(size, int) and isinstance(replicates, int) and replicates > size:
        message = f"is {replicates}; has to be at most sample.size, {size}: setting k is run in replicate k alone"
        problems.append(Problem(("replicates",), message))
    owners = {key: f"the factor {name}" for name, f in factors.items() for level in f.levels for key in level.settings}
    for name, lever in read_levers(table).items():
        location: Location = (*LEVERS, name)
        problems += [problem.below(location) for problem in lever.problems]
        keys = {key: level.written_at[key] for level in lever.levels for key in level.settings}
        wrong = [p.below(location) for key, inside in keys.items() for p in _key_problems(key, inside, table, owners)]
        owners |= dict.fromkeys(keys, f"the lever {name}")
        problems += wrong or [p.below(location) for p in _value_problems(lever, base)]
    return list(dict.fromkeys(problems))


def _name_problems(sample: Mapping[str, Any], factors: Mapping[str, ReadFactor]) -> list[Problem]:
    levers = sample.get("levers")
    names = list(levers) if isinstance(levers, dict) else []
    problems = [Problem((*LEVERS, name), why) for name in names if (why := name_problem(name, "lever"))]
    taken = {SETTING, *map(coordinate, names)}
    message = "cannot be the name of a factor; the cube of a study with a sample uses this name itself"
    return problems + [Problem(("factors", name), message) for name in factors if name in taken]


def _key_problems(
    key: Location, inside: Location, table: Mapping[str, Any], owners: Mapping[Location, str]
) -> list[Problem]:
    """What is wrong with a key that a lever sets. A lever may be inside a component that another lever chooses, but not
    inside what a factor sets, nor around it."""
    place = inside if inside[:1] == ("levels",) and len(inside) > 2 else ("key",)
    if why := key_problem(key, table):
        return [Problem(place, why)]
    for other, owner in owners.items():
        shorter = min(len(key), len(other))
        if key == other or (key[:shorter] == other[:shorter] and owner.startswith("the factor")):
            return [Problem(place, f"{dotted(key)} is already set by {owner}")]
    return []


def _value_problems(lever: ReadFactor, base: dict[str, Any]) -> list[Problem]:
    """Values that a key cannot have, whatever the other keys are; both ends of a range are checked."""
    problems: list[Problem] = []
    for level in () if lever.problems else lever.levels:
        try:
            conditions, wrong = check_conditions(with_settings(base, [level]))
        except KeyError as error:
            problems.append(Problem(("key",), error.args[0]))
            continue
        for problem in wrong if conditions is None else ():
            key = next((key for key in level.settings if problem.location[: len(key)] == key), None)
            if key is not None:
                problems.append(problem.below(level.written_at[key], len(key)))
    return problems
