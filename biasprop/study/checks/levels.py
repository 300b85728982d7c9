"""The conditions that occur, one level of every factor and one sampled setting, if there are any, put into the base
condition, and what is wrong with them.

No model is trained under the base condition itself, nor with one level alone where other factors have levels too. They
are checked because a problem found there has one key and one line, but it counts only if a condition that occurs has it
as well. The kind of generator and the subgroups, which name dims of the cube, are those of the base condition.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biasprop.metrics import SCALES
from biasprop.statistics.estimand import Estimand
from biasprop.study.checks.conditions import check_conditions, symmetry_problems
from biasprop.study.conditions import Conditions
from biasprop.study.factors import Level, ReadFactor, with_settings
from biasprop.study.location import Location, dotted
from biasprop.study.problems import Problem
from biasprop.study.sample import SETTING

Positions = tuple[int, ...]
"""Position of one level of every factor: a condition that occurs."""


class OccurringConditions:
    """Every combination of levels; each is checked once, when it is first asked for.

    Args:
        base: the tables of the base condition, as the file has them.
        conditions: the base condition.
        factors: of the study; those without levels are left out.
        settings: of the study's sample, if it has one; a condition that occurs has one of them.
    """

    def __init__(
        self,
        base: dict[str, Any],
        conditions: Conditions,
        factors: Mapping[str, ReadFactor],
        settings: Sequence[Level] = (),
    ) -> None:
        self.base, self.conditions = base, conditions
        self.factors = {name: factor.levels for name, factor in factors.items() if factor.levels}
        if settings:
            self.factors[SETTING] = list(settings)
        self._checked: dict[Positions, tuple[Conditions | None, list[Problem]]] = {}
        self._filled = conditions.settable_tables()
        self._symmetries: dict[Positions, list[Problem]] = {}

    def positions(self, factor: str = "", index: int = 0) -> Iterator[Positions]:
        """Every condition that occurs; with a factor, those with its level at a position."""
        ranges = ([index] if name == factor else range(len(levels)) for name, levels in self.factors.items())
        return itertools.product(*ranges)

    def levels(self, positions: Positions) -> dict[str, Level]:
        """Factor -> level of a condition."""
        return {name: levels[i] for (name, levels), i in zip(self.factors.items(), positions, strict=True)}

    def check(self, positions: Positions) -> tuple[Conditions | None, list[Problem]]:
        """A condition, and what is wrong with it; None if a key by itself is."""
        if positions not in self._checked:
            self._checked[positions] = self._check(self._filled, positions)
        return self._checked[positions]

    def _check(self, base: dict[str, Any], positions: Positions) -> tuple[Conditions | None, list[Problem]]:
        try:
            return check_conditions(with_settings(base, self.levels(positions).values()))
        except KeyError as error:  # a level's key leads nowhere
            return None, [Problem(("factors",), error.args[0])]

    def have(self, problem: Problem, factor: str = "", index: int = 0) -> bool:
        """Whether some condition that occurs, with the level if there is a factor, has a problem."""
        return any(problem in self.check(positions)[1] for positions in self.positions(factor, index))

    def state(self, problem: Problem, factor: str = "", index: int = 0) -> bool:
        """As :meth:`have`, for problems of :func:`symmetry_problems`."""
        return any(problem in self._stated(positions) for positions in self.positions(factor, index))

    def _stated(self, positions: Positions) -> list[Problem]:
        if positions not in self._symmetries:
            conditions, _ = self._check(self.base, positions)
            self._symmetries[positions] = symmetry_problems(conditions) if conditions else []
        return self._symmetries[positions]


def base_problems(wrong: Sequence[Problem], occurring: OccurringConditions) -> list[Problem]:
    """What is wrong with the base condition, if some condition that occurs has the same problem.

    Args:
        wrong: problems of the base condition.
        occurring: the conditions that occur.
    """
    stated = [problem for problem in symmetry_problems(occurring.conditions) if occurring.state(problem)]
    return [problem for problem in wrong if occurring.have(problem)] + stated


def level_problems(
    occurring: OccurringConditions, factors: Mapping[str, ReadFactor], known: Sequence[Problem]
) -> list[Problem]:
    """What is wrong once one level is put into the base condition, if some condition that occurs has the same problem;
    it is located at the level.

    Args:
        occurring: the conditions that occur.
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
                table = with_settings(occurring.base, [level])
            except KeyError as error:
                problems.append(Problem(location, error.args[0]))
                continue
            conditions, wrong = check_conditions(table)
            wrong = [problem for problem in wrong if occurring.have(problem, name, index)]
            stated = symmetry_problems(conditions) if conditions else []
            for problem in [*wrong, *(problem for problem in stated if occurring.state(problem, name, index))]:
                key = next((key for key in level.settings if problem.location[: len(key)] == key), None)
                if key is not None:
                    problems.append(problem.below((*location, *level.written_at[key]), len(key)))
                elif all(problem.location != p.location for p in known):
                    problems.append(Problem(location, f"with this level, {dotted(problem.location)}: {problem.what}"))
    return problems


def combination_problems(occurring: OccurringConditions, estimands: Sequence[Estimand]) -> list[Problem]:
    """Problems of the conditions that levels of several factors make together.

    Args:
        occurring: the conditions that occur.
        estimands: of the study.
    """
    problems: list[Problem] = []
    all_conditions: list[Conditions] = []
    for positions in occurring.positions():
        conditions, wrong = occurring.check(positions)
        levels = occurring.levels(positions)
        if conditions is None or wrong:
            where = ", ".join(f"{name} = {level.label!r}" for name, level in levels.items())
            problems += [Problem(_set_by(levels, p), f"with {where}: {dotted(p.location)}: {p.what}") for p in wrong]
            continue
        all_conditions.append(conditions)
        problems += _budget_problems(conditions, levels)
    return problems or [
        *_cube_problems([occurring.conditions, *all_conditions]),
        *_scale_problems(estimands, all_conditions),
    ]


def _set_by(levels: Mapping[str, Level], problem: Problem) -> Location:
    """The lever of a sample that sets the key of a problem, else all factors."""
    setting = levels[SETTING] if SETTING in levels else Level("", {}, {})
    place = next((setting.written_at[key] for key in setting.settings if problem.location[: len(key)] == key), None)
    return ("factors",) if place is None else ("sample", *place)


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
            place: Location = ("sample", *level.written_at[key]) if name == SETTING else ("factors", name)
            return [Problem(place, f"{SETTING if name == SETTING else 'level'} {level.label!r}: {message}")]
    return [Problem(key, message)]


def _cube_problems(all_conditions: Sequence[Conditions]) -> list[Problem]:
    """Levels that would need a cube with other dims: all must have the subgroups and latents of the base."""
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
