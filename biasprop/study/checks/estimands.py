"""References of estimands to subgroups, factors and levels of the study, and which of them are tested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from biasprop.estimands import ESTIMANDS
from biasprop.population.attributes import Population
from biasprop.statistics.estimand import Estimand, references
from biasprop.study.checks.fields import validate_fields
from biasprop.study.factors import Label, ReadFactor, same_label
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion

MAX_ESTIMANDS = 1_000
"""Maximum number of estimands of a study."""


class Names(NamedTuple):
    """Names that estimands can refer to."""

    what: str
    """In words."""
    names: tuple[str, ...]
    subgroups: tuple[str, ...]
    """Those among them that are no groups of several."""


PRIMARY = "set primary = true in exactly one, or exploratory = true for the study"

Known = Names | None
"""None if the study's subgroups have problems of their own."""

Labels = Mapping[str, list[Label] | None]
"""Factor -> labels of its levels; None for a factor whose levels have problems of their own."""


def estimand_problems(
    table: Mapping[str, Any], factors: Mapping[str, ReadFactor], population: Population | None = None
) -> list[Problem]:
    """References to what the study does not have, duplicate names, and no or several primary estimands, or one in an
    exploratory study.

    Args:
        table: of the study.
        factors: of the study.
        population: of the study, if it has one; estimands may then name its groups.
    """
    listed = table.get("estimands")
    estimands = [e if isinstance(e, dict) else {} for e in listed[:MAX_ESTIMANDS]] if isinstance(listed, list) else []
    if not estimands:
        return []
    labels: Labels = {
        name: None if factor.problems or not factor.levels else [level.label for level in factor.levels]
        for name, factor in factors.items()
    }
    problems: list[Problem] = []
    known = _known(table, population)
    names = [estimand.get("name") for estimand in estimands]
    for index, estimand in enumerate(estimands):
        location: Location = ("estimands", index)
        wrong = _reference_problems(estimand, known, labels)
        if names[index] in names[:index]:
            wrong.insert(0, Problem(("name",), f"{names[index]!r} is also the name of an earlier estimand"))
        wrong = wrong or _order_problems(estimand, factors) or _mistakes(estimand, labels)
        problems += [problem.below(location) for problem in wrong]
    if table.get("exploratory") is True:
        return problems + _tested(estimands)
    return problems + _primary_problems(estimands, known, labels, problems)


def _tested(estimands: list[dict[str, Any]]) -> list[Problem]:
    """Estimands of an exploratory study that would be tested."""
    return [
        Problem(("estimands", index, role), "the study is exploratory, so no estimand is tested; leave it out")
        for index, estimand in enumerate(estimands)
        for role in ("primary", "secondary")
        if estimand.get(role) is True
    ]


def _kind(estimand: Mapping[str, Any]) -> type[Estimand]:
    """The class of an estimand; what all kinds share where it names no kind that there is."""
    kind = estimand.get("kind")
    return ESTIMANDS.get(kind, Estimand) if isinstance(kind, str) else Estimand


def _reference_problems(estimand: dict[str, Any], known: Known, labels: Labels) -> list[Problem]:
    """Every subgroup, factor and level that an estimand names."""
    problems: list[Problem] = []
    for field, what in references(_kind(estimand)).items():
        if field not in estimand:
            continue
        named = estimand[field]
        if what == "subgroup":
            problems += _subgroup_problems(field, named, known)
        elif labels and what in ("factor", "budget") and isinstance(named, str):
            problems += _factor_problems(field, named, labels)
            if what == "budget":
                problems += _budget_problems(field, named, estimand, labels)
        elif labels and what == "arm" and isinstance(named, dict):
            for name, label in named.items():
                problems += _factor_problems((field, name), name, labels)
                problems += _level_problems((field, name), name, label, labels)
        elif labels and what == "level" and isinstance(estimand.get("factor"), str):
            several = named if isinstance(named, list) else [named]
            for i, label in enumerate(several):
                location: Location = (field, i) if isinstance(named, list) else (field,)
                problems += _level_problems(location, estimand["factor"], label, labels)
    return problems


def _subgroup_problems(field: str, named: Any, known: Known) -> list[Problem]:
    if known is None:
        return []
    located: list[tuple[Location, Any]] = (
        [((field, i), name) for i, name in enumerate(named)] if isinstance(named, list) else [((field,), named)]
    )
    return [
        Problem(location, f"there is no {known.what} {name!r}; {suggestion(name, known.names)}")
        for location, name in located
        if isinstance(name, str) and name not in known.names
    ]


def _known(table: Mapping[str, Any], population: Population | None) -> Known:
    """What an estimand can name; None if the tables have other problems."""
    if population is not None:
        return Names("subgroup or group", tuple(population.members()), tuple(population.combinations()))
    generator = table.get("generator")
    named = generator.get("subgroups") if isinstance(generator, dict) else None
    if "population" in table or not isinstance(named, dict):
        return None
    return Names("subgroup", tuple(named), tuple(named))


