"""Verdicts on simulated studies: how often each zone is given, and how often a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from biasprop.coverage import ERRORS
from biasprop.coverage.simulated import BUDGETS, SKEW, SUBGROUPS, labelled, simulate, with_contrast
from biasprop.estimands import ESTIMANDS, estimand
from biasprop.statistics.contrasts import excess_gap, gap, swap_contrast
from biasprop.statistics.estimate import estimated
from biasprop.statistics.intervals import MIN_FIELLER, fieller_bounds, t_intervals
from biasprop.statistics.paired import Paired
from biasprop.statistics.tests import ALPHA
from biasprop.statistics.verdict import MATERIAL, NEGLIGIBLE, NOT_RESOLVED, UNCLEAR, ZONES, zone

EFFECTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
"""True swap contrasts, in margins."""
FAMILY_EFFECTS = (None, 0.0, 1.0, -1.0)
"""Those at which the secondary family is counted; None: :data:`MIXED`."""
PRIMARY = len(BUDGETS)
"""Position of full fine-tuning on 50 labels among the swap contrasts: primary here, because it is the noisiest."""
PRIMARIES = {"full, 50 labels": PRIMARY, "full, 200 labels": PRIMARY + 1}
"""Swap contrasts that are primary in turn: their positions."""
MIXED = np.array([[0.0, 0.5, 1.0, 2.0], [0.0, 1.0, -1.0, -2.0]])
"""True swap contrasts of a study whose contrasts differ, in margins [protocol, labels]."""
WEAK = 0.06
"""Half of the stored swap contrast of a linear probe on 5,000 labels."""


def margin_of(kind: str) -> float:
    """Return the default margin of a kind of estimand that has one."""
    margin = ESTIMANDS[kind].default_margin
    assert margin is not None, kind
    return margin


@dataclass(frozen=True)
class Rate:
    """Share of studies with one kind of wrong verdict."""

    error: str
    """The estimand, the verdict and the truth."""
    replicates: int
    offered: bool
    """Whether the package decides this way."""
    rate: float
    limit: float
    """Largest rate allowed."""
    studies: int

    @property
    def passes(self) -> bool:
        """Whether the rate is at most its limit, within :data:`ERRORS`."""
        return self.rate <= self.limit + ERRORS * (self.limit * (1 - self.limit) / self.studies) ** 0.5


@dataclass(frozen=True)
class Zones:
    """How often a primary estimate of one true effect lies in each zone."""

    estimand: str
    effect: float
    """The truth, in margins."""
    replicates: int
    shares: dict[str, float]
    """Zone -> share of studies."""
    right: str
    """The zone that is right: its share is the power."""


def right_zone(effect: float) -> str:
    """Return the zone that is right for a true effect in margins; at exactly 1 neither side of the margin is."""
    return NEGLIGIBLE if abs(effect) < 1 else MATERIAL if abs(effect) > 1 else UNCLEAR


def wrong(said: str, effect: float) -> bool:
    """Whether a zone states what is not so of a true effect in margins; *not resolved* states nothing."""
    return {
        MATERIAL: abs(effect) <= 1,
        NEGLIGIBLE: abs(effect) >= 1,
        UNCLEAR: effect == 0,
        NOT_RESOLVED: False,
    }[said]


def rates(seed: int, studies: int, replicates: Sequence[int], skew: Any = SKEW) -> tuple[list[Rate], list[Zones]]:
    """Count zones and wrong verdicts.

    Args:
        seed: of the simulated studies.
        studies: how many.
        replicates: numbers of replicates; the first ones of each study are used.
        skew: of the parts of the deviations; 0 is normal.

    Returns:
        Rates of wrong verdicts, those on offer first; and the shares of zones of the primary estimates.
    """
    most = max(replicates)
    found: list[Rate] = []
    given: list[Zones] = []
    unit = margin_of("swap_contrast")
    margins = family_margins()
    for effect in (*EFFECTS, None):
        beta = unit * (MIXED if effect is None else np.full_like(MIXED, effect))
        values = family(simulate(seed, studies, most, with_contrast(beta), skew))
        true = family(labelled(with_contrast(beta)).expand_dims(("study", "replicate")))[0, :, 0]
        effects = np.round(true / margins, 9)
        name = "mixed effects" if effect is None else f"true effect {effect:g} margins"
        others = np.arange(len(margins)) != PRIMARY
        for n in replicates:
            for primary, at in PRIMARIES.items() if effect is not None else ():
                said = zones(values[:, [at], :n], margins[[at]], 1 - ALPHA)
                shares = {word: float((said == word).mean()) for word in ZONES}
                given.append(Zones(primary, float(effects[at]), n, shares, right_zone(effects[at])))
                rate = _any_wrong(said, effects[[at]])
                found.append(Rate(f"primary ({primary}), wrong zone: {name}", n, True, rate, ALPHA, studies))
            count = int(others.sum())
            if effect not in FAMILY_EFFECTS:
                continue
            for how, offered, level in (
                (f"any of {count} secondary", True, 1 - ALPHA / count),
                (f"any of {count} secondary, each at 95 %", False, 1 - ALPHA),
            ):
                rate = _any_wrong(zones(values[:, others, :n], margins[others], level), effects[others])
                found.append(Rate(f"{how}, wrong zone: {name}", n, offered, rate, ALPHA, studies))
    z = simulate(seed, studies, most, with_contrast(0.0), skew).sel(protocol="linear_probe")
    curves = _swaps(z).transpose("study", "replicate", "labels").values
    weak = with_contrast(np.broadcast_to([[WEAK], [WEAK]], (2, len(BUDGETS))))
    over, under = _retention(simulate(seed, studies, most, weak, skew))
    for n in replicates:
        low, high = fieller_bounds(over[:, :n], under[:, :n])
        missed = float(((low > 1) | (high < 1)).mean())
        found.append(
            Rate("retention: interval misses the truth, weak denominator", n, n >= MIN_FIELLER, missed, ALPHA, studies)
        )
        share = float(np.mean([estimated(_curve(curve[:n])).verdict != "" for curve in curves]))
        found.append(Rate("halving budget: given, though the contrast is 0", n, True, share, ALPHA, studies))
    offered = {rate.error for rate in found if rate.offered}
    return sorted(found, key=lambda rate: (rate.error not in offered, rate.error)), given


def zones(values: NDArray[np.float64], margins: ArrayLike, level: float) -> NDArray[np.str_]:
    """Return the zone of every estimate by its t interval.

    Args:
        values: [study, estimate, replicate].
        margins: [estimate].
        level: of the interval that decides.

    Returns:
        [study, estimate].
    """
    table = t_intervals(xr.DataArray(values, dims=("study", "estimate", "replicate")), level)
    low, high = table["low"].values, table["high"].values
    bounds = zip(low.ravel().tolist(), high.ravel().tolist(), np.broadcast_to(margins, low.shape).flat, strict=True)
    return np.reshape([zone(*each) for each in bounds], low.shape)


def _any_wrong(said: NDArray[np.str_], effects: NDArray[np.float64]) -> float:
    """Return the share of studies in which the zone of any estimate is wrong.

    Args:
        said: [study, estimate].
        effects: [estimate] the truth, in margins.
    """
    states_untruth = np.array([[wrong(word, effect) for effect in effects] for word in ZONES])
    hits = np.stack([said == word for word in ZONES]) & states_untruth[:, None]
    return float(hits.any(axis=(0, 2)).mean())


def _swaps(z: xr.DataArray) -> xr.DataArray:
    return swap_contrast(gap(z, SUBGROUPS), "pretraining", ("to A", "to B"))


def family(z: xr.DataArray) -> NDArray[np.float64]:
    """Swap contrast and excess gap of every arm [study, estimate, replicate]."""
    excess = excess_gap(gap(z, SUBGROUPS), "pretraining", "balanced").sel(pretraining="to A")
    both = [each.stack(arm=("protocol", "labels")) for each in (_swaps(z), excess)]
    return np.concatenate([each.transpose("study", "arm", "replicate").values for each in both], axis=1)


def family_margins() -> NDArray[np.float64]:
    """Margins of :func:`family` [estimate]."""
    return np.repeat([margin_of("swap_contrast"), margin_of("excess_gap")], MIXED.size)


def _retention(z: xr.DataArray) -> tuple[NDArray, NDArray]:
    beta = _swaps(z)
    return beta.sel(protocol="full", labels=200).values, beta.sel(protocol="linear_probe", labels=BUDGETS[-1]).values


STATED = estimand(
    "halving_budget",
    name="halving budget",
    subgroups=("A", "B"),
    factor="pretraining",
    skewed=("to A", "to B"),
    budget="labels",
)


def _curve(values: NDArray[np.float64]) -> Paired:
    return Paired(STATED, {}, SUBGROUPS, values, None, tuple(map(float, BUDGETS)), "")
