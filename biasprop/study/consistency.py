"""What parts of a study must agree on: components with each other, factors with keys, estimands with factors.

Tables are taken as the file has them, so that these problems are found along with those of single values.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from biasprop.hardware import memory
from biasprop.population.shifts import in_order, shifted_prevalence
from biasprop.statistics.estimand import Estimand
from biasprop.study.factors import (
    EVALUATION_SHIFTS,
    FINETUNING_SIDE,
    PRETRAINING_SIDE,
    Level,
    levels,
    name_problem,
    same_label,
)
from biasprop.study.problems import Problem, dotted, keys_at, suggestion, with_tuples
from biasprop.study.source import Location

MAX_COMBINATIONS = 10_000
"""Combinations of levels; a larger grid is a slip of the pen."""

MAX_ARMS = 200_000
"""Combinations of levels times replicates."""

MAX_ESTIMANDS = 1_000
"""Estimands of a study."""

MAX_FACTORS = 12
"""Factors of a study."""


def factor_tables(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The factors of a study as its file has them, without those that are no tables, or too many."""
    factors = table.get("factors")
    found = {n: f for n, f in factors.items() if isinstance(f, dict)} if isinstance(factors, dict) else {}
    return dict(itertools.islice(found.items(), MAX_FACTORS))


def combinations(found: Mapping[str, Sequence[Level]]) -> Iterator[dict[str, Level]]:
    """Every combination of one level a factor; the last factor runs fastest."""
    for chosen in itertools.product(*found.values()):
        yield dict(zip(found, chosen, strict=True))


def of_factors(table: Mapping[str, Any], model: type[BaseModel]) -> list[Problem]:
    """Names, levels and keys of the factors.

    Args:
        table: the study as its file has it.
        model: knows which keys a condition has.
    """
    problems: list[Problem] = []
    movers: dict[Location, str] = {}
    for name, factor in factor_tables(table).items():
        at: Location = ("factors", name)
        if wrong := name_problem(name):
            problems.append(Problem(at, wrong))
        found, unread = levels(factor)
        problems += [problem.below(at) for problem in unread]
        for index, level in enumerate(found):
            for path in level.moves:
                own = level.places[path]
                place: Location = (*at, "levels", index, *own) if own else (*at, "key")
                if wrong := _key_problem(path, table, model):
                    problems.append(Problem(place, wrong))
                    continue
                for other, owner in movers.items():
                    shorter = min(len(path), len(other))
                    if owner != name and path[:shorter] == other[:shorter]:
                        problems.append(Problem(place, f"{dotted(path)} is already moved by the factor {owner}"))
                movers.setdefault(path, name)
    judging = list(dict.fromkeys(name for path, name in movers.items() if path[:2] == EVALUATION_SHIFTS))
    for name in judging[1:]:
        what = f"moves {dotted(EVALUATION_SHIFTS)}, as the factor {judging[0]} does; one factor may"
        problems.append(Problem(("factors", name), what))
    return list(dict.fromkeys(problems))


