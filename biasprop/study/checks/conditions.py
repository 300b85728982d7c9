"""Whether the components of one condition fit each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from biasprop.component import levers
from biasprop.hardware import memory
from biasprop.interfaces import Generator, HasPopulation, HasSites, Objective, Population
from biasprop.nn.views import SYMMETRIES
from biasprop.population.shifts import in_order, shifted_prevalence
from biasprop.study.atoms import by_subgroup
from biasprop.study.checks.people import table_problems
from biasprop.study.conditions import Conditions, Evaluation, Finetuning, Pretraining, augmentations
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
    problems = [*_share_problems(conditions), *_shift_problems(conditions), *_random_lever_problems(conditions)]
    problems += _pretraining_problems(conditions)
    problems += _task_problems(conditions)
    problems += table_problems(conditions)
    problems += _finetuning_problems(conditions.finetuning, conditions.evaluation)
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
    for location, population, generator in _populations(conditions):
        shares, subgroups = population.shares, tuple(generator.subgroups)
        problems += [
            Problem((*location, "shares", name), f"there is no such subgroup; {suggestion(name, subgroups)}")
            for name in shares
            if name not in subgroups
        ]
        if missing := [name for name in subgroups if name not in shares]:
            message = f"has no share for {', '.join(missing)}; every subgroup needs one, 0 where it is absent"
            problems.append(Problem((*location, "shares"), message))
    return problems


def _shift_problems(conditions: Conditions) -> list[Problem]:
    problems: list[Problem] = []
    shifted = [(location, population.shifts, generator) for location, population, generator in _populations(conditions)]
    for location, shifts, generator in [
        *shifted,
        (("evaluation",), conditions.evaluation.shifts, conditions.generator),
    ]:
        subgroups, difficulty = tuple(generator.subgroups), generator.difficulty
        for name, shift in shifts.items():
            if name not in subgroups:
                message = f"there is no such subgroup; {suggestion(name, subgroups)}"
                problems.append(Problem((*location, "shifts", name), message))
            if why := difficulty.shift_incompatibility(shift):
                message = f"{why}; leave it out, or choose a difficulty other than {difficulty.kind}"
                problems.append(Problem((*location, "shifts", name), message))
    return problems


def _random_lever_problems(conditions: Conditions) -> list[Problem]:
    """Levers of random levels that the generator's subgroups lack, or that its difficulty does not know of."""
    problems: list[Problem] = []
    generator, difficulty = conditions.generator, conditions.generator.difficulty
    subgroup = next(iter(generator.subgroups.values()))
    known = [name for name in levers(type(subgroup)) if isinstance(getattr(subgroup, name), float)]
    for name, law in ({} if conditions.population is None else conditions.population.random).items():
        location: Location = ("population", "random", name, "lever_sd")
        if law.lever_sd and difficulty.requires is not None:
            message = f"{difficulty.kind} is solved for the levers of subgroups, not for those that replicates draw; "
            message += f"leave it out, or choose a difficulty other than {difficulty.kind}"
            problems.append(Problem(location, message))
        for lever in law.lever_sd:
            if lever not in known:
                message = f"subgroups of {generator.kind} have no such lever; {suggestion(lever, known)}"
                problems.append(Problem((*location, lever), message))
    return problems


def _populations(conditions: Conditions) -> Iterator[tuple[Location, Population, Generator]]:
    """Every population that has shares, where it stands in the study file, and the generator of its subgroups."""
    yield ("finetuning",), conditions.finetuning, conditions.generator
    for location, stage in conditions.pretraining.located_stages():
        yield location, stage, conditions.generator
        if isinstance(stage.source, HasPopulation):
            yield (*location, "source"), stage.source, stage.source.generator


def _pretraining_problems(conditions: Conditions) -> list[Problem]:
    """Encoder, and every stage of pretraining; what a later stage has from the first is reported there alone."""
    if why := _encoder_incompatibility(conditions):
        return [Problem(("encoder",), why)]
    problems: list[Problem] = []
    stages = list(conditions.pretraining.located_stages())
    for location, stage in stages:
        found = _stage_problems(location, stage, conditions)
        known = {(problem.location[len(stages[0][0]) :], problem.what) for problem in problems}
        problems += [problem for problem in found if (problem.location[len(location) :], problem.what) not in known]
    for location, stage in stages[1:]:
        if stage.objective.trains != conditions.pretraining.objective.trains:
            untrained = "this stage" if conditions.pretraining.objective.trains else "the first stage"
            message = f"{untrained} pretrains nothing; leave out stages that pretrain nothing"
            problems.append(Problem((*location, "objective"), message))
    return problems


