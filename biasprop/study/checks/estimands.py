"""References of estimands to subgroups, factors and levels of the study; exactly one estimand is primary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from biasprop.population.attributes import Population
from biasprop.statistics.estimand import Estimand
from biasprop.study.checks.fields import validate_fields
from biasprop.study.factors import Label, ReadFactor, same_label
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion

MAX_ESTIMANDS = 1_000
"""Maximum number of estimands of a study."""

Labels = Mapping[str, list[Label] | None]
"""Factor -> labels of its levels; None for a factor whose levels have problems of their own."""


def estimand_problems(
    table: Mapping[str, Any], factors: Mapping[str, ReadFactor], population: Population | None = None
) -> list[Problem]:
    """References to what the study does not have, duplicate names, and no or several primary estimands.

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
    names = [estimand.get("name") for estimand in estimands]
    for index, estimand in enumerate(estimands):
        location: Location = ("estimands", index)
        wrong = _subgroup_problems(estimand, table, population)
        if labels:
            wrong += [*_factor_problems(estimand, labels), *_level_problems(estimand, labels)]
        if names[index] in names[:index]:
            wrong.insert(0, Problem(("name",), f"{names[index]!r} is also the name of an earlier estimand"))
        problems += [problem.below(location) for problem in wrong or _order_problems(estimand, factors)]
    return problems + _primary_problems(estimands, labels, problems)


def _subgroup_problems(
    estimand: dict[str, Any], table: Mapping[str, Any], population: Population | None
) -> list[Problem]:
    generator = table.get("generator")
    known = generator.get("subgroups") if isinstance(generator, dict) else None
    if population is not None:
        known = population.members()
    elif "population" in table:
        return []  # it has problems of its own
    if not isinstance(known, dict):
        return []
    what = "subgroup" if population is None else "subgroup or group"
    fields = {field: estimand[field] for field in ("subgroups", "versus") if isinstance(estimand.get(field), list)}
    return [
        Problem((field, index), f"there is no {what} {name!r}; {suggestion(name, known)}")
        for field, names in fields.items()
        for index, name in enumerate(names)
        if isinstance(name, str) and name not in known
    ]


def _factor_problems(estimand: dict[str, Any], labels: Labels) -> list[Problem]:
    """The factor that a contrast runs over, and the factor that holds the label budgets."""
    problems: list[Problem] = []
    factors = {field: estimand[field] for field in ("factor", "budget") if isinstance(estimand.get(field), str)}
    for field, factor in factors.items():
        if factor not in labels:
            problems.append(Problem((field,), f"there is no factor {factor!r}; {suggestion(factor, labels)}"))
    budget = factors.get("budget")
    if budget is None:
        return problems
    if factors.get("factor") == budget:
        problems.append(Problem(("budget",), f"{budget!r} is also the factor that the contrast runs over"))
    if any(isinstance(label, str) for label in labels.get(budget) or ()):
        problems.append(Problem(("budget",), f"the levels of {budget} are not numbers; they have to be label budgets"))
    elif estimand.get("kind") == "amplification" and _fixes_largest(estimand, labels, budget):
        message = f"is {estimand['at'][budget]}, the largest budget, which is the reference: 0 by definition"
        problems.append(Problem(("at", budget), message))
    return problems


def _fixes_largest(estimand: dict[str, Any], labels: Labels, budget: str) -> bool:
    at, budgets = estimand.get("at"), labels.get(budget)
    return isinstance(at, dict) and bool(budgets) and budget in at and same_label(at[budget], max(budgets))


def _level_problems(estimand: dict[str, Any], labels: Labels) -> list[Problem]:
    """Every level that an estimand names."""
    problems: list[Problem] = []
    factor = estimand["factor"] if isinstance(estimand.get("factor"), str) else None
    named: list[tuple[Location, str | None, Any]] = []  # location, factor, label
    skewed = estimand.get("skewed")
    named += [(("skewed", i), factor, label) for i, label in enumerate(skewed if isinstance(skewed, list) else [])]
    if "reference" in estimand:
        named.append((("reference",), factor, estimand["reference"]))
    for field in ("at", "denominator"):
        arm = estimand.get(field)
        for name, label in (arm if isinstance(arm, dict) else {}).items():
            if name not in labels:
                problems.append(Problem((field, name), f"there is no factor {name!r}; {suggestion(name, labels)}"))
            named.append(((field, name), name, label))
    for location, name, label in named:
        known = labels.get(name) if name is not None else None
        if known is not None and not any(same_label(label, other) for other in known):
            message = f"the factor {name} has no level {label!r}; {suggestion(label, known)}"
            problems.append(Problem(location, message))
    return problems


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


def _primary_problems(estimands: list[dict[str, Any]], labels: Labels, known: list[Problem]) -> list[Problem]:
    """Exactly one estimand is primary, and it stands for one number."""
    problems: list[Problem] = []
    primaries = [index for index, estimand in enumerate(estimands) if estimand.get("primary") is True]
    if not primaries:
        return [Problem(("estimands",), "no estimand is primary; set primary = true in exactly one")]
    for index in primaries[1:]:
        message = f"estimand {primaries[0]} is primary already; only one can be"
        problems.append(Problem(("estimands", index, "primary"), message))
    location: Location = ("estimands", primaries[0])
    if len(primaries) == 1 and not any(p.location[:2] == location for p in known):
        problems += [p.below(location) for p in _several_numbers(estimands[primaries[0]], labels)]
    return problems


def _several_numbers(estimand: dict[str, Any], labels: Labels) -> list[Problem]:
    """A primary estimand that has several numbers, one for each level of a factor."""
    stated, _ = validate_fields(Estimand, estimand)
    if stated is None:
        return []
    readable = {name: known for name, known in labels.items() if known is not None}
    free = []
    for name in stated.free(tuple(readable)):
        compared = [x for x in readable[name] if name != stated.factor or not same_label(x, stated.reference)]
        if len(compared) > 1:
            free.append(name)
    if not free:
        return []
    examples = ", ".join(f"{name} = {json.dumps(readable[name][-1])}" for name in free)
    message = f"the primary estimand has to be one number; fix {', '.join(free)} in at, such as at = {{ {examples} }}"
    return [Problem(("at",), message)]
