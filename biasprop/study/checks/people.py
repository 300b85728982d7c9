"""Whether a table has enough people for a study, and whether the study asks what only a simulation can answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasprop.interfaces import Part, has_people
from biasprop.population import people, rosters
from biasprop.population.shifts import in_order, shifted_prevalence
from biasprop.study import design
from biasprop.study.conditions import Conditions, Finetuning, Pretraining
from biasprop.study.location import Location
from biasprop.study.problems import Problem
from biasprop.terminal import printable

CHANGES_IMAGES = ("presentation", "acquisition", "exposure", "marker_healthy", "marker_diseased")
"""Shifts that change an image."""


def table_problems(conditions: Conditions) -> Iterator[Problem]:
    """What of one condition cannot be asked of people of a table."""
    if not has_people(conditions.generator):
        return
    if conditions.population is not None and conditions.population.random:
        message = "levels that differ between replicates need a simulation; the generator is a table of people"
        yield Problem(("population", "random"), message)
    if conditions.evaluation.pretext:
        message = "needs held-out subjects that no other set has, and the generator is a table of people; set it to 0"
        yield Problem(("evaluation", "pretext"), message)
    shifted = [(location, stage.shifts) for location, stage in conditions.pretraining.located_stages()]
    shifted += [(("finetuning",), conditions.finetuning.shifts), (("evaluation",), conditions.evaluation.shifts)]
    for location, shifts in shifted:
        for name, shift in shifts.items():
            for field in (field for field in CHANGES_IMAGES if getattr(shift, field)):
                message = (
                    "changes images, and those of people of a table stay as they are; "
                    "allowed: prevalence, missed, false_alarm"
                )
                yield Problem((*location, "shifts", name, field), message)


def people_problems(study: Any) -> list[Problem]:
    """Sets of a valid study for which its table has too few people, each with the largest possible size.

    Every condition is checked with its own table, and every setting of a sample with its own sizes.
    """
    if not has_people(study.generator):
        return []
    problems: dict[Location, tuple[int, Problem]] = {}
    for cell in design.cells(study):
        if cell.replicate and study.sample is None:
            continue  # they differ in the people alone, not in their numbers
        generator: Any = cell.condition.generator
        name = cell.label if study.sample is None else cell.name
        where = "" if generator == study.generator else f"with the table of {name}: "
        table = printable(generator.table)
        for location, size, possible, what in _needs(cell, list(study.subgroups)):
            if possible < size and (location not in problems or possible < problems[location][0]):
                problems[location] = possible, Problem(location, f"{where}{what}; the table is {table}")
    return [problem for _, problem in problems.values()]


def _needs(cell: design.Cell, subgroups: list[str]) -> Iterator[tuple[Location, int, int, str]]:
    """Key, size and largest possible size of every set, and what to say if that is less."""
    generator: Any = cell.condition.generator
    available = generator.available
    for number, condition in enumerate(cell.condition.stages()):
        pretraining = condition.pretraining
        if pretraining.sees_subjects:
            size, codes = int(pretraining.cohort), _cohort(pretraining, subgroups)
            possible = people.largest(codes, available[Part.PRETRAINING].reshape(-1))
            where = f"stage {number + 1}: " if number else ""
            yield (
                ("pretraining", "cohort"),
                size,
                possible,
                where + _message(size, "", possible, codes, available[Part.PRETRAINING], subgroups, "pretraining"),
            )
    conditions = [arm.condition for arm in cell.arms]
    pool, draws = max(c.train_count for c in conditions), max(arm.draws for arm in cell.arms)
    for condition in conditions:
        sets = rosters.rosters(condition.finetuning, condition.evaluation, subgroups, pool, generator.diseases)
        codes = {name: 2 * roster.subgroup + roster.label for name, roster in sets.items()}
        every = range(len(subgroups))
        codes["test"] = (
            np.concatenate([2 * g + sets["test"].label for g in every]).reshape(len(subgroups), -1).T.ravel()
        )
        yield from _sets(
            codes, "selection", "train", available[Part.FINETUNING], subgroups, condition.finetuning, draws
        )
        yield from _sets(codes, "calibration", "test", available[Part.EVALUATION], subgroups, None, len(subgroups))


def _sets(
    codes: dict[str, NDArray],
    first: str,
    second: str,
    available: NDArray,
    subgroups: list[str],
    finetuning: Finetuning | None,
    several: int,
) -> Iterator[tuple[Location, int, int, str]]:
    """Two sets of one part, the second of which has what the first leaves.

    Args:
        codes: ``2 * subgroup + label`` of every subject, by set.
        first, second: names of the sets.
        available: people of the part, [subgroup, label].
        subgroups: names.
        finetuning: None for the evaluation.
        several: draws of labels, or subjects of the test set that are one: one of each subgroup.
    """
    part = "evaluation" if finetuning is None else "fine-tuning"
    possible = people.largest(codes[first], available.reshape(-1))
    size = len(codes[first])
    what = _message(size, "", possible, codes[first], available, subgroups, part)
    yield ("evaluation", first), size, possible, what
    if possible < size:
        return
    left = available - np.bincount(codes[first], minlength=available.size).reshape(available.shape)
    if finetuning is None:
        size, possible = len(codes[second]) // several, people.largest(codes[second], left.reshape(-1)) // several
        words = f" of every subgroup, beside {len(codes[first])} for calibration,"
        what = _message(size, words, possible, codes[second], left, subgroups, part)
        yield ("evaluation", second), size, possible, what
        return
    share = left // several
    size, possible = len(codes[second]), people.largest(codes[second], share.reshape(-1))
    words = f" to train on in each of {several} draws, beside {len(codes[first])} for validation,"
    what = _message(size, words, possible, codes[second], share, subgroups, part)
    yield ("finetuning", "labels"), size, possible, f"{what} (finetuning.protocol.draws, evaluation.selection)"


def _cohort(pretraining: Pretraining, subgroups: list[str]) -> NDArray[np.int64]:
    """``2 * subgroup + label`` of every member of a cohort."""
    shares = [np.float32(pretraining.shares.get(name, 0.0)) for name in subgroups]
    shifts = in_order(pretraining.shifts, subgroups)
    odds = [math.exp(shift.prevalence) for shift in shifts] or [1.0] * len(subgroups)
    prevalences = [np.float32(shifted_prevalence(float(pretraining.prevalence), ratio)) for ratio in odds]
    subgroup, label = people.slots(np.arange(int(pretraining.cohort), dtype=np.uint32), shares, prevalences)
    return 2 * subgroup.astype(np.int64) + label


def _message(
    size: int, words: str, possible: int, codes: NDArray, available: NDArray, subgroups: list[str], part: str
) -> str:
    """What to say of a set that is too large."""
    if possible >= size:
        return ""
    g, label = divmod(int(codes[min(possible * max(len(codes) // max(size, 1), 1), len(codes) - 1)]), 2)
    scarce = f"{subgroups[g]} {'with' if label else 'without'} the disease"
    who = "images" if part == "pretraining" else "people"
    return (
        f"needs {size:,} {who}{words} and the table has enough for {possible:,}: "
        f"{int(available[g, label]):,} of {scarce} are in its part for {part}"
    )
