"""Whether the components of one condition fit each other."""

from __future__ import annotations

import math
from typing import Any

from biasprop.hardware import memory
from biasprop.population.shifts import in_order, shifted_prevalence
from biasprop.study.atoms import by_subgroup
from biasprop.study.conditions import Conditions, Finetuning
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion


def check_conditions(table: dict[str, Any]) -> tuple[Conditions | None, list[Problem]]:
    """Validate the tables of one condition: its keys, then how they fit; None if a key by itself is wrong."""
    resolved = by_subgroup(table)
    conditions, problems = resolved.validated(Conditions)
    if conditions is not None and not problems:
        problems = [resolved.located(problem) for problem in condition_problems(conditions)]
    return conditions, list(dict.fromkeys(problems))


def condition_problems(conditions: Conditions) -> list[Problem]:
    """Components, shares, shifts and sizes that do not fit each other."""
    problems = [*_share_problems(conditions), *_shift_problems(conditions)]
    problems += _pretraining_problems(conditions)
    problems += _finetuning_problems(conditions.finetuning)
    if not problems and (excess := memory.too_large(conditions, conditions)):
        problems.append(Problem(*excess))
    return problems


def _share_problems(conditions: Conditions) -> list[Problem]:
    """Shares have to name every subgroup and nothing else."""
    problems: list[Problem] = []
    subgroups = tuple(conditions.generator.subgroups)
    for stage in ("pretraining", "finetuning"):
        shares = getattr(conditions, stage).shares
        problems += [
            Problem((stage, "shares", name), f"there is no such subgroup; {suggestion(name, subgroups)}")
            for name in shares
            if name not in subgroups
        ]
        if missing := [name for name in subgroups if name not in shares]:
            message = f"has no share for {', '.join(missing)}; every subgroup needs one, 0 where it is absent"
            problems.append(Problem((stage, "shares"), message))
    return problems


def _shift_problems(conditions: Conditions) -> list[Problem]:
    problems: list[Problem] = []
    subgroups = tuple(conditions.generator.subgroups)
    for stage in ("pretraining", "finetuning", "evaluation"):
        for name, shift in getattr(conditions, stage).shifts.items():
            if name not in subgroups:
                message = f"there is no such subgroup; {suggestion(name, subgroups)}"
                problems.append(Problem((stage, "shifts", name), message))
            if conditions.generator.difficulty.kind == "symmetric" and (shift.marker_healthy or shift.marker_diseased):
                message = "adds a marker in one corner, so that images are not symmetric; "
                message += "leave it out, or choose a difficulty other than symmetric"
                problems.append(Problem((stage, "shifts", name), message))
    return problems


def _pretraining_problems(conditions: Conditions) -> list[Problem]:
    """Batch, encoder, objective, source and mitigation of pretraining."""
    problems: list[Problem] = []
    pretraining, generator = conditions.pretraining, conditions.generator
    objective, source = pretraining.objective, pretraining.source
    if objective.trains and pretraining.schedule.batch > pretraining.cohort:
        message = f"is {pretraining.schedule.batch}; has to be at most the size of the cohort, {pretraining.cohort}"
        problems.append(Problem(("pretraining", "schedule", "batch"), message))
    if why := conditions.encoder.incompatibility(generator.shape):
        problems.append(Problem(("encoder",), why))
    elif why := objective.incompatibility(conditions.encoder, generator.shape):
        problems.append(Problem(("pretraining", "objective"), why))
    problems += _missing_inputs(objective, generator)
    if objective.trains and not source.shows_subjects:
        needs_subjects = {
            "objective": bool(objective.reads),
            "mitigation": pretraining.mitigation.needs_subjects,
        }
        problems += [
            Problem(
                ("pretraining", name), f"{getattr(pretraining, name).kind} needs subjects, and {source.kind} has none"
            )
            for name, needs in needs_subjects.items()
            if needs
        ]
    return problems


def _missing_inputs(objective: Any, generator: Any) -> list[Problem]:
    """Inputs that the objective reads and the generator does not have."""
    location: Location = ("pretraining", "objective")
    if "follow_up" in objective.reads and not generator.follows_up:
        return [Problem(location, f"{objective.kind} needs follow-up images of subjects; {generator.kind} has none")]
    if "attribute" not in objective.reads:
        return []
    names = generator.attribute_names
    if not names:
        return [Problem(location, f"{objective.kind} needs an attribute to predict; {generator.kind} has none")]
    if objective.attribute and objective.attribute not in names:
        message = f"{generator.kind} has no attribute {objective.attribute!r}; {suggestion(objective.attribute, names)}"
        return [Problem((*location, "attribute"), message)]
    return []


def _finetuning_problems(finetuning: Finetuning) -> list[Problem]:
    """Mitigation that does not fit the protocol, and too few labels for both classes."""
    problems: list[Problem] = []
    if why := finetuning.mitigation.incompatibility(finetuning.protocol):
        problems.append(Problem(("finetuning", "mitigation"), why))
    prevalence = _recorded_prevalence(finetuning)
    if finetuning.labels * min(prevalence, 1 - prevalence) < 1:
        message = f"is {finetuning.labels}; at a recorded prevalence of {prevalence:g} one class has no label"
        problems.append(Problem(("finetuning", "labels"), message))
    return problems


def _recorded_prevalence(finetuning: Finetuning) -> float:
    """P(recorded diseased) among the labelled subjects."""
    if not finetuning.shifts:
        return finetuning.prevalence
    total = 0.0
    shifts = in_order(finetuning.shifts, list(finetuning.shares))
    for shift, share in zip(shifts, finetuning.shares.values(), strict=True):
        prevalence = shifted_prevalence(finetuning.prevalence, math.exp(shift.prevalence))
        total += share * (prevalence * (1 - shift.missed) + (1 - prevalence) * shift.false_alarm)
    return total
