"""From factors and levels to what is run: cells (one pretraining condition and replicate) and the arms on each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasprop.component import InputError
from biasprop.hardware import memory
from biasprop.study.conditions import FinetuningCondition, PretrainingCondition
from biasprop.study.coords import coords
from biasprop.study.factors import PRETRAINING_SIDE, Label, Level, combinations, content
from biasprop.study.location import get_at
from biasprop.study.problems import suggestion
from biasprop.study.study import Study
from biasprop.terminal import clipped, quoted_option

if TYPE_CHECKING:
    from biasprop.store.layout import Layout


@dataclass(frozen=True)
class Arm:
    """One fine-tuning condition on a cell, with all its draws: the unit of storage."""

    levels: dict[str, Label]
    """Factor -> label of its level, in the study's order: the position of the arm in the cube."""
    condition: FinetuningCondition

    @property
    def name(self) -> str:
        """Name of the arm in messages."""
        return ", ".join(f"{factor} {_in_list(label)}" for factor, label in self.levels.items())

    @property
    def draws(self) -> int:
        """Planned number of label sets."""
        return planned_draws(self.condition)


@dataclass(frozen=True)
class Cell:
    """One pretraining condition and replicate, and everything that starts from its encoder: the unit of scheduling."""

    condition: PretrainingCondition
    replicate: int
    arms: tuple[Arm, ...]
    label: str
    """The levels that make its pretraining condition, such as ``all dark``."""

    @property
    def name(self) -> str:
        """Name of the cell in messages."""
        return f"{self.label}, replicate {self.replicate}"


def cells(study: Study, only: Mapping[str, Sequence[Label]] | None = None) -> list[Cell]:
    """The cells of a study, replicate by replicate, so that early replicates are completed first.

    Args:
        study: a valid study.
        only: factor -> levels to keep, from :func:`parse_choices`; a factor left out keeps all its levels.
    """
    chosen = {name: [x for x in study.levels(name) if _level_is_chosen(name, x.label, only)] for name in study.factors}
    settings = [_by_pretraining(study, chosen, setting) for setting in study.sampled()]  # one, or one for a replicate
    return [
        Cell(condition, replicate, tuple(arms), label)
        for replicate in range(study.replicates)
        for condition, label, arms in settings[replicate % len(settings)]
    ]


def _by_pretraining(
    study: Study, chosen: Mapping[str, Sequence[Level]], setting: Mapping[str, Level]
) -> list[tuple[PretrainingCondition, str, list[Arm]]]:
    """The pretraining conditions of a setting, each with its label and arms."""
    grouped: dict[str, tuple[PretrainingCondition, str, list[Arm]]] = {}
    for levels in combinations(chosen):
        conditions = study.with_levels({**levels, **setting})
        pretraining = conditions.pretraining_condition()
        arm = Arm({name: level.label for name, level in levels.items()}, conditions.finetuning_condition())
        key = content(pretraining.model_dump(mode="json"))
        grouped.setdefault(key, (pretraining, _cell_label(levels), []))[2].append(arm)
    return list(grouped.values())


def is_chosen(arm: Arm, only: Mapping[str, Sequence[Label]] | None) -> bool:
    """Whether an arm is among the chosen levels."""
    return all(_level_is_chosen(name, label, only) for name, label in arm.levels.items())


def arms(study: Study, only: Mapping[str, Sequence[Label]] | None = None) -> list[tuple[Cell, Arm]]:
    """Every arm with its cell, in the order of :func:`cells`."""
    return [(cell, arm) for cell in cells(study, only) for arm in cell.arms]


