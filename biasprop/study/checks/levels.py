"""The conditions that levels make of the base condition: each level alone, then levels of all factors together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from biasprop.component import InputError
from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Estimand
from biasprop.study.checks.conditions import check_conditions, symmetry_problems
from biasprop.study.conditions import Conditions
from biasprop.study.factors import Level, ReadFactor, combinations, with_settings
from biasprop.study.location import Location, dotted
from biasprop.study.problems import Problem

if TYPE_CHECKING:
    from biasprop.study.study import Study


def level_problems(base: dict[str, Any], factors: Mapping[str, ReadFactor], known: Sequence[Problem]) -> list[Problem]:
    """What is wrong once one level is put into the base condition; the problem is located at the level.

    Args:
        base: the tables of the base condition.
        factors: of the study; those with problems of their own are left out.
        known: problems found before, of factors and of the base condition.
    """
    problems: list[Problem] = []
    for name, factor in factors.items():
        if factor.problems or any(p.location[:2] == ("factors", name) for p in known):
            continue
        for index, level in enumerate(factor.levels):
            location: Location = ("factors", name, "levels", index)
            try:
                table = with_settings(base, [level])
            except KeyError as error:
                problems.append(Problem(location, error.args[0]))
                continue
            conditions, wrong = check_conditions(table)
            for problem in [*wrong, *(symmetry_problems(conditions) if conditions else ())]:
                key = next((key for key in level.settings if problem.location[: len(key)] == key), None)
                if key is not None:
                    problems.append(problem.below((*location, *level.written_at[key]), len(key)))
                elif all(problem.location != p.location for p in known):
                    problems.append(Problem(location, f"with this level, {dotted(problem.location)}: {problem.what}"))
    return problems


def combination_problems(study: Study) -> list[Problem]:
    """Problems of the conditions that levels of several factors make together."""
    problems: list[Problem] = []
    all_conditions: list[Conditions] = []
    for levels in combinations({name: study.levels(name) for name in study.factors}):
        try:
            conditions = study.with_levels(levels)
        except InputError as error:
            problems += [Problem(("factors",), line.partition(": ")[2]) for line in error.problems]
            continue
        all_conditions.append(conditions)
        problems += _budget_problems(conditions, levels)
    return problems or [*_cube_problems(all_conditions), *_scale_problems(study.estimands, all_conditions)]


def _budget_problems(conditions: Conditions, levels: Mapping[str, Level]) -> list[Problem]:
    """A label budget beyond the pretraining cohort; located at the factor that sets the budget, if one does."""
    labels, pretraining = conditions.finetuning.labels, conditions.pretraining
    if not pretraining.objective.trains or labels <= pretraining.cohort:
        return []
    key: Location = ("finetuning", "labels")
    message = f"{dotted(key)} is {labels}; has to be at most pretraining.cohort, here {pretraining.cohort}: "
    message += "more subjects would be labelled than pretrained on"
    for name, level in levels.items():
        if key in level.settings:
            return [Problem(("factors", name), f"level {level.label!r}: {message}")]
    return [Problem(key, message)]


def _cube_problems(all_conditions: Sequence[Conditions]) -> list[Problem]:
    """Levels that would need a cube with other dims: every condition must have the same subgroups and latents."""
    if len({tuple(conditions.generator.subgroups) for conditions in all_conditions}) > 1:
        return [Problem(("factors",), "levels change the names of the subgroups; they have to be the same everywhere")]
    if len({conditions.generator.latent_names for conditions in all_conditions}) > 1:
        return [Problem(("factors",), "levels change the kind of generator; it has to be the same everywhere")]
    return []


def _scale_problems(estimands: Sequence[Estimand], all_conditions: Sequence[Conditions]) -> list[Problem]:
    """Scales of estimands that need what a task of the study does not provide."""
    tasks = {conditions.finetuning.task.kind: conditions.finetuning.task for conditions in all_conditions}
    return [
        Problem(("estimands", index, "scale"), f"{estimand.scale} needs {need}, which the task {kind} does not provide")
        for index, estimand in enumerate(estimands)
        for kind, task in tasks.items()
        for need in SCALES[estimand.scale].needs
        if need not in task.provides
    ]
