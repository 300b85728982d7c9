"""What a gap is made of: physics + learner + adaptation + skew, an identity inside every replicate.

    gap = physics (of the ideal observer) + learner (what a network trained from scratch on plenty of balanced labels
    shows beyond that) + adaptation (what the 50/50-pretrained model shows beyond that at this budget and protocol)
    + skew (the excess gap over 50/50)

Only the last is the mix's. The terms depend on the order in which they are taken apart, so the swap contrast leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.contrasts import gap, swap_contrast
from biasprop.statistics.difficulty import Ledger
from biasprop.statistics.estimand import Estimand, Level
from biasprop.statistics.intervals import t_interval
from biasprop.statistics.measures import per_replicate
from biasprop.statistics.summary import NAN, Mean, Parts

TERMS = ("gap", "physics", "learner", "physics and learner", "adaptation", "skew")
"""What a gap is split into; ``physics and learner`` is the sum of the two, known also where they are not."""


@dataclass(frozen=True)
class Place:
    """An arm and the arms it is held against; None where the study has none."""

    arm: dict[str, Level]
    even: dict[str, Level] | None
    """The same arm after pretraining on equal shares of the subgroups."""
    plenty: dict[str, Level] | None
    """Full fine-tuning from scratch on the largest budget of balanced labels."""
    ledger: Ledger
    """Of the arm's generator and encoder; empty where the arm is judged by shifted images, of which none knows."""


def split(observed: NDArray, even: NDArray, plenty: NDArray | float, physics: float) -> dict[str, NDArray[np.float64]]:
    """The terms of a gap, each [replicate]; they add up to it exactly (up to rounding).

    Args:
        observed: [replicate] gaps of the arm.
        even: [replicate] gaps of the same arm after pretraining on the 50/50 mix.
        plenty: [replicate] gaps of scratch on plenty of balanced labels, or one gap for all.
        physics: the ideal observer's gap; NaN if it is not known.
    """
    known = np.broadcast_to(np.asarray(plenty, np.float64), observed.shape)
    return {
        "gap": observed,
        "physics": np.full(observed.shape, physics),
        "learner": known - physics,
        "physics and learner": known,
        "adaptation": even - known,
        "skew": observed - even,
    }


def decompose(
    measures: xr.Dataset, places: Sequence[Place], pair: tuple[str, str], estimands: Sequence[Estimand] = ()
) -> list[Parts]:
    """Take the gap of every arm apart.

    Args:
        measures: from ``measure``.
        places: the arms, and what they are held against.
        pair: A and B.
        estimands: of the study; the first one with two skewed levels (the primary one before others) says whose swap
            contrast leads.

    Returns:
        One for each place; arms of one budget and protocol, which have one swap contrast, stand together.
    """
    gaps = gap(per_replicate(measures, "z"), pair)
    skewed = next((e for e in sorted(estimands, key=lambda e: not e.primary) if e.skewed and e.factor), None)
    together: dict[str, list[Parts]] = {}
    for place in places:
        elsewhere = {name: level for name, level in place.arm.items() if not skewed or name != skewed.factor}
        together.setdefault(str(elsewhere), []).append(_parts(gaps, place, pair, skewed))
    return [parts for each in together.values() for parts in each]


def _parts(gaps: xr.DataArray, place: Place, pair: tuple[str, str], estimand: Estimand | None) -> Parts:
    low, high = place.ledger.physics(pair)
    learner, reason = NAN, f"learner: {', '.join(f'{k} {v}' for k, v in (place.plenty or {}).items())}"
    if place.plenty is None:
        learner = place.ledger.learner(pair)
        reason = "learner: trained for the ledger"
        if np.isnan(learner):
            reason = "no scratch on plenty of balanced labels: neither an arm of the study nor in the ledger (--ledger)"
    terms = split(
        gaps.sel(place.arm).values,
        _of(gaps, place.even),
        learner if place.plenty is None else _of(gaps, place.plenty),
        low if low == high else NAN,
    )
    if not place.ledger.rows:
        reason += "; physics: not known of a shifted test"
    if place.even is None:
        reason += "; no arm pretrained on equal shares"
    there = [~np.isnan(values) for values in terms.values()]
    whole = there[0] & np.all([each for each in there if each.any()] or there[:1], axis=0)
    if not whole.any():
        reason = "no replicate has every arm that is needed"
    return Parts(
        arm=place.arm,
        swap=_mean(_swap(gaps, place.arm, estimand)),
        terms={name: _mean(np.where(whole, values, NAN)) for name, values in terms.items()},
        bracket=(low, high),
        reason=reason,
    )


def _of(gaps: xr.DataArray, arm: dict[str, Level] | None) -> NDArray[np.float64]:
    return np.full(gaps.sizes["replicate"], NAN) if arm is None else gaps.sel(arm).values


def _swap(gaps: xr.DataArray, arm: dict[str, Level], estimand: Estimand | None) -> NDArray[np.float64]:
    if estimand is None or estimand.factor not in gaps.dims or estimand.skewed is None:
        return np.full(gaps.sizes["replicate"], NAN)
    elsewhere = {name: level for name, level in arm.items() if name != estimand.factor}
    if not set(estimand.skewed) <= set(gaps[estimand.factor].values.tolist()):
        return np.full(gaps.sizes["replicate"], NAN)
    return swap_contrast(gaps.sel(elsewhere), str(estimand.factor), estimand.skewed).values


def _mean(values: NDArray) -> Mean:
    found = t_interval(values)
    return Mean(found.value, found.low, found.high, int((~np.isnan(values)).sum()))
