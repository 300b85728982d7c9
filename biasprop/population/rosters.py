"""Rosters: the subjects of the labelled, validation, calibration and test sets, in exact counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from biasprop.interfaces import Part
from biasprop.population import people, sampling
from biasprop.population.people import Places
from biasprop.population.shifts import Shift, in_order, of_subjects, with_missed

if TYPE_CHECKING:
    from biasprop.study.conditions import Evaluation, Finetuning


class Roster(NamedTuple):
    """The subjects of one set; the same for every cell, listed on the host in exact counts."""

    subgroup: np.ndarray
    label: np.ndarray
    """True label."""
    recorded: np.ndarray
    """Recorded label, which training and validation use: [n], or [cell, n] where label errors differ between
    replicates."""
    shifts: tuple[Shift, ...] = ()
    """Shift of every subgroup, by index; empty if nothing is shifted."""
    disease: int | None = None
    """Index of the disease, among the generator's, that labels are of; None for the first."""
    places: Places | None = None
    """Which people of the generator's table they are; None where subjects are simulated."""

    def of_draw(self, draw: int) -> Roster:
        """The roster of one of several draws: people of a table that no other draw has."""
        return self if self.places is None else self._replace(places=self.places.of_draw(draw))

    def recorded_in(self, cells: int) -> np.ndarray:
        """Recorded label in each of some cells: [cell, n]."""
        return np.broadcast_to(self.recorded, (cells, len(self.label)))


def rosters(
    finetuning: Finetuning,
    evaluation: Evaluation,
    subgroups: list[str],
    pool: int,
    diseases: Sequence[str] = ("",),
    missed: np.ndarray | None = None,
    of_people: bool = False,
) -> dict[str, Roster]:
    """Rosters ``train``, ``selection``, ``calibration`` and ``test``.

    The validation set (``selection``) has the population and recorded labels of the labelled set; calibration and test
    sets are balanced. Evaluation shifts apply to calibration and test subjects, whose labels here are the true ones
    (:func:`test_labels` gives the labels the test is scored against).

    Args:
        finetuning, evaluation: conditions of the arm.
        subgroups: names, in order.
        pool: length of the labelled set.
        diseases: names of the generator's diseases.
        missed: [cell, subgroup] P(recorded healthy | diseased) that each cell's replicate has drawn, in addition to
            that of the shifts; None without random attributes.
        of_people: whether subjects are people of a table; those of different sets are then different people.
    """
    shares = {name: float(finetuning.shares.get(name, 0.0)) for name in subgroups}
    prevalence = float(finetuning.prevalence)
    equal = {name: 1 / len(subgroups) for name in subgroups}
    label_shifts = in_order(finetuning.shifts, subgroups)
    test_shifts = in_order(of_subjects(evaluation.shifts), subgroups)

    def labelled(n: int) -> Roster:
        subgroup, label = sampling.exact_counts(shares, prevalence, n, label_shifts)
        if missed is None:
            return Roster(subgroup, label, sampling.recorded_labels(subgroup, label, label_shifts), label_shifts)
        recorded = [sampling.recorded_labels(subgroup, label, with_missed(label_shifts, drawn)) for drawn in missed]
        return Roster(subgroup, label, np.stack(recorded), label_shifts)

    subgroup, label = sampling.exact_counts(equal, 0.5, evaluation.calibration, test_shifts)
    no_subgroup, test_label = sampling.exact_counts({"any": 1.0}, 0.5, evaluation.test)  # twins get every subgroup
    sets = {
        "train": labelled(pool),
        "selection": labelled(evaluation.selection),
        "calibration": Roster(subgroup, label, label, test_shifts),
        "test": Roster(no_subgroup, test_label, test_label, test_shifts),
    }
    if of_people:
        sets = with_places(sets, len(subgroups))
    disease = finetuning.task.disease_index(diseases)
    return {name: roster._replace(disease=disease) for name, roster in sets.items()}


def with_places(sets: dict[str, Roster], subgroups: int) -> dict[str, Roster]:
    """Rosters of people of a table: the validation set, then the labelled sets of all draws; the calibration set, then
    the test set, which has as many people of every subgroup.

    Args:
        sets: from :func:`rosters`.
        subgroups: number of subgroups.
    """

    def placed(name: str, part: Part, after: str | None = None) -> Roster:
        roster, other = sets[name], sets[after] if after else None
        before = None if other is None else people.counted(other.subgroup, other.label, subgroups)
        return roster._replace(places=people.places(part, roster.subgroup, roster.label, subgroups, before))

    return {
        "train": placed("train", Part.FINETUNING, "selection"),
        "selection": placed("selection", Part.FINETUNING),
        "calibration": placed("calibration", Part.EVALUATION),
        "test": placed("test", Part.EVALUATION, "calibration"),
    }


def test_labels(evaluation: Evaluation, subgroups: Sequence[str]) -> np.ndarray | None:
    """Labels that the test twins are scored against (:func:`biasprop.population.sampling.test_labels`):
    [subgroup, subject]; None if they are the true labels."""
    if not evaluation.shifts:
        return None
    _, truth = sampling.exact_counts({"any": 1.0}, 0.5, evaluation.test)
    labels = sampling.test_labels(truth, in_order(evaluation.shifts, subgroups))
    return None if (labels == truth).all() else labels