def of_conditions(conditions: Any) -> list[Problem]:
    """Where the components of one condition do not fit each other.

    Args:
        conditions: has generator, encoder, pretraining, finetuning and evaluation.
    """
    problems: list[Problem] = []
    subgroups = tuple(conditions.generator.subgroups)
    for stage in ("pretraining", "finetuning"):
        shares = getattr(conditions, stage).shares
        for name in shares:
            if name not in subgroups:
                what = f"there is no such subgroup; {suggestion(name, subgroups)}"
                problems.append(Problem((stage, "shares", name), what))
        if missing := [name for name in subgroups if name not in shares]:
            what = f"has no share for {', '.join(missing)}; every subgroup needs one, 0 where it is absent"
            problems.append(Problem((stage, "shares"), what))
    for stage in ("pretraining", "finetuning", "evaluation"):
        for name, shift in getattr(conditions, stage).shifts.items():
            if name not in subgroups:
                what = f"there is no such subgroup; {suggestion(name, subgroups)}"
                problems.append(Problem((stage, "shifts", name), what))
            if conditions.generator.difficulty.kind == "symmetric" and (shift.marker_healthy or shift.marker_diseased):
                what = "puts a marker into a corner, which tells left from right; difficulty = symmetric allows none"
                problems.append(Problem((stage, "shifts", name), what))
    pretraining = conditions.pretraining
    if pretraining.objective.trains and pretraining.schedule.batch > pretraining.cohort:
        what = f"is {pretraining.schedule.batch}; has to be at most the cohort, {pretraining.cohort}"
        problems.append(Problem(("pretraining", "schedule", "batch"), what))
    shape = conditions.generator.shape
    if why := conditions.encoder.incompatibility(shape):
        problems.append(Problem(("encoder",), why))
    elif why := pretraining.objective.incompatibility(conditions.encoder, shape):
        problems.append(Problem(("pretraining", "objective"), why))
    problems += _unreadable(pretraining.objective, conditions.generator)
    if pretraining.objective.trains and not pretraining.source.shows_subjects:
        needy = {"objective": bool(pretraining.objective.reads), "mitigation": pretraining.mitigation.needs_subjects}
        for name in (name for name, needs in needy.items() if needs):
            what = f"{getattr(pretraining, name).kind} needs subjects, and {pretraining.source.kind} shows none"
            problems.append(Problem(("pretraining", name), what))
    finetuning = conditions.finetuning
    if why := finetuning.mitigation.incompatibility(finetuning.protocol):
        problems.append(Problem(("finetuning", "mitigation"), why))
    recorded = _recorded_prevalence(finetuning)
    if finetuning.labels * min(recorded, 1 - recorded) < 1:
        what = f"is {finetuning.labels}; with prevalence {recorded:g} one class has no label at all"
        problems.append(Problem(("finetuning", "labels"), what))
    if not problems and (too_large := memory.too_large(conditions, conditions)):
        problems.append(Problem(*too_large))
    return problems


def _unreadable(objective: Any, generator: Any) -> list[Problem]:
    """What an objective reads of subjects and the generator does not have."""
    at: Location = ("pretraining", "objective")
    if "follow_up" in objective.reads and not generator.follows_up:
        return [Problem(at, f"{objective.kind} needs a second image of a subject; {generator.kind} has none")]
    if "attribute" not in objective.reads:
        return []
    names = generator.attribute_names
    if not names:
        return [Problem(at, f"{objective.kind} needs an attribute to predict; {generator.kind} has none")]
    if objective.attribute and objective.attribute not in names:
        what = f"{generator.kind} has no attribute {objective.attribute!r}; {suggestion(objective.attribute, names)}"
        return [Problem((*at, "attribute"), what)]
    return []


def of_grid(table: Mapping[str, Any]) -> Problem | None:
    """A grid too large to go through, counted before anything is made of it."""
    count = math.prod(max(len(levels(factor)[0]), 1) for factor in factor_tables(table).values())
    if count > MAX_COMBINATIONS:
        what = f"make {count} combinations of levels; at most {MAX_COMBINATIONS} are allowed"
        return Problem(("factors",), what)
    replicates = table.get("replicates")
    if isinstance(replicates, int) and count * replicates > MAX_ARMS:
        what = f"is {replicates}; with {count} combinations of levels that makes {count * replicates} arms; at most "
        return Problem(("replicates",), f"{what}{MAX_ARMS} are allowed")
    return None


def of_budget(conditions: Any, chosen: Mapping[str, Level]) -> list[Problem]:
    """Label budgets beyond the pretraining cohort; told at the level that sets the budget, if one does.

    Args:
        conditions: those of an arm.
        chosen: factor -> level of the arm.
    """
    labels, pretraining = conditions.finetuning.labels, conditions.pretraining
    if not pretraining.objective.trains or labels <= pretraining.cohort:
        return []
    key: Location = ("finetuning", "labels")
    where = next(((name, level) for name, level in chosen.items() if key in level.moves), None)
    at: Location = ("factors", where[0]) if where else key
    level = f"level {where[1].label!r}: " if where else ""
    what = f"{level}{dotted(key)} is {labels}; has to be at most pretraining.cohort, here {pretraining.cohort}: "
    return [Problem(at, f"{what}who is labelled would outnumber who was pretrained on")]


