"""The estimands of a study, estimated: value, plain and adjusted interval, tests and verdict for each arm."""

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
    """Estimate every estimand at every arm it asks for.

    Draws are averaged within a replicate on the estimand's scale first; the replicate is the unit. The primary estimand
    is tested at 5 % as it is; all others are adjusted together by Holm's procedure, the difference tests and the
    equivalence tests each among themselves.

    Args:
        measures: what ``measure`` made of the study's cube, which may be partly filled.
        estimands: of the study, in its order.

    Returns:
        One estimate an estimand and arm, in the order of the estimands and the cube's levels. Where arms are not there
        (yet), the value is NaN and the reason says what is missing.
    """
    found = [contrast for estimand in estimands for contrast in paired(measures, estimand)]
    tested = [c for c in found if KINDS[c.estimand.kind].tested]
    p = np.array([c.tests() for c in tested]).reshape(-1, 2)
    adjusted, factor = adjust(p, np.array([c.estimand.primary for c in tested], bool))
    judged = {id(c): _judged(c, p[i], adjusted[i], factor[i]) for i, c in enumerate(tested)}
    return [judged[id(c)] if id(c) in judged else UNTESTED[c.estimand.kind](c) for c in found]


def adjust(p: NDArray, primary: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Holm's procedure over all but the primary estimand, each kind of test by itself.

    Args:
        p: [estimate, test] of the difference and the equivalence tests; NaN = cannot be had (yet).
        primary: [estimate], whether it is tested as it is.

    Returns:
        Adjusted p values and the factors of :func:`holm` (1 for the primary estimand), both [estimate, test].
    """
    adjusted, factor = p.copy(), np.ones_like(p)
    for column in range(p.shape[1]):
        adjusted[~primary, column], factor[~primary, column] = holm(p[~primary, column])
    return adjusted, factor


def _judged(contrast: Paired, p: NDArray, adjusted: NDArray, factor: NDArray) -> Estimate:
    estimand = contrast.estimand
    plain = contrast.interval(1 - ALPHA)
    alpha = ALPHA / factor[0] if np.isfinite(factor[0]) else NAN
    wide = contrast.interval(1 - alpha) if np.isfinite(alpha) else plain._replace(low=NAN, high=NAN)
    empty = _empty(contrast)
    word, remark = verdict(plain.value, adjusted[0], adjusted[1], estimand.expected, ALPHA)
    if word == NOT_RESOLVED and np.isfinite(plain.se) and np.isfinite(alpha):
        scaled = contrast.values if contrast.denominator is None else contrast.values / np.nanmean(contrast.denominator)
        needed = replicates_to_resolve(plain.value, float(np.nanstd(scaled, ddof=1)), estimand.margin, alpha)
        remark = "more than 10000 replicates would be needed"
        if needed:  # that many at 80 % power: having them already only means bad luck
            remark = f"about {max(needed, empty.replicates + 1)} replicates would resolve it"
        if max(-wide.low, wide.high) < estimand.margin:
            remark += "; adjusted among the equivalence tests (p inside) it is not inside the margin"
    why_not = plain.reason if empty.replicates or not contrast.reason else ""  # nothing there: one reason is enough
    return replace(
        empty,
        value=plain.value,
        low=plain.low,
        high=plain.high,
        adjusted_low=wide.low,
        adjusted_high=wide.high,
        se=plain.se,
        method=plain.method,
        p_difference=float(p[0]),
        p_equivalence=float(p[1]),
        adjusted_p_difference=float(adjusted[0]),
        adjusted_p_equivalence=float(adjusted[1]),
        verdict=word,
        reason="; ".join(part for part in (contrast.reason, why_not, remark) if part),
    )


def halving(contrast: Paired) -> Estimate:
    """The halving budget of the mean curve: an answer without an interval, because none that covers is known.

    It is stated only where the largest swap contrast of the curve differs from 0, tested at 5 % / number of budgets:
    the largest of several would pass a test at the whole level too easily. What each replicate says by itself stands in
    the reason.

    Args:
        contrast: values [replicate, budget].
    """
    empty = replace(_empty(contrast), method="means")
    curves = contrast.values.reshape(len(contrast.values), -1)
    curves = curves[~np.isnan(curves).any(axis=1)]
    if not len(curves) or not contrast.budgets:
        return empty
    value, top = halving_budget(curves.mean(axis=0), contrast.budgets)
    highest = curves[:, contrast.budgets.index(top)]
    if not difference_p(highest) < ALPHA / len(contrast.budgets):
        reason = f"the largest swap contrast, at {top:g}, is not told from 0"
        return replace(empty, reason="; ".join(part for part in (contrast.reason, reason) if part))
    each = Counter(halving_budget(curve, contrast.budgets)[0] for curve in curves)
    alone = ", ".join(
        f"{count} at {budget:g}" for budget, count in sorted((b, c) for b, c in each.items() if not np.isnan(b))
    )
    reached = sum(count for budget, count in each.items() if not np.isnan(budget))
    reason = f"replicates taken alone: {alone or 'none'}" + f", {len(curves) - reached} not reached"
    return replace(
        empty,
        value=value,
        verdict=NOT_REACHED if np.isnan(value) else REACHED,
        reason="; ".join(part for part in (contrast.reason, reason) if part),
    )


def efficiency(contrast: Paired) -> Estimate:
    """The label-efficiency ratio: the median over replicates, with the interval of a median.

    A median at which the reference never has so high an AUC, or has it with its fewest labels, is no number: NaN, with
    the bound in words and, where it is known, as the interval's finite end.
    """
    empty, plain = _empty(contrast), contrast.interval(1 - ALPHA)
    if not empty.replicates:
        return replace(empty, method=plain.method)
    there = contrast.values[~np.isnan(contrast.values)]
    beyond, below = int(np.isinf(there).sum()), int((there == 0).sum())
    said = [contrast.reason, plain.reason]
    if beyond:
        said.append(f"the reference never reaches it in {beyond} of {len(there)} replicates")
    if below:
        said.append(f"the reference has it with its fewest labels in {below} of {len(there)} replicates")
    stated = 0 < plain.value < np.inf
    return replace(
        empty,
        value=plain.value if stated else NAN,
        low=plain.low,
        high=plain.high,
        method=plain.method,
        verdict=NOT_REACHED if np.isinf(plain.value) else REACHED,
        reason="; ".join(part for part in said if part),
    )


UNTESTED = {"halving_budget": halving, "label_efficiency": efficiency}
"""What states the kinds that are compared with nothing."""


def _empty(contrast: Paired) -> Estimate:
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
