"""Kinds of estimands: what a study can state that it measures. NumPy, SciPy and xarray, no JAX.

A kind is a class derived from :class:`biasprop.statistics.estimand.Estimand`, in a file of its own. The class is the
table of a study file and its documentation, and defines everything about the kind:

- its fields, marked with what of the study they name (a factor, levels, an arm), and what is wrong with them
  (``problems``, ``mistakes``);
- ``subgroup_sets`` and ``reduce``: what is contrasted, a gap between two subgroups, the level of one, or the levels of
  several;
- ``arms`` and ``values``: the arms it needs, and one value per replicate, NaN where a replicate lacks an arm;
- ``unit``, ``digits``, ``favours_a`` (expected sign) and ``interval``;
- ``default_margin`` and ``margin_reason``, and ``tested``: whether an estimand of it can be primary or secondary. A
  kind that cannot may define ``untested``, which makes its estimate.
- ``phrase``: the sentence that says an estimate in plain words;

Kinds that read a number of labels off a learning curve derive from ``curve_reading.ReadOffCurve``, which makes the
estimate.

Study files, their checks and JSON schema, tables, figures and texts read that. Means, intervals and zones
are those of ``biasprop.statistics``.

To add a kind, write it in a file of its own and add one line to :data:`ESTIMANDS`. Contract:
``tests/estimands/test_estimand_contract.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biasprop.estimands.amplification import Amplification
from biasprop.estimands.best_minus_worst import BestMinusWorst
from biasprop.estimands.common_gap import CommonGap
from biasprop.estimands.difference import Difference
from biasprop.estimands.difference_from_best import DifferenceFromBest
from biasprop.estimands.excess_gap import ExcessGap
from biasprop.estimands.exchange_rate import ExchangeRate
from biasprop.estimands.gap import Gap
from biasprop.estimands.halving_budget import HalvingBudget
from biasprop.estimands.interaction import Interaction
from biasprop.estimands.joint_effect import JointEffect
from biasprop.estimands.label_efficiency import LabelEfficiency
from biasprop.estimands.level_effect import LevelEffect
from biasprop.estimands.own_representation import OwnRepresentation
from biasprop.estimands.retention import Retention
from biasprop.estimands.shapley_share import ShapleyShare
from biasprop.estimands.sign_share import SignShare
from biasprop.estimands.swap_contrast import SwapContrast
from biasprop.estimands.worth import Worth
from biasprop.statistics.estimand import Estimand

ESTIMANDS: Mapping[str, type[Estimand]] = {
    "gap": Gap,
    "interaction": Interaction,
    "excess_gap": ExcessGap,
    "swap_contrast": SwapContrast,
    "common_gap": CommonGap,
    "own_representation": OwnRepresentation,
    "level_effect": LevelEffect,
    "worth": Worth,
    "difference": Difference,
    "difference_from_best": DifferenceFromBest,
    "retention": Retention,
    "halving_budget": HalvingBudget,
    "amplification": Amplification,
    "exchange_rate": ExchangeRate,
    "label_efficiency": LabelEfficiency,
    "sign_share": SignShare,
    "joint_effect": JointEffect,
    "shapley_share": ShapleyShare,
    "best_minus_worst": BestMinusWorst,
}
"""Kind -> class."""


def estimand(kind: str, **fields: Any) -> Estimand:
    """Return an estimand, as a table of a study file with these keys gives it.

    Args:
        kind: a key of :data:`ESTIMANDS`.
        fields: of that kind.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or wrong.
    """
    return ESTIMANDS[kind](kind=kind, **fields)


__all__ = ["ESTIMANDS", "estimand"]
