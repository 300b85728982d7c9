"""Error rates of verdicts where the true contrast is 0 or lies on the edge of the margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from biasprop.coverage import ERRORS
from biasprop.coverage.learning_curves import inverse_of_halving
from biasprop.coverage.simulated import BUDGETS, PROTOCOLS, SKEW, SUBGROUPS, simulate, with_contrast
from biasprop.statistics.contrasts import below_half, excess_gap, gap, swap_contrast
from biasprop.statistics.estimate import adjust
from biasprop.statistics.intervals import MIN_FIELLER, fieller_bounds
from biasprop.statistics.tests import ALPHA, difference_p, equivalence_p, ratio_equivalence_p
from biasprop.statistics.verdict import ERASED, PERSISTS, REVERSED, verdict

MARGIN = 0.10
"""Equivalence margin on z, and as a share of the denominator of a retention: the default of an estimand."""
PRIMARY = len(BUDGETS)
"""Position of full fine-tuning on 50 labels among the swap contrasts: primary here, because it is the noisiest."""
CONTRAST = 0.15
"""Swap contrast of the denominator where a retention lies on the edge of its margin."""
WEAK = 0.06
"""Half of the stored swap contrast of a linear probe on 5,000 labels."""


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


def rates(seed: int, studies: int, replicates: Sequence[int], skew: Any = SKEW) -> list[Rate]:
    """Count wrong verdicts.

    Args:
        seed: of the simulated studies.
        studies: how many.
        replicates: numbers of replicates; the first ones of each study are used.
        skew: of the parts of the deviations; 0 is normal.
    """
    most = max(replicates)
    found = []
    for name, beta, wrong in (
        ("persists or reversed, though the contrast is 0", 0.0, (PERSISTS, REVERSED)),
        ("erased, though the contrast equals the margin", MARGIN, (ERASED,)),
        ("erased, though the contrast equals -margin", -MARGIN, (ERASED,)),
    ):
        values = family(simulate(seed, studies, most, with_contrast(beta), skew))
        for n in replicates:
            for estimates, offered, share in _wrong(values[..., :n], wrong):
                found.append(Rate(f"{estimates}: {name}", n, offered, share, ALPHA, studies))
    x, y = _retention(simulate(seed, studies, most, with_contrast(_edge()), skew))
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
        defined = difference_p(y[:, :n]) < ALPHA
        share = float((defined & (ratio_equivalence_p(x[:, :n], y[:, :n], MARGIN) < ALPHA)).mean())
        found.append(Rate("retention: erased, though it equals the margin", n, True, share, ALPHA, studies))
        share = float((~np.isnan(inverse_of_halving(below_half(curves[:, :n]), 1 - ALPHA)[0])).mean())
        found.append(Rate("halving budget: given, though the contrast is 0", n, True, share, ALPHA, studies))
    offered = {rate.error for rate in found if rate.offered}
    return sorted(found, key=lambda rate: (rate.error not in offered, rate.error))


def _wrong(values: NDArray[np.float64], wrong: Sequence[str]) -> Iterator[tuple[str, bool, float]]:
    """Yield the share of studies with a wrong verdict, as the package decides and in two ways that it does not.

    Args:
        values: [study, estimate, replicate].
        wrong: the verdicts that are wrong.
    """
    p = np.stack([difference_p(values), equivalence_p(values, MARGIN)], axis=-1)
    primary = np.arange(values.shape[1]) == PRIMARY
    means = values.mean(axis=-1)
    adjusted = np.stack([adjust(each, primary)[0] for each in p])
    said = _said(means, adjusted, wrong)
    yield "primary swap contrast", True, float(said[:, primary].mean())
    yield f"any of the {len(primary) - 1} others", True, float(said[:, ~primary].any(axis=1).mean())
    whole = p / np.where(p < 1, [1, 2], 1)
    yield "primary, one-sided tests at 5 %", False, float(_said(means, whole, wrong)[:, primary].mean())
    yield "any of the others, not adjusted", False, float(_said(means, p, wrong)[:, ~primary].any(axis=1).mean())


def _said(means: NDArray, p: NDArray, wrong: Sequence[str]) -> NDArray[np.bool_]:
    """Whether the verdict on each estimate is one of these words."""
    every = zip(means.ravel().tolist(), *p.reshape(-1, 2).T.tolist(), strict=True)
    return np.reshape([verdict(value, d, e, 1, ALPHA)[0] in wrong for value, d, e in every], means.shape)


def _swaps(z: xr.DataArray) -> xr.DataArray:
    return swap_contrast(gap(z, SUBGROUPS), "pretraining", ("to A", "to B"))


def family(z: xr.DataArray) -> NDArray[np.float64]:
    """Swap contrast and excess gap of every arm [study, estimate, replicate]."""
    excess = excess_gap(gap(z, SUBGROUPS), "pretraining", "balanced").sel(pretraining="to A")
    both = [each.stack(arm=("protocol", "labels")) for each in (_swaps(z), excess)]
    return np.concatenate([each.transpose("study", "arm", "replicate").values for each in both], axis=1)


def _edge() -> NDArray[np.float64]:
    """Swap contrasts whose retention under full fine-tuning is the margin [protocol, labels]."""
    return np.broadcast_to(
        np.where([[name == "full"] for name in PROTOCOLS], MARGIN, 1.0) * CONTRAST, (2, len(BUDGETS))
    )


def _retention(z: xr.DataArray) -> tuple[NDArray, NDArray]:
    beta = _swaps(z)
    return beta.sel(protocol="full", labels=200).values, beta.sel(protocol="linear_probe", labels=BUDGETS[-1]).values