def of_dims(seen: Sequence[Any]) -> list[Problem]:
    """Levels that would need a cube with other dims: every condition must have the same subgroups and latents."""
    if len({tuple(conditions.generator.subgroups) for conditions in seen}) > 1:
        return [Problem(("factors",), "levels change the names of the subgroups; they have to be the same everywhere")]
    if len({conditions.generator.latent_names for conditions in seen}) > 1:
        return [Problem(("factors",), "levels change the kind of generator; it has to be the same everywhere")]
    return []


def of_estimands(table: Mapping[str, Any]) -> list[Problem]:
    """Estimands that name what the study does not have, and anything but one primary."""
    given = table.get("estimands")
    stated = [e if isinstance(e, dict) else {} for e in given[:MAX_ESTIMANDS]] if isinstance(given, list) else []
    if not stated:
        return []
    labels = {}
    for name, factor in factor_tables(table).items():
        found, unread = levels(factor)
        labels[name] = None if unread or not found else [level.label for level in found]
    problems: list[Problem] = []
    names = [e.get("name") for e in stated]
    for index, estimand in enumerate(stated):
        at: Location = ("estimands", index)
        if names[index] in names[:index]:
            problems.append(Problem((*at, "name"), f"{names[index]!r} is the name of an earlier estimand as well"))
        problems += [p.below(at) for p in _subgroups(estimand, table)]
        problems += [p.below(at) for p in (_levels(estimand, labels) if labels else ())]
        if not any(p.location[:2] == at for p in problems):
            problems += [p.below(at) for p in _direction(estimand, table)]
    primaries = [index for index, e in enumerate(stated) if e.get("primary") is True]
    if not primaries:
        problems.append(Problem(("estimands",), "none is primary; write primary = true in exactly one"))
    for index in primaries[1:]:
        what = f"estimand {primaries[0]} is primary already; exactly one is"
        problems.append(Problem(("estimands", index, "primary"), what))
    if len(primaries) == 1 and not any(p.location[:2] == ("estimands", primaries[0]) for p in problems):
        readable = {name: known for name, known in labels.items() if known is not None}
        problems += [p.below(("estimands", primaries[0])) for p in _several(stated[primaries[0]], readable)]
    return problems


def _recorded_prevalence(finetuning: Any) -> float:
    """P(recorded diseased) among the labelled subjects."""
    if not finetuning.shifts:
        return finetuning.prevalence
    total = 0.0
    for shift, share in zip(
        in_order(finetuning.shifts, list(finetuning.shares)), finetuning.shares.values(), strict=True
    ):
        own = shifted_prevalence(finetuning.prevalence, math.exp(shift.prevalence))
        total += share * (own * (1 - shift.missed) + (1 - own) * shift.false_alarm)
    return total


def _key_problem(path: Location, table: Mapping[str, Any], model: type[BaseModel]) -> str | None:
    roots = (*PRETRAINING_SIDE, *FINETUNING_SIDE)
    if path[0] not in roots and path[:2] != EVALUATION_SHIFTS:
        why = "is the same for all arms" if path[0] in model.model_fields else "names nothing that a level can move"
        return f"{dotted(path)} {why}; a key starts with one of these; {suggestion(path[0], roots)}"
    if len(path) == 1:
        return None
    for end in range(1, len(path)):
        allowed = keys_at(model, table, path[:end])
        if allowed is None:  # a table with free names, or a component whose kind another level decides
            continue
        if str(path[end]) not in allowed:
            owner = dotted(path[:end])
            return f"{dotted(path)} names nothing: {owner} has no {path[end]!r}; {suggestion(path[end], allowed)}"
    return None


def _subgroups(estimand: dict[str, Any], table: Mapping[str, Any]) -> list[Problem]:
    generator = table.get("generator")
    known = generator.get("subgroups") if isinstance(generator, dict) else None
    named = estimand.get("subgroups")
    if not isinstance(known, dict) or not isinstance(named, list):
        return []
    return [
        Problem(("subgroups", index), f"there is no subgroup {name!r}; {suggestion(name, known)}")
        for index, name in enumerate(named)
        if isinstance(name, str) and name not in known
    ]


def _fixes_largest(estimand: dict[str, Any], labels: Mapping[str, list[Any] | None], budget: str) -> bool:
    at, levels = estimand.get("at"), labels.get(budget)
    return isinstance(at, dict) and bool(levels) and budget in at and same_label(at[budget], max(levels))