def _stage_problems(location: Location, stage: Pretraining, conditions: Conditions) -> list[Problem]:
    """Batch, objective, source and mitigation of one stage."""
    problems: list[Problem] = []
    objective, source, generator = stage.objective, stage.source, conditions.generator
    if objective.trains and stage.schedule.batch > stage.cohort:
        message = f"is {stage.schedule.batch}; has to be at most the size of the cohort, {stage.cohort}"
        problems.append(Problem((*location, "schedule", "batch"), message))
    if why := _objective_incompatibility(objective, conditions):
        problems.append(Problem((*location, "objective"), why))
    if objective.trains and (why := source.incompatibility(generator.spec)):
        problems.append(Problem((*location, "source"), why))
    if objective.trains and not source.shows_subjects:
        needs_subjects = {
            "objective": bool(objective.reads),
            "mitigation": stage.mitigation.needs_subjects,
            "loop": isinstance(stage.loop, HasSites),
        }
        problems += [
            Problem((*location, name), f"{getattr(stage, name).kind} needs subjects, and {source.kind} has none")
            for name, needs in needs_subjects.items()
            if needs
        ]
    else:
        problems += _missing_inputs((*location, "objective"), objective, source.observed_by(generator))
        if objective.trains:
            problems += _site_problems(location, stage, conditions)
    return problems


def _site_problems(location: Location, stage: Pretraining, conditions: Conditions) -> list[Problem]:
    """Sites that do not exist, and a batch that they cannot divide."""
    loop, source, population = stage.loop, stage.source, conditions.population
    if not isinstance(loop, HasSites):
        return []
    names = list(population.all_attributes()) if population is not None and source.in_domain else []
    if loop.sites is not None and loop.sites not in names:
        whose = "the population" if source.in_domain else f"the source {source.kind}"
        message = f"{whose} has no attribute {loop.sites!r}; {suggestion(loop.sites, names)}"
        return [Problem((*location, "loop", "sites"), f"{message}; left out, every subgroup is a site")]
    sites = len(conditions.pretraining_condition().model_copy(update={"pretraining": stage}).sites())
    try:
        loop.sites_per_round(sites)
    except ValueError as error:
        return [Problem((*location, "loop", "participants"), str(error))]
    try:
        loop.images_per_site(stage.schedule.batch, sites)
    except ValueError as error:
        return [Problem((*location, "schedule", "batch"), str(error))]
    return []


def _encoder_incompatibility(conditions: Conditions) -> str | None:
    """Why the encoder cannot encode the generator's examples, or None."""
    encoder, spec = conditions.encoder, conditions.generator.spec
    if missing := [name for name in encoder.reads if name not in spec]:
        return (
            f"{encoder.kind} reads {', '.join(missing)}, which examples of {conditions.generator.kind} do not have; "
            f"they have {', '.join(spec)}"
        )
    return encoder.incompatibility(spec)


def _objective_incompatibility(objective: Objective, conditions: Conditions) -> str | None:
    """Why the objective cannot train the encoder, or None."""
    encoder, spec = conditions.encoder, conditions.generator.spec
    if objective.trains and not encoder.counts(spec)[0]:
        return f"{encoder.kind} has no parameters to pretrain; use objective = scratch"
    return objective.incompatibility(encoder, spec)


def _missing_inputs(location: Location, objective: Objective, generator: Generator) -> list[Problem]:
    """Inputs that the objective reads and the generator does not have."""
    if "follow_up" in objective.reads and not generator.follows_up:
        return [Problem(location, f"{objective.kind} needs follow-up images of subjects; {generator.kind} has none")]
    if "attribute" not in objective.reads:
        return []
    names = generator.attribute_names
    if not names:
        return [Problem(location, f"{objective.kind} needs an attribute to predict; {generator.kind} has none")]
    attribute: str = objective.attribute  # pyright: ignore[reportAttributeAccessIssue] - those that read one have it
    if attribute and attribute not in names:
        message = f"{generator.kind} has no attribute {attribute!r}; {suggestion(attribute, names)}"
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


def _finetuning_problems(finetuning: Finetuning, evaluation: Evaluation) -> list[Problem]:
    """Mitigation that does not fit the protocol, and too few labels for both classes."""
    problems: list[Problem] = []
    if why := finetuning.mitigation.incompatibility(finetuning.protocol):
        problems.append(Problem(("finetuning", "mitigation"), why))
    prevalence = _recorded_prevalence(finetuning)
    train, validation = evaluation.split(finetuning.labels)
    if train * min(prevalence, 1 - prevalence) < 1:
        message = f"is {finetuning.labels}, {validation} of them for validation; "
        message += f"at a recorded prevalence of {prevalence:g} one class has no label to train on"
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