def _factor_problems(location: str | Location, name: str, labels: Labels) -> list[Problem]:
    if name in labels:
        return []
    place: Location = (location,) if isinstance(location, str) else location
    return [Problem(place, f"there is no factor {name!r}; {suggestion(name, labels)}")]


def _budget_problems(field: str, name: str, estimand: dict[str, Any], labels: Labels) -> list[Problem]:
    """A factor of label budgets that is the contrast's own factor, or whose levels are not numbers."""
    problems: list[Problem] = []
    if estimand.get("factor") == name:
        problems.append(Problem((field,), f"{name!r} is also the factor that the contrast runs over"))
    if any(isinstance(label, str) for label in labels.get(name) or ()):
        problems.append(Problem((field,), f"the levels of {name} are not numbers; they have to be label budgets"))
    return problems


def _level_problems(location: Location, factor: str, label: Any, labels: Labels) -> list[Problem]:
    known = labels.get(factor)
    if known is None or any(same_label(label, other) for other in known):
        return []
    return [Problem(location, f"the factor {factor} has no level {label!r}; {suggestion(label, known)}")]


def _mistakes(estimand: dict[str, Any], labels: Labels) -> list[Problem]:
    """What the kind itself finds wrong with the levels that a valid estimand names."""
    stated = _stated(estimand)
    readable = {name: known for name, known in labels.items() if known is not None}
    return [Problem(key, what) for key, what in stated.mistakes(readable)] if stated is not None else []


def _stated(estimand: dict[str, Any]) -> Estimand | None:
    kind = _kind(estimand)
    return validate_fields(kind, estimand)[0] if kind is not Estimand else None


def _order_problems(estimand: dict[str, Any], factors: Mapping[str, ReadFactor]) -> list[Problem]:
    """``skewed`` not in the order of ``subgroups``; checked if the levels set the shares."""
    skewed, subgroups = estimand.get("skewed"), estimand.get("subgroups")
    if not (isinstance(skewed, list) and isinstance(subgroups, list) and len(skewed) == len(subgroups) == 2):
        return []
    if not all(isinstance(name, str) for name in subgroups):
        return []
    factor = factors.get(str(estimand.get("factor")))
    shares = []
    for label in skewed:
        level = next((level for level in factor.levels if same_label(level.label, label)), None) if factor else None
        mix = level.settings.get(("pretraining", "shares")) if level else None
        share = mix.get(subgroups[0]) if isinstance(mix, dict) else None
        shares.append(share if isinstance(share, int | float) else None)
    if None in shares or shares[0] > shares[1]:
        return []
    first, second = skewed
    message = (
        f"{first!r} has a share of {shares[0]:g} of {subgroups[0]} and {second!r} {shares[1]:g}; "
        f"the first has to be the level skewed to {subgroups[0]}, the second the one skewed to {subgroups[1]}"
    )
    return [Problem(("skewed",), message)]


def _primary_problems(
    estimands: list[dict[str, Any]], names: Known, labels: Labels, known: list[Problem]
) -> list[Problem]:
    """Exactly one estimand is primary, and it stands for one number."""
    problems: list[Problem] = []
    primaries = [index for index, estimand in enumerate(estimands) if estimand.get("primary") is True]
    if not primaries:
        return [Problem(("estimands",), f"no estimand is primary; {PRIMARY}")]
    for index in primaries[1:]:
        message = f"estimand {primaries[0]} is primary already; only one can be"
        problems.append(Problem(("estimands", index, "primary"), message))
    location: Location = ("estimands", primaries[0])
    if len(primaries) == 1 and not any(p.location[:2] == location for p in known):
        problems += [p.below(location) for p in _several_numbers(estimands[primaries[0]], names, labels)]
    return problems


def _several_numbers(estimand: dict[str, Any], names: Known, labels: Labels) -> list[Problem]:
    """A primary estimand that has several numbers, one for each level of a factor or for each subgroup."""
    stated = _stated(estimand)
    if stated is None:
        return []
    subgroups = names.subgroups if names else ()
    if len(stated.subgroup_sets(subgroups)) > 1:
        allowed = ", ".join(subgroups)
        return [Problem((), f"the primary estimand has to be one number; give its subgroup; allowed: {allowed}")]
    readable = {name: known for name, known in labels.items() if known is not None}
    free = []
    for name in stated.free(tuple(readable)):
        arms = [dict(stated.at) | {name: label} for label in readable[name]]
        if sum(not stated.left_out(arm, readable) for arm in arms) > 1:
            free.append(name)
    if not free:
        return []
    examples = ", ".join(f"{name} = {json.dumps(readable[name][-1])}" for name in free)
    message = f"the primary estimand has to be one number; fix {', '.join(free)} in at, such as at = {{ {examples} }}"
    return [Problem(("at",), message)]
