"""Who is in each set of subjects: rosters in exact counts, the same for every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from biasprop.population import sampling
from biasprop.population.shifts import Shift, in_order

if TYPE_CHECKING:
    from biasprop.study.conditions import Evaluation, Finetuning


class Roster(NamedTuple):
    """Who is in a set: the same for every cell, decided on the host in exact counts."""

    subgroup: np.ndarray
    label: np.ndarray
    """The truth."""
    recorded: np.ndarray
    """What whoever learns is told."""
    shifts: tuple[Shift, ...] = ()
    """Of every subgroup, by its index; empty where nothing is shifted."""


def rosters(finetuning: Finetuning, evaluation: Evaluation, subgroups: list[str], pool: int) -> dict[str, Roster]:
    """Who is in each set. Selection follows the labels' population and its records; calibration and test are balanced.

    What the evaluation shifts moves those who calibrate and test, whose labels are the truth here
    (:func:`biasprop.population.sampling.test_labels` tells what the test is judged against).
    """
    shares = {name: float(finetuning.shares.get(name, 0.0)) for name in subgroups}
    prevalence = float(finetuning.prevalence)
    equal = {name: 1 / len(subgroups) for name in subgroups}
    learning, judging = in_order(finetuning.shifts, subgroups), in_order(evaluation.shifts, subgroups)

    def labelled(n: int) -> Roster:
        subgroup, label = sampling.exact_counts(shares, prevalence, n, learning)
        return Roster(subgroup, label, sampling.recorded_labels(subgroup, label, learning), learning)

    subgroup, label = sampling.exact_counts(equal, 0.5, evaluation.calibration, judging)
    anyone, half = sampling.exact_counts({"any": 1.0}, 0.5, evaluation.test)
    return {
        "train": labelled(pool),
        "selection": labelled(evaluation.selection),
        "calibration": Roster(subgroup, label, label, judging),
        "test": Roster(anyone, half, half, judging),
    }


def test_labels(evaluation: Evaluation, subgroups: Sequence[str]) -> np.ndarray | None:
    """What the twins on the test roster are judged against (:func:`biasprop.population.sampling.test_labels`):
    [subgroup, subject]; None where that is the truth."""
    if not evaluation.shifts:
        return None
    _, truth = sampling.exact_counts({"any": 1.0}, 0.5, evaluation.test)
    labels = sampling.test_labels(truth, in_order(evaluation.shifts, subgroups))
    return None if (labels == truth).all() else labels
