"""What the primary margin of a study comes to in patients, as a sentence for its tables and its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SCALES_OF_AUC = ("z", "auc")
"""Scales on which a margin can be said in patients."""


def margin_in_patients(
    estimates: Sequence[Mapping[str, Any]], levels: Sequence[tuple[Mapping[str, Any], Mapping[str, float]]], at: float
) -> str:
    """Return what the margin of the primary estimate comes to at the AUC that was observed.

    Args:
        estimates: of the study, each a mapping with the fields of :class:`biasprop.statistics.summary.Estimate`.
        levels: (arm, subgroup -> AUC) of every arm; NaN = not known.
        at: target specificity of the study, in (0, 1].

    Returns:
        One sentence; empty without a primary estimate on z or AUC, where its arms have no AUC yet, or at a specificity
        of 1.
    """
    from biasprop.estimands import ESTIMANDS
    from biasprop.metrics import sensitivity_loss, z_of_auc

    primary = next((one for one in estimates if one["role"] == "primary"), None)
    if primary is None or ESTIMANDS[primary["kind"]].unit or primary["scale"] not in SCALES_OF_AUC or at >= 1:
        return ""
    arms = [areas for arm, areas in levels if primary["arm"].items() <= arm.items()]
    known = [areas[name] for areas in arms for name in primary["subgroups"] if not math.isnan(areas[name])]
    if not known:
        return ""
    margin, mean = primary["margin"], sum(known) / len(known)
    pairs = 10**6  # so that an AUC of 1 has a z
    lowered = mean - margin if primary["scale"] == "auc" else mean
    z, z_lowered = (float(z_of_auc(min(max(auc, 0.0), 1.0), pairs, pairs // 2)[0]) for auc in (mean, lowered))
    loss = z - z_lowered if primary["scale"] == "auc" else margin
    missed = 100 * float(sensitivity_loss(z, loss, at))
    return (
        f"The primary margin, {margin:g} on {primary['scale']}: a subgroup that loses this much from the mean AUC of "
        f"{mean:.3f} has {missed:.1f} more missed among 100 diseased people at the target specificity of {at:g} "
        "(binormal model with equal variances)."
    )
