"""Estimates of a study's estimands: value, unadjusted and adjusted interval, tests and verdict for each arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.contrasts import halving_budget
from biasprop.statistics.estimand import KINDS, Estimand
from biasprop.statistics.paired import Paired, paired
from biasprop.statistics.summary import NAN, Estimate
from biasprop.statistics.tests import ALPHA, difference_p, holm, replicates_to_resolve
from biasprop.statistics.verdict import NOT_REACHED, NOT_RESOLVED, REACHED, verdict


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
    tested = [c for c in contrasts if KINDS[c.estimand.kind].tested]
    p = np.array([c.tests() for c in tested]).reshape(-1, 2)
    adjusted, holm_factor = adjust(p, np.array([c.estimand.primary for c in tested], bool))
    with_tests = {id(c): _tested(c, p[i], adjusted[i], holm_factor[i]) for i, c in enumerate(tested)}
    return [with_tests[id(c)] if id(c) in with_tests else UNTESTED[c.estimand.kind](c) for c in contrasts]


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
        se=unadjusted.se,
        method=unadjusted.method,
        p_difference=float(p[0]),
        p_equivalence=float(p[1]),
        adjusted_p_difference=float(adjusted[0]),
        adjusted_p_equivalence=float(adjusted[1]),
        verdict=verdict_word,
        reason="; ".join(part for part in (contrast.reason, interval_reason, remark) if part),
    )


def halving(contrast: Paired) -> Estimate:
    """Estimate the halving budget of the mean curve, without an interval, because none with nominal coverage is known.

    The value is NaN unless the largest swap contrast of the curve differs from 0, tested at 5 % / number of budgets,
    because the largest of several passes a test at 5 % too easily. The reason lists the halving budgets of single
    replicates.

    Args:
        contrast: values [replicate, budget].
    """
    empty = replace(_empty(contrast), method="means")
    curves = contrast.values.reshape(len(contrast.values), -1)
    curves = curves[~np.isnan(curves).any(axis=1)]
    if not len(curves) or not contrast.budgets:
        return empty
    value, budget_of_largest = halving_budget(curves.mean(axis=0), contrast.budgets)
    largest = curves[:, contrast.budgets.index(budget_of_largest)]
    if not difference_p(largest) < ALPHA / len(contrast.budgets):
        reason = f"the largest swap contrast, at {budget_of_largest:g} labels, is not distinguishable from 0"
        return replace(empty, reason="; ".join(part for part in (contrast.reason, reason) if part))
    counts = Counter(halving_budget(curve, contrast.budgets)[0] for curve in curves)
    reached_at = ", ".join(
        f"{count} at {budget:g}" for budget, count in sorted((b, c) for b, c in counts.items() if not np.isnan(b))
    )
    reached = sum(count for budget, count in counts.items() if not np.isnan(budget))
    reason = f"halving budgets of single replicates: {reached_at or 'none'}" + f", {len(curves) - reached} not reached"
    return replace(
        empty,
        value=value,
        verdict=NOT_REACHED if np.isnan(value) else REACHED,
        reason="; ".join(part for part in (contrast.reason, reason) if part),
    )


def efficiency(contrast: Paired) -> Estimate:
    """Estimate the label-efficiency ratio: the median over replicates, with the interval of a median.

    A median is NaN if the reference reaches the AUC at no budget or already at its smallest; the reason says so, and
    the interval has the finite bound where there is one.
    """
    empty, interval = _empty(contrast), contrast.interval(1 - ALPHA)
    if not empty.replicates:
        return replace(empty, method=interval.method)
    ratios = contrast.values[~np.isnan(contrast.values)]
    beyond, below = int(np.isinf(ratios).sum()), int((ratios == 0).sum())
    reasons = [contrast.reason, interval.reason]
    if beyond:
        reasons.append(f"the reference never reaches this AUC in {beyond} of {len(ratios)} replicates")
    if below:
        reasons.append(
            f"the reference reaches this AUC already with its fewest labels in {below} of {len(ratios)} replicates"
        )
    is_number = 0 < interval.value < np.inf
    return replace(
        empty,
        value=interval.value if is_number else NAN,
        low=interval.low,
        high=interval.high,
        method=interval.method,
        verdict=NOT_REACHED if np.isinf(interval.value) else REACHED,
        reason="; ".join(part for part in reasons if part),
    )


UNTESTED = {"halving_budget": halving, "label_efficiency": efficiency}
"""Kind -> function that estimates it, for kinds without tests."""


def _empty(contrast: Paired) -> Estimate:
    """An estimate with name, arm and number of replicates, and no value."""
    estimand = contrast.estimand
    values = contrast.values.reshape(len(contrast.values), -1)
    return Estimate(
        name=estimand.name,
        kind=estimand.kind,
        subgroups=estimand.subgroups,
        arm=contrast.arm,
        scale=estimand.scale,
        margin=estimand.margin,
        primary=estimand.primary,
        replicates=int((~np.isnan(values).any(axis=1)).sum()),
        reason=contrast.reason,
    )
