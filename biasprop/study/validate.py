"""From tables to a :class:`Study`, or everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biasprop.study.atoms import by_subgroup
from biasprop.study.checks.conditions import check_conditions
from biasprop.study.checks.estimands import estimand_problems
from biasprop.study.checks.factors import factor_problems, grid_problem
from biasprop.study.checks.fields import value_problems
from biasprop.study.checks.levels import OccurringConditions, base_problems, combination_problems, level_problems
from biasprop.study.checks.people import people_problems
from biasprop.study.checks.sample import sample_problems
from biasprop.study.conditions import Conditions
from biasprop.study.factors import read_factors
from biasprop.study.overrides import merge
from biasprop.study.problems import Problem
from biasprop.study.sample import settings
from biasprop.study.study import Study


def validate(table: dict[str, Any]) -> tuple[Study | None, list[Problem]]:
    """The study that the tables describe, or None and every problem found.

    Checks read the tables as the file has them, so that one finds problems even where others did; levels are checked
    once every key of the base condition is valid, and combinations of levels once everything else is. That components
    fit each other is asked of the conditions that occur only.
    """
    factors = read_factors(table)
    base = {name: table[name] for name in Conditions.model_fields if name in table}
    conditions, in_base = check_conditions(base)
    if conditions is not None:
        table = _with_scale(table, conditions.finetuning.task.link)
    problems = value_problems(table)
    found = {problem.location for problem in problems}
    resolved = by_subgroup(table)
    study, wrong = resolved.validated(Study)
    problems += [problem for problem in wrong if problem.location not in found]
    problems += factor_problems(table, factors)
    problems += estimand_problems(table, factors, resolved.population)
    if too_large := grid_problem(table, factors):
        return None, [*problems, too_large]
    if conditions is not None:
        problems += sample_problems(table, factors, base)
        sampled = study.sample if study is not None and not problems else None
        drawn = [setting.level for setting in settings(sampled, conditions.tables())] if sampled else ()
        occurring = OccurringConditions(base, conditions, factors, drawn)
        problems += base_problems(in_base, occurring)
        problems += level_problems(occurring, factors, problems)
        if study is not None and not problems:
            problems += combination_problems(occurring, study.estimands)
        if study is not None and not problems:
            problems += people_problems(study)
    return (None if problems else study), list(dict.fromkeys(problems))


def _with_scale(table: dict[str, Any], link: str) -> dict[str, Any]:
    """The tables with the task's link as the scale of estimands that name none."""
    listed = table.get("estimands")
    if not isinstance(listed, list):
        return table
    return table | {"estimands": [{"scale": link} | e if isinstance(e, dict) else e for e in listed]}


def scale_problems(table: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a valid study under each of its scales, located at the scale, so that it is known early."""
    return [
        problem.below(("scale", name))
        for name, over in table.get("scale", {}).items()
        for problem in validate(merge(dict(table), over))[1]
    ]
