"""Estimates of a study's estimands: value, unadjusted and adjusted interval, tests and verdict for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.estimand import Estimand
from biasprop.statistics.paired import Paired, paired
from biasprop.statistics.summary import NAN, Estimate
from biasprop.statistics.tests import ALPHA, holm, replicates_to_resolve
from biasprop.statistics.verdict import NOT_RESOLVED, verdict


def estimates(measures: xr.Dataset, estimands: Sequence[Estimand]) -> list[Estimate]:
    """Estimate every estimand, once for each arm it applies to.

    Draws are averaged within a replicate on the estimand's scale first; the replicate is the unit. The primary estimand
    is tested unadjusted at 5 %; all others are adjusted by Holm's procedure, difference tests and equivalence tests
    separately.

    Args:
        measures: from ``measure``; its cube may be partly filled.
        estimands: of the study, in its order.

    Returns:
        One estimate per estimand and arm, in the order of the estimands and the cube's levels. Where arms are missing,
        the value is NaN and the reason says what is missing.
    """
    contrasts = [contrast for estimand in estimands for contrast in paired(measures, estimand)]
    tested = [c for c in contrasts if c.estimand.tested]
    p = np.array([c.tests() for c in tested]).reshape(-1, 2)
    adjusted, holm_factor = adjust(p, np.array([c.estimand.primary for c in tested], bool))
    with_tests = {id(c): _tested(c, p[i], adjusted[i], holm_factor[i]) for i, c in enumerate(tested)}
    return [with_tests[id(c)] if c.estimand.tested else estimated(c) for c in contrasts]


def adjust(p: NDArray, primary: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply Holm's procedure to all but the primary estimand, to each kind of test separately.

    Args:
        p: [estimate, test] p values of the difference and the equivalence tests; NaN = not available.
        primary: [estimate], whether it is tested unadjusted.

    Returns:
        Adjusted p values and the factors of :func:`holm` (1 for the primary estimand), both [estimate, test].
    """
    adjusted, holm_factor = p.copy(), np.ones_like(p)
    for column in range(p.shape[1]):
        adjusted[~primary, column], holm_factor[~primary, column] = holm(p[~primary, column])
    return adjusted, holm_factor


def _tested(contrast: Paired, p: NDArray, adjusted: NDArray, holm_factor: NDArray) -> Estimate:
    estimand = contrast.estimand
    unadjusted = contrast.interval(1 - ALPHA)
    alpha = ALPHA / holm_factor[0] if np.isfinite(holm_factor[0]) else NAN
    adjusted_interval = contrast.interval(1 - alpha) if np.isfinite(alpha) else unadjusted._replace(low=NAN, high=NAN)
    empty = _empty(contrast)
    verdict_word, remark = verdict(unadjusted.value, adjusted[0], adjusted[1], estimand.expected, ALPHA)
    if verdict_word == NOT_RESOLVED and np.isfinite(unadjusted.se) and np.isfinite(alpha):
        scaled = contrast.values if contrast.denominator is None else contrast.values / np.nanmean(contrast.denominator)
        needed = replicates_to_resolve(unadjusted.value, float(np.nanstd(scaled, ddof=1)), estimand.margin, alpha)
        remark = "more than 10000 replicates would be needed"
        if needed:  # with 80 % power, so a study of that size can still fail to resolve it
            remark = f"about {max(needed, empty.replicates + 1)} replicates would resolve it"
        if max(-adjusted_interval.low, adjusted_interval.high) < estimand.margin:
            remark += "; its adjusted interval is inside the margin, but its adjusted equivalence test (p inside) fails"
    # Without replicates, one reason is enough.
    interval_reason = unadjusted.reason if empty.replicates or not contrast.reason else ""
    return replace(
        empty,
        value=unadjusted.value,
        low=unadjusted.low,
        high=unadjusted.high,
        adjusted_low=adjusted_interval.low,
        adjusted_high=adjusted_interval.high,
        zone_low=NAN if empty.role == "exploratory" else adjusted_interval.low,
        zone_high=NAN if empty.role == "exploratory" else adjusted_interval.high,
        se=unadjusted.se,
        method=unadjusted.method,
        p_difference=float(p[0]),
        p_equivalence=float(p[1]),
        adjusted_p_difference=float(adjusted[0]),
        adjusted_p_equivalence=float(adjusted[1]),
        verdict=verdict_word,
        reason="; ".join(part for part in (contrast.reason, interval_reason, remark) if part),
    )


def estimated(contrast: Paired) -> Estimate:
    """Return the estimate of a kind without tests."""
    return contrast.estimand.untested(contrast, _empty(contrast))


def _empty(contrast: Paired) -> Estimate:
    """An estimate with name, arm and number of replicates, and no value."""
    estimand = contrast.estimand
    values = contrast.values.reshape(len(contrast.values), -1)
    return Estimate(
        name=estimand.name,
        kind=estimand.kind,
        subgroups=contrast.subgroups,
        arm=contrast.arm,
        scale=estimand.scale,
        margin=estimand.margin,
        primary=estimand.primary,
        role="primary" if estimand.primary else ("secondary" if estimand.secondary else "exploratory"),
        replicates=int((~np.isnan(values).any(axis=1)).sum()),
        reason=contrast.reason,
    )
