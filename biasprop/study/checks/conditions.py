"""Whether the components of one condition fit each other."""

from __future__ import annotations

import math
from typing import Any

from biasprop.hardware import memory
from biasprop.nn.views import SYMMETRIES
from biasprop.population.shifts import in_order, shifted_prevalence
from biasprop.study.checks.fields import validate_fields
from biasprop.study.conditions import Conditions, Finetuning, augmentations
from biasprop.study.location import Location
from biasprop.study.problems import Problem, suggestion


def check_conditions(table: dict[str, Any]) -> tuple[Conditions | None, list[Problem]]:
    """Validate the tables of one condition: its keys, then how they fit; None if a key by itself is wrong."""
    conditions, problems = validate_fields(Conditions, table)
    return conditions, problems if conditions is None else condition_problems(conditions)


def condition_problems(conditions: Conditions) -> list[Problem]:
    """Components, shares, shifts and sizes that do not fit each other."""
    problems = [*_share_problems(conditions), *_shift_problems(conditions)]
    problems += _pretraining_problems(conditions)
    problems += _task_problems(conditions)
    problems += _finetuning_problems(conditions.finetuning)
    protocol, encoder = conditions.finetuning.protocol, conditions.encoder
    if not problems and protocol.adapts_encoder and not encoder.counts(conditions.generator.spec)[0]:
        message = f"{protocol.kind} adapts the encoder, and {encoder.kind} has no parameters; use a linear_probe"
        problems.append(Problem(("finetuning", "protocol"), message))
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
    if why := _encoder_incompatibility(conditions):
        return [*problems, Problem(("encoder",), why)]
    if why := _objective_incompatibility(conditions):
        problems.append(Problem(("pretraining", "objective"), why))
    problems += _missing_inputs(objective, generator)
    if objective.trains and not source.shows_subjects and (why := source.incompatibility(generator.spec)):
        problems.append(Problem(("pretraining", "source"), why))
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


def _encoder_incompatibility(conditions: Conditions) -> str | None:
    """Why the encoder cannot encode the generator's examples, or None."""
    encoder, spec = conditions.encoder, conditions.generator.spec
    if missing := [name for name in encoder.reads if name not in spec]:
        return (
            f"{encoder.kind} reads {', '.join(missing)}, which examples of {conditions.generator.kind} do not have; "
            f"they have {', '.join(spec)}"
        )
    return encoder.incompatibility(spec)


def _objective_incompatibility(conditions: Conditions) -> str | None:
    """Why the objective cannot train the encoder, or None."""
    encoder, objective, spec = conditions.encoder, conditions.pretraining.objective, conditions.generator.spec
    if objective.trains and not encoder.counts(spec)[0]:
        return f"{encoder.kind} has no parameters to pretrain; use objective = scratch"
    return objective.incompatibility(encoder, spec)


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


def _task_problems(conditions: Conditions) -> list[Problem]:
    """A target that the generator does not have."""
    task, diseases = conditions.finetuning.task, conditions.generator.diseases
    try:
        task.disease_index(diseases)
    except ValueError:
        message = f"{conditions.generator.kind} has no disease {task.disease!r}; {suggestion(task.disease, diseases)}"
        return [Problem(("finetuning", "task", "disease"), message)]
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


def symmetry_problems(conditions: Conditions) -> list[Problem]:
    """Views that the tables state and the generator's images have no symmetry for.

    Defaults are not among them: such views are left out. So the conditions have to come from tables as a user writes
    them, in which defaults are absent.
    """
    generator = conditions.generator
    return [
        Problem(
            (stage, *location, name),
            f"is {getattr(augmentation, name):g}, but images of {generator.kind} have no such symmetry; "
            "leave it out, or set it to 0",
        )
        for stage in ("pretraining", "finetuning")
        for location, augmentation in augmentations(getattr(conditions, stage))
        for name in SYMMETRIES
        if name not in generator.symmetries and name in augmentation.model_fields_set and getattr(augmentation, name)
    ]
