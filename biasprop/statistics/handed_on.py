"""What an encoder hands on against what it is worth, condition by condition, from the estimands of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.correlation import disjoint_correlation
from biasprop.statistics.estimand import Arm, Estimand
from biasprop.statistics.intervals import Interval
from biasprop.statistics.paired import Paired, paired

WORTH, OWN_EFFECT, EXCESS_GAP = "worth", "own_representation", "excess_gap"
"""Kinds of estimands that are compared: the first against each of the others."""


class HandedOn(NamedTuple):
    """The worth of pretraining and a quantity that it hands on, at the same conditions."""

    kind: str
    """Kind of what is handed on."""
    subgroup: str
    """Its subgroup; empty for an excess gap, which is set against the mean worth of both of its subgroups."""
    arms: tuple[Arm, ...]
    """[condition] factor -> level."""
    worth: NDArray[np.float64]
    """[replicate, condition]"""
    values: NDArray[np.float64]
    """[replicate, condition]"""

    def only(self, **levels: object) -> HandedOn:
        """Return the conditions at some levels."""
        chosen = [i for i, arm in enumerate(self.arms) if levels.items() <= arm.items()]
        arms = tuple(self.arms[i] for i in chosen)
        return self._replace(arms=arms, worth=self.worth[:, chosen], values=self.values[:, chosen])

    def disjoint(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the worth in even replicates and the quantity in odd ones, which have no noise in common."""
        return self.worth[0::2], self.values[1::2]

    def correlation(self) -> Interval:
        """Return the correlation over conditions of the true values (:func:`disjoint_correlation`)."""
        return disjoint_correlation(self.worth, self.values)


def handed_on(measures: xr.Dataset, estimands: Sequence[Estimand]) -> list[HandedOn]:
    """Return what pretraining hands on and what it is worth, at every condition that both are stated for.

    Args:
        measures: from ``statistics.measures.measure``.
        estimands: of the study. Of each kind, the one that covers the most arms counts; a worth and an excess gap have
            to fix the level of pretraining that they are of.

    Returns:
        An entry for each subgroup of the own-representation effect, then one for the excess gap; empty without a worth.
    """
    worth = _widest(measures, estimands, WORTH)
    found = []
    for kind in (OWN_EFFECT, EXCESS_GAP):
        stated = _widest(measures, estimands, kind)
        for subgroups in dict.fromkeys(one.subgroups for one in stated):
            pairs = [
                (one, of_it) for one in stated if one.subgroups == subgroups if (of_it := at_condition(worth, one))
            ]
            if pairs:
                found.append(
                    HandedOn(
                        kind,
                        subgroups[0] if len(subgroups) == 1 else "",
                        tuple(_without_level(one) for one, _ in pairs),
                        np.stack([np.mean([each.values for each in of_it], axis=0) for _, of_it in pairs], axis=1),
                        np.stack([one.values for one, _ in pairs], axis=1),
                    )
                )
    return found


def _widest(measures: xr.Dataset, estimands: Sequence[Estimand], kind: str) -> list[Paired]:
    """The values of the estimand of a kind that covers the most arms."""
    stated = [e for e in estimands if e.kind == kind and e.scale == "z"]
    usable = [e for e in stated if e.compared_with is None or e.compared_with[0] in e.at]
    return max((paired(measures, e) for e in usable), key=len, default=[])


def at_condition(worth: Sequence[Paired], other: Paired) -> list[Paired]:
    """Return the worth of the subgroups of another contrast, at its condition: its arm without the level of
    pretraining, of which a worth may fix fewer factors."""
    condition = _without_level(other)
    return [
        one for one in worth if one.subgroups[0] in other.subgroups and _without_level(one).items() <= condition.items()
    ]


def _without_level(one: Paired) -> Arm:
    """An arm without the level of pretraining that it is of."""
    compared = one.estimand.compared_with
    return {name: level for name, level in one.arm.items() if compared is None or name != compared[0]}
