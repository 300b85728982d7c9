"""Estimates of a study's estimands: value, plain interval, the interval that decides and the verdict for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from biasprop.statistics.estimand import Estimand
from biasprop.statistics.paired import Paired, paired
from biasprop.statistics.summary import NAN, Estimate
from biasprop.statistics.tests import ALPHA, MAX_REPLICATES, replicates_to_resolve
from biasprop.statistics.verdict import NEGLIGIBLE, NOT_RESOLVED, leaves_out_zero, zone


def estimates(measures: xr.Dataset, estimands: Sequence[Estimand]) -> list[Estimate]:
    """Estimate every estimand, once for each arm it applies to.

    Draws are averaged within a replicate on the estimand's scale first; the replicate is the unit. One interval decides
    the verdict: the plain 95 % one for the primary estimand, for secondary ones that of level 1 - 5 % / (number of all
    their estimates). Estimates that are missing count in that number, so that the verdicts of a study that is partly
    run are no more lenient than those of the whole.

    Args:
        measures: from ``measure``; its cube may be partly filled.
        estimands: of the study, in its order.

    Returns:
        One estimate per estimand and arm, in the order of the estimands and the cube's levels. Where arms are missing,
        the value is NaN and the reason says what is missing.
    """
    contrasts = [contrast for estimand in estimands for contrast in paired(measures, estimand)]
    family = sum(contrast.estimand.secondary for contrast in contrasts)
    return [estimated(contrast, family) for contrast in contrasts]


def estimated(contrast: Paired, family: int = 1) -> Estimate:
    """Estimate one estimand at one arm.

    Args:
        contrast: its values.
        family: number of estimates of all secondary estimands together.
    """
    estimand = contrast.estimand
    empty = _empty(contrast)
    if not estimand.tested and (found := estimand.untested(contrast, empty)):
        return found
    plain = contrast.interval(1 - ALPHA)
    # Without replicates, one reason is enough.
    interval_reason = plain.reason if empty.replicates or not contrast.reason else ""
    found = replace(
        empty,
        value=plain.value,
        low=plain.low,
        high=plain.high,
        se=plain.se,
        method=plain.method,
        reason="; ".join(part for part in (contrast.reason, interval_reason) if part),
    )
    return (
        found
        if estimand.role == "exploratory"
        else _decided(contrast, found, ALPHA / (family if estimand.secondary else 1))
    )


def _decided(contrast: Paired, found: Estimate, alpha: float) -> Estimate:
    """Add the interval of level 1 - alpha, the verdict that follows from it, and what the verdict leaves open."""
    deciding = contrast.interval(1 - alpha)
    low, high = deciding.low, deciding.high
    verdict = zone(low, high, found.margin) or NOT_RESOLVED
    notes = [found.reason]
    if verdict == NEGLIGIBLE and leaves_out_zero(low, high):
        notes.append("leaves out 0")
    if leaves_out_zero(low, high) and contrast.estimand.expected * found.value < 0:
        notes.append("against the expected sign")
    if verdict == NOT_RESOLVED and np.isfinite(found.se):
        notes.append(_needed(contrast, found, alpha))
    reason = "; ".join(note for note in notes if note)
    return replace(found, zone_low=low, zone_high=high, verdict=verdict, reason=reason)


def _needed(contrast: Paired, found: Estimate, alpha: float) -> str:
    """How many replicates would resolve it, with 80 % power, so that a study of that size can still fail to."""
    values = contrast.values if contrast.denominator is None else contrast.values / np.nanmean(contrast.denominator)
    needed = replicates_to_resolve(found.value, float(np.nanstd(values, ddof=1)), found.margin, alpha)
    if needed is None:
        return f"more than {MAX_REPLICATES} replicates would be needed"
    return f"a new study of about {max(needed, found.replicates + 1)} replicates would resolve it"


def _empty(contrast: Paired) -> Estimate:
    """An estimate with name, arm and number of replicates, and no value."""
    estimand = contrast.estimand
    values = contrast.values.reshape(len(contrast.values), -1)
    margin = estimand.margin_used
    return Estimate(
        name=estimand.name,
        kind=estimand.kind,
        subgroups=contrast.subgroups,
        arm=contrast.arm,
        scale=estimand.scale,
        margin=NAN if margin is None else margin,
        role=estimand.role,
        replicates=int((~np.isnan(values).any(axis=1)).sum()),
        reason=contrast.reason,
    )