def parse_choices(study: Study, assignments: Sequence[str], option: str = "--only") -> dict[str, list[Label]]:
    """Read ``FACTOR=LEVEL`` choices.

    Args:
        study: has the factors.
        assignments: one choice each; several of one factor choose all of those levels.
        option: of the command line, for messages.

    Returns:
        Factor -> labels to keep; empty keeps everything.

    Raises:
        InputError: there is no such factor or level.
    """
    chosen: dict[str, list[Label]] = {}
    problems: list[str] = []
    for assignment in assignments:
        stated = quoted_option(option, assignment)
        name, equals, wanted = (part.strip() for part in assignment.partition("="))
        if not equals:
            problems.append(f"{stated}: has to be FACTOR=LEVEL; {suggestion(name, study.factors)}")
            continue
        if name not in study.factors:
            problems.append(f"{stated}: there is no factor {clipped(name)!r}; {suggestion(name, study.factors)}")
            continue
        labels = [level.label for level in study.levels(name)]
        match = next((label for label in labels if _reads_as(wanted, label)), None)
        if match is None:
            problems.append(f"{stated}: {name} has no level {clipped(wanted)!r}; {suggestion(wanted, labels)}")
        elif match not in chosen.setdefault(name, []):
            chosen[name].append(match)
    if problems:
        raise InputError(problems)
    return chosen


def layout(study: Study) -> Layout:
    """The shape of the study's cube."""
    from biasprop.store.layout import Factor, Layout  # here, because a plan needs cells but not zarr

    factors, every = [], []
    for name in study.factors:
        levels = []
        for level in study.levels(name):
            conditions = study.with_levels({name: level})
            every.append(conditions)
            dumped = conditions.tables()
            levels.append(
                (level.label, content({".".join(map(str, key)): get_at(dumped, key) for key in study.content(level)}))
            )
        factors.append(Factor(name, tuple(levels)))
    if study.sample:
        every += [study.with_levels(setting) for setting in study.sampled()]
    return Layout(
        factors=tuple(factors),
        replicates=study.replicates,
        draws=max(planned_draws(conditions.finetuning_condition()) for conditions in every),
        subgroups=study.subgroups,
        latents=tuple(study.generator.latent_names),
        test=study.evaluation.test,
        selection=study.evaluation.selection,
        calibration=study.evaluation.calibration,
        coords=coords(study),
    )


def bytes_per_cell(study: Study) -> float:
    """Peak memory of the largest cell in bytes, see :func:`biasprop.hardware.memory.image_bytes`."""
    every = cells(study)
    largest = largest_cohort(every)
    stages = [stage for cell in every for stage in cell.condition.stages()]
    cohort = max(
        (memory.cached_members(stage, largest) * memory.images_per_subject(stage) for stage in stages), default=0
    )
    labels = max(int(arm.condition.finetuning.labels) for cell in every for arm in cell.arms)
    conditions = {id(cell.condition): cell.condition for cell in every}  # replicates of one setting share theirs
    return max(memory.image_bytes(condition, cohort, labels, study.evaluation) for condition in conditions.values())


def largest_cohort(every: Sequence[Cell]) -> int:
    """Size of the largest pretraining cohort of these cells."""
    return max(int(cell.condition.pretraining.cohort) for cell in every)


def planned_draws(condition: FinetuningCondition) -> int:
    """Number of label sets that an arm draws in each replicate."""
    return condition.finetuning.protocol.draws


def _cell_label(levels: Mapping[str, Level]) -> str:
    named = [_in_list(level.label) for level in levels.values() if level.sides() & set(PRETRAINING_SIDE)]
    return ", ".join(named) or "base"


def _in_list(label: Label) -> str:
    """A label as part of a list that is separated by commas, in quotes if it has a comma or a quote itself: lists of
    different labels differ, and cells and arms are told apart by them."""
    text = str(label)
    return json.dumps(text, ensure_ascii=False) if "," in text or text.startswith('"') else text


def _level_is_chosen(name: str, label: Label, only: Mapping[str, Sequence[Label]] | None) -> bool:
    return only is None or name not in only or label in only[name]


def _reads_as(text: str, label: Label) -> bool:
    """Whether the text of a command line names a label; numbers are compared as numbers."""
    if isinstance(label, str):
        return text == label
    try:
        return float(text) == float(label)
    except ValueError:
        return False
