"""Names of factors, what their levels set, and the size of the grid they make."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from biasprop.store.variables import VARIABLES
from biasprop.study.checks.fields import allowed_keys
from biasprop.study.conditions import Conditions
from biasprop.study.coords import COORDS
from biasprop.study.factors import EVALUATION_SHIFTS, FINETUNING_SIDE, PRETRAINING_SIDE, ReadFactor
from biasprop.study.location import Location, dotted
from biasprop.study.problems import Problem, suggestion

MAX_COMBINATIONS = 10_000
"""Maximum number of combinations of levels; more are assumed to be a mistake."""

MAX_ARMS = 200_000
"""Maximum number of combinations of levels times replicates."""

RESERVED = frozenset(
    ("replicate", *COORDS, *VARIABLES, *(dim for variable in VARIABLES.values() for dim in variable.dims))
)
"""Names that the cube uses itself."""


def factor_problems(table: Mapping[str, Any], factors: Mapping[str, ReadFactor]) -> list[Problem]:
    """Names and levels of factors, keys that no level may set, and keys that two factors set."""
    problems: list[Problem] = []
    owners: dict[Location, str] = {}
    for name, factor in factors.items():
        location: Location = ("factors", name)
        if why := name_problem(name, "factor"):
            problems.append(Problem(location, why))
        problems += [problem.below(location) for problem in factor.problems]
        for index, level in enumerate(factor.levels):
            for key in level.settings:
                inside = level.written_at[key]
                place: Location = (*location, "levels", index, *inside) if inside else (*location, "key")
                if why := key_problem(key, table):
                    problems.append(Problem(place, why))
                    continue
                for other, owner in owners.items():
                    shorter = min(len(key), len(other))
                    if owner != name and key[:shorter] == other[:shorter]:
                        problems.append(Problem(place, f"{dotted(key)} is already set by the factor {owner}"))
                owners.setdefault(key, name)
    shifting = list(dict.fromkeys(name for key, name in owners.items() if key[:2] == EVALUATION_SHIFTS))
    for name in shifting[1:]:
        message = f"sets {dotted(EVALUATION_SHIFTS)}, as the factor {shifting[0]} does; only one factor may"
        problems.append(Problem(("factors", name), message))
    return list(dict.fromkeys(problems))


def grid_problem(table: Mapping[str, Any], factors: Mapping[str, ReadFactor]) -> Problem | None:
    """A grid that is too large; its size is checked before anything is built from it."""
    count = math.prod(max(len(factor.levels), 1) for factor in factors.values())
    if count > MAX_COMBINATIONS:
        message = f"make {count} combinations of levels; at most {MAX_COMBINATIONS} are allowed"
        return Problem(("factors",), message)
    sample, replicates = table.get("sample"), table.get("replicates")
    size = sample.get("size") if isinstance(sample, dict) else None
    if isinstance(size, int) and count * size > MAX_COMBINATIONS:
        message = f"is {size}; with {count} combinations of levels that makes {count * size} conditions; at most "
        return Problem(("sample", "size"), f"{message}{MAX_COMBINATIONS} are allowed")
    if isinstance(replicates, int) and count * replicates > MAX_ARMS:
        message = f"is {replicates}; with {count} combinations of levels that makes {count * replicates} arms; at most "
        return Problem(("replicates",), f"{message}{MAX_ARMS} are allowed")
    return None


def name_problem(name: str, what: str) -> str | None:
    """Why a factor or a lever (``what``) cannot have this name, or None."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        of_cube = {"factor": "a dimension", "lever": "a coordinate"}[what]
        return f"cannot be the name of a {what}, {of_cube} of the cube: use lower-case letters, digits and _"
    if what == "factor" and name in RESERVED:
        return "cannot be the name of a factor; the cube uses this name itself"
    return None


def key_problem(key: Location, table: Mapping[str, Any]) -> str | None:
    """Why a level cannot set this key, or None."""
    roots = (*PRETRAINING_SIDE, *FINETUNING_SIDE)
    if key[0] not in roots and key[:2] != EVALUATION_SHIFTS:
        same = key[0] in Conditions.model_fields
        why = "is the same for all arms" if same else "is not a key that a level can set"
        return f"{dotted(key)} {why}; the key has to start with one of these; {suggestion(key[0], roots)}"
    for end in range(1, len(key)):
        allowed = allowed_keys(Conditions, table, key[:end])
        if allowed is None:  # a table with free names, or a component whose kind another level decides
            continue
        if str(key[end]) not in allowed:
            owner = dotted(key[:end])
            return f"{dotted(key)} does not exist: {owner} has no {key[end]!r}; {suggestion(key[end], allowed)}"
    return None