def _levels(estimand: dict[str, Any], labels: Mapping[str, list[Any] | None]) -> list[Problem]:
    """``labels`` is None for a factor whose own levels have problems."""
    problems: list[Problem] = []
    factors = {field: estimand[field] for field in ("factor", "budget") if isinstance(estimand.get(field), str)}
    for field, factor in factors.items():
        if factor not in labels:
            problems.append(Problem((field,), f"there is no factor {factor!r}; {suggestion(factor, labels)}"))
    if len(factors) == 2 and estimand["factor"] == estimand["budget"]:
        problems.append(Problem(("budget",), f"{estimand['budget']!r} is the factor the contrast runs over as well"))
    budget = factors.get("budget")
    if budget is not None and any(isinstance(label, str) for label in labels.get(budget) or ()):
        problems.append(Problem(("budget",), f"the levels of {budget} are no numbers; it has to hold label budgets"))
    elif budget is not None and estimand.get("kind") == "amplification" and _fixes_largest(estimand, labels, budget):
        what = f"is {estimand['at'][budget]}, the largest budget, with which it is compared: 0 by definition"
        problems.append(Problem(("at", budget), what))
    wanted: list[tuple[Location, str | None, Any]] = []
    skewed = estimand.get("skewed")
    for index, level in enumerate(skewed if isinstance(skewed, list) else []):
        wanted.append((("skewed", index), factors.get("factor"), level))
    if "reference" in estimand:
        wanted.append((("reference",), factors.get("factor"), estimand["reference"]))
    for field in ("at", "denominator"):
        chosen = estimand.get(field)
        for factor, level in (chosen if isinstance(chosen, dict) else {}).items():
            if factor not in labels:
                problems.append(
                    Problem((field, factor), f"there is no factor {factor!r}; {suggestion(factor, labels)}")
                )
            wanted.append(((field, factor), factor, level))
    for location, factor, level in wanted:
        known = labels.get(factor) if factor is not None else None
        if known is not None and not any(same_label(level, label) for label in known):
            what = f"the factor {factor} has no level {level!r}; {suggestion(level, known)}"
            problems.append(Problem(location, what))
    return problems


def _direction(estimand: dict[str, Any], table: Mapping[str, Any]) -> list[Problem]:
    """``skewed`` is (to A, to B): where the levels say so themselves, the order can be checked."""
    skewed, subgroups = estimand.get("skewed"), estimand.get("subgroups")
    if not (isinstance(skewed, list) and isinstance(subgroups, list) and len(skewed) == len(subgroups) == 2):
        return []
    if not all(isinstance(name, str) for name in subgroups):
        return []
    found, _ = levels(factor_tables(table).get(str(estimand.get("factor")), {}))
    shares = []
    for label in skewed:
        level = next((level for level in found if same_label(level.label, label)), None)
        moved = level.moves.get(("pretraining", "shares")) if level else None
        share = moved.get(subgroups[0]) if isinstance(moved, dict) else None
        shares.append(share if isinstance(share, int | float) else None)
    if None in shares or shares[0] > shares[1]:
        return []
    first, second = skewed
    what = (
        f"{first!r} has a share of {shares[0]:g} of {subgroups[0]} and {second!r} {shares[1]:g}; "
        f"the first has to be the level skewed to {subgroups[0]}, the second the one skewed to {subgroups[1]}"
    )
    return [Problem(("skewed",), what)]


def _several(estimand: dict[str, Any], labels: dict[str, list[Any]]) -> list[Problem]:
    """A primary estimand that stands for more than one number."""
    try:
        stated = Estimand.model_validate(with_tuples(estimand))
    except ValidationError:
        return []
    sizes = {}
    for name in stated.free(tuple(labels)):
        kept = [x for x in labels[name] if name != stated.factor or not same_label(x, stated.reference)]
        sizes[name] = len(kept)
    open_ = [name for name, size in sizes.items() if size > 1]
    if not open_:
        return []
    examples = ", ".join(f"{name} = {json.dumps(labels[name][-1])}" for name in open_)
    what = f"the primary estimand has to be one number; fix {', '.join(open_)} in at, such as at = {{ {examples} }}"
    return [Problem(("at",), what)]
