"""Decomposition of a gap: physics + learner + adaptation + skew, an identity within every replicate.

    gap = physics (gap of the ideal observer)
        + learner (gap of a network trained from scratch on plenty of balanced labels, minus that)
        + adaptation (gap of the model pretrained on 50/50 at this budget and protocol, minus that)
        + skew (gap of the arm, minus that: the excess gap over 50/50)

Only the last term is an effect of the mix. The terms depend on the order in which they are taken, so reports give the
swap contrast first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.statistics.contrasts import gap, swap_contrast
from biasprop.statistics.difficulty import Ledger
from biasprop.statistics.estimand import Estimand, Level
from biasprop.statistics.intervals import t_interval
from biasprop.statistics.measures import per_replicate
from biasprop.statistics.summary import NAN, Mean, Parts

Skew = tuple[str, tuple[Level, Level]]
"""A factor, and its levels skewed to A and to B."""


@dataclass(frozen=True)
class Place:
    """An arm and the arms it is compared with; None where the study has none."""

    arm: dict[str, Level]
    balanced: dict[str, Level] | None
    """The same arm after pretraining on equal shares of the subgroups."""
    plenty: dict[str, Level] | None
    """Full fine-tuning from scratch on the largest budget of balanced labels."""
    ledger: Ledger
    """Of the arm's generator and encoder; empty where the test images are shifted, which ledgers do not cover."""


def split(
    observed: NDArray, balanced: NDArray, plenty: NDArray | float, physics: float
) -> dict[str, NDArray[np.float64]]:
    """Split a gap into terms, each [replicate], that add up to it (up to rounding); ``physics and learner`` is the sum
    of these two, which may be known where they are not.

    Args:
        observed: [replicate] gaps of the arm.
        balanced: [replicate] gaps of the same arm after pretraining on the 50/50 mix.
        plenty: [replicate] gaps of scratch on plenty of balanced labels, or one gap for all.
        physics: the ideal observer's gap; NaN if it is not known.
    """
    known = np.broadcast_to(np.asarray(plenty, np.float64), observed.shape)
    return {
        "gap": observed,
        "physics": np.full(observed.shape, physics),
        "learner": known - physics,
        "physics and learner": known,
        "adaptation": balanced - known,
        "skew": observed - balanced,
    }


def decompose(
    measures: xr.Dataset, places: Sequence[Place], pair: tuple[str, str], estimands: Sequence[Estimand] = ()
) -> list[Parts]:
    """Decompose the gap of every arm.

    Args:
        measures: from ``measure``.
        places: the arms, and the arms they are compared with.
        pair: A and B.
        estimands: of the study; the first one with two skewed levels (the primary one before others) defines the swap
            contrast.

    Returns:
        One entry per place; arms of one budget and protocol, which share a swap contrast, are consecutive. Arms that
        the measures lack are left out, and what is compared with one is NaN.
    """
    gaps = gap(per_replicate(measures, "z"), pair)
    skew = next((e.skew for e in sorted(estimands, key=lambda e: not e.primary) if e.skew), None)
    blocks: dict[str, list[Parts]] = {}
    for place in (place for place in places if _has(gaps, place.arm)):
        elsewhere = {name: level for name, level in place.arm.items() if not skew or name != skew[0]}
        blocks.setdefault(str(elsewhere), []).append(_parts(gaps, place, pair, skew))
    return [parts for block in blocks.values() for parts in block]


def _parts(gaps: xr.DataArray, place: Place, pair: tuple[str, str], skew: Skew | None) -> Parts:
    place = replace(
        place,
        balanced=place.balanced if _has(gaps, place.balanced) else None,
        plenty=place.plenty if _has(gaps, place.plenty) else None,
    )
    low, high = place.ledger.physics(pair)
    learner, reason = NAN, f"learner: arm {', '.join(f'{k} {v}' for k, v in (place.plenty or {}).items())}"
    if place.plenty is None:
        learner = place.ledger.learner(pair)
        reason = "learner: network trained for the ledger"
        if np.isnan(learner):
            reason = "no network trained from scratch on many balanced labels (--difficulty trains one)"
    terms = split(
        gaps.sel(place.arm).values,
        _of(gaps, place.balanced),
        learner if place.plenty is None else _of(gaps, place.plenty),
        low if low == high else NAN,
    )
    if not place.ledger.rows:
        reason += "; physics: not known for a shifted test set"
    if place.balanced is None:
        reason += "; no arm pretrained on equal shares"
    present = [~np.isnan(values) for values in terms.values()]
    whole = present[0] & np.all([mask for mask in present if mask.any()] or present[:1], axis=0)
    if not whole.any():
        reason = "no replicate has every arm that is needed"
    return Parts(
        arm=place.arm,
        swap=_mean(_swap(gaps, place.arm, skew)),
        terms={name: _mean(np.where(whole, values, NAN)) for name, values in terms.items()},
        bracket=(low, high),
        reason=reason,
    )


def _has(gaps: xr.DataArray, arm: dict[str, Level] | None) -> bool:
    return arm is not None and all(level in gaps[name].values.tolist() for name, level in arm.items())


def _of(gaps: xr.DataArray, arm: dict[str, Level] | None) -> NDArray[np.float64]:
    return np.full(gaps.sizes["replicate"], NAN) if arm is None else gaps.sel(arm).values


def _swap(gaps: xr.DataArray, arm: dict[str, Level], skew: Skew | None) -> NDArray[np.float64]:
    if skew is None or skew[0] not in gaps.dims or not set(skew[1]) <= set(gaps[skew[0]].values.tolist()):
        return np.full(gaps.sizes["replicate"], NAN)
    factor, skewed = skew
    elsewhere = {name: level for name, level in arm.items() if name != factor}
    return swap_contrast(gaps.sel(elsewhere), factor, skewed).values


def _mean(values: NDArray) -> Mean:
    found = t_interval(values)
    return Mean(found.value, found.low, found.high, int((~np.isnan(values)).sum()))
