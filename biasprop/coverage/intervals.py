"""Coverage: how often intervals contain the truth, by number of replicates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri

from biasprop.coverage import ERRORS
from biasprop.coverage.simulated import MEANS, PROTOCOLS, SKEW, SUBGROUPS, labelled, simulate, with_contrast
from biasprop.coverage.verdicts import PRIMARY, family
from biasprop.statistics.contrasts import common_gap, excess_gap, gap, halving_budget, interaction, swap_contrast
from biasprop.statistics.intervals import MIN_FIELLER, fieller_bounds, t_intervals
from biasprop.statistics.tests import ALPHA

RESAMPLES = 999
"""Resamples of each bootstrap interval."""
FEWER = 4
"""Halving budgets are slow, so one study in this many is used."""
FADING = np.array([0.20, 0.16, 0.08, 0.03])
"""Swap contrasts at 50 to 5,000 labels whose halving budget is 1,000."""

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Row:
    """One interval of one estimand at one number of replicates."""

    interval: str
    estimand: str
    replicates: int
    offered: bool
    """Whether the package gives it at this number of replicates."""
    given: float
    """Share of studies in which it is defined."""
    coverage: float
    """Share of those in which it contains the truth."""
    error: float
    """Monte Carlo standard error of the coverage at its nominal level."""
    level: float
    """Nominal coverage."""
    width: float
    """Median width."""
    at_least: bool = False
    """Whether a coverage above the level passes too."""

    @property
    def passes(self) -> bool:
        """Whether the coverage is nominal within :data:`ERRORS`."""
        short = self.level - self.coverage
        return (short if self.at_least else abs(short)) <= ERRORS * self.error


@dataclass(frozen=True)
class Candidate:
    """An interval that may be offered."""

    name: str
    bounds: Callable[..., Bounds]
    """Samples [study, replicate], one or a pair, and the level -> low and high [study]."""
    offered: float
    """Fewest replicates at which it is offered; infinite if it never is."""


def _t(values: NDArray, level: float) -> Bounds:
    table = t_intervals(xr.DataArray(values, dims=("study", "replicate")), level)
    return table["low"].values, table["high"].values


def _bootstrap(values: NDArray, level: float) -> Bounds:
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=RESAMPLES, batch=50, axis=-1, method="BCa", rng=0
    )
    return found.confidence_interval.low, found.confidence_interval.high


def _around(values: NDArray, half: NDArray) -> Bounds:
    return values.mean(axis=-1) - half, values.mean(axis=-1) + half


def _normal(values: NDArray, level: float) -> Bounds:
    n = values.shape[-1]
    return _around(values, ndtri(0.5 + level / 2) * values.std(axis=-1, ddof=1) / np.sqrt(n))


def _divided_by_n(values: NDArray, level: float) -> Bounds:
    return _around(values, ndtri(0.5 + level / 2) * values.std(axis=-1, ddof=1) / values.shape[-1])


def _unpaired(a: NDArray, b: NDArray, level: float) -> Bounds:
    low, high = _t(a - b, level)
    apart = np.sqrt((a.var(axis=-1) + b.var(axis=-1)) / (a - b).var(axis=-1))
    return _around(a - b, apart * (high - low) / 2)


def _range(values: NDArray, level: float) -> Bounds:
    return values.min(axis=-1), values.max(axis=-1)


T = Candidate("t", _t, 2)
BOOTSTRAP = Candidate("BCa bootstrap", _bootstrap, np.inf)
FIELLER = Candidate("Fieller", fieller_bounds, MIN_FIELLER)
NORMAL = Candidate("normal quantile", _normal, np.inf)
DIVIDED_BY_N = Candidate("sd / n", _divided_by_n, np.inf)
UNPAIRED = Candidate("unpaired", _unpaired, np.inf)
RANGE = Candidate("range of the replicates", _range, np.inf)

Case = tuple[str, Candidate, tuple[NDArray[np.float64], ...], float]
"""Estimand, interval, samples [study, replicate], and the truth."""


def rows(seed: int, studies: int, replicates: Sequence[int], skew: Any = SKEW, level: float = 0.95) -> list[Row]:
    """Count coverage.

    Args:
        seed: of the simulated studies.
        studies: how many.
        replicates: numbers of replicates; the first ones of each study are used.
        skew: of the parts of the deviations; 0 is normal.
        level: of the intervals.
    """
    found = []
    for estimand, candidate, samples, truth in _cases(seed, studies, max(replicates), skew):
        found += [_row(estimand, candidate, samples, truth, n, level) for n in replicates]
    values = family(simulate(seed, studies, max(replicates), skew=skew))
    truths = family(labelled(MEANS).expand_dims(("study", "replicate")))[0, :, 0]
    for n in replicates:
        found.append(_at_once(values[..., :n], truths))
    return found


def _at_once(values: NDArray, truths: NDArray) -> Row:
    """Count how often the intervals of secondary estimates all contain their truths.

    Args:
        values: [study, estimate, replicate].
        truths: [estimate].
    """
    others = np.arange(len(truths)) != PRIMARY
    values, truths = values[:, others], truths[others]
    count = len(truths)
    table = t_intervals(xr.DataArray(values, dims=("study", "estimate", "replicate")), 1 - ALPHA / count)
    held = ((table["low"] <= truths) & (truths <= table["high"])).values
    error, width = float(np.sqrt(ALPHA * (1 - ALPHA) / len(values))), float((table["high"] - table["low"]).median())
    return Row(
        interval="t, Bonferroni",
        estimand=f"all {count} secondary at once",
        replicates=values.shape[-1],
        offered=True,
        given=1.0,
        coverage=float(held.all(axis=1).mean()),
        error=error,
        level=1 - ALPHA,
        width=width,
        at_least=True,
    )


def _row(estimand: str, candidate: Candidate, samples: tuple[NDArray, ...], truth: float, n: int, level: float) -> Row:
    low, high = candidate.bounds(*(sample[:, :n] for sample in samples), level)
    given = ~np.isnan(low)
    held = (low <= truth) & (truth <= high)
    count = max(int(given.sum()), 1)
    with np.errstate(invalid="ignore"):  # from infinite to infinite
        width = float(np.median((high - low)[given])) if given.any() else np.nan
    return Row(
        interval=candidate.name,
        estimand=estimand,
        replicates=n,
        offered=n >= candidate.offered,
        given=float(given.mean()),
        coverage=float(held[given].mean()) if given.any() else np.nan,
        error=float(np.sqrt(level * (1 - level) / count)),
        level=level,
        width=width,
    )


def _swap(z: xr.DataArray, protocol: str = "full", labels: int = 200) -> xr.DataArray:
    gaps = gap(z.sel(protocol=protocol, labels=labels, drop=True), SUBGROUPS)
    return swap_contrast(gaps, "pretraining", ("to A", "to B"))


def _cases(seed: int, studies: int, most: int, skew: Any) -> Iterator[Case]:
    """Yield estimands (full fine-tuning on 200 labels unless stated) and their intervals."""
    z, means = simulate(seed, studies, most, skew=skew), labelled(MEANS)
    for name, protocol, labels in (
        ("", "full", 200),
        (", 50 labels", "full", 50),
        (", linear probe", PROTOCOLS[0], 200),
    ):
        levels, true_levels = (each.sel(protocol=protocol, labels=labels) for each in (z, means))
        auc = ndtr(levels.sel(pretraining="to A", subgroup="B").values / np.sqrt(2))
        # No closed form; the error of this mean is that of one interval divided by sqrt(studies).
        yield f"AUC{name}", T, (auc,), float(auc.mean())
        gaps, true_gaps = gap(levels, SUBGROUPS), gap(true_levels, SUBGROUPS)
        yield f"gap{name}", T, (gaps.sel(pretraining="to A").values,), float(true_gaps.sel(pretraining="to A"))
        excess, true_excess = (
            excess_gap(g, "pretraining", "balanced").sel(pretraining="to A") for g in (gaps, true_gaps)
        )
        yield f"excess gap{name}", T, (excess.values,), float(true_excess)
        common, true_common = (common_gap(g, "pretraining", ("to A", "to B")) for g in (gaps, true_gaps))
        yield f"common gap{name}", T, (common.values,), float(true_common)
        yield f"swap contrast{name}", T, (_swap(z, protocol, labels).values,), float(_swap(means, protocol, labels))
        change, true_change = (
            each.sel(pretraining="to A", subgroup="B") - each.sel(pretraining="balanced", subgroup="B")
            for each in (levels, true_levels)
        )
        yield f"difference{name}", T, (change.values,), float(true_change)
        # Own-representation effect of A, and level effect: what both subgroups gain together.
        moved, true_moved = (
            each.sel(pretraining="to A", drop=True) - each.sel(pretraining="to B", drop=True)
            for each in (levels, true_levels)
        )
        yield f"own representation{name}", T, (moved.sel(subgroup="A").values,), float(true_moved.sel(subgroup="A"))
        yield f"level effect{name}", T, (moved.mean("subgroup").values,), float(true_moved.mean())
    for protocol, labels in (("full", 200), ("full", 5000), ("linear_probe", 50)):
        pair = (_swap(z, protocol, labels).values, _swap(z, "linear_probe", 5000).values)
        true = float(_swap(means, protocol, labels) / _swap(means, "linear_probe", 5000))
        yield f"retention, {protocol.replace('_', ' ')}, {labels} labels", FIELLER, pair, true
    for labels in (50, 200):
        few, plenty = (_swap(z, "linear_probe", n).values for n in (labels, 5000))
        true = float(_swap(means, "linear_probe", labels) - _swap(means, "linear_probe", 5000))
        yield f"amplification, linear probe, {labels} labels", T, (few - plenty,), true
    yield "interaction", T, *_interactions(seed, studies, most, skew)
    arm = {"protocol": "full", "labels": 200, "subgroup": "A"}
    # Scratch shares no encoder with the balanced mix: here the skewed mix of other simulated studies.
    scratch = simulate(seed + 1, studies, most, skew=skew).sel(arm | {"pretraining": "to B"}).values
    balanced = arm | {"pretraining": "balanced"}
    worth = z.sel(balanced).values - scratch
    yield "worth", T, (worth,), float(means.sel(balanced) - means.sel(arm | {"pretraining": "to B"}))
    swap, truth = _swap(z).values, float(_swap(means))
    yield "swap contrast", BOOTSTRAP, (swap,), truth
    yield "swap contrast", NORMAL, (swap,), truth
    yield "swap contrast", DIVIDED_BY_N, (swap,), truth
    arm = {"protocol": "full", "labels": 200, "pretraining": "to A"}
    a, b = (z.sel(arm | {"subgroup": name}).values for name in SUBGROUPS)
    yield "gap", UNPAIRED, (a, b), float(gap(means, SUBGROUPS).sel(arm))
    yield "halving budget", RANGE, (_halvings(seed, studies, most, skew),), 1000.0


def _interactions(seed: int, studies: int, most: int, skew: Any) -> tuple[tuple[NDArray[np.float64]], float]:
    """Gaps under the mix skewed to A minus those of two other subgroups under the balanced mix, [study, replicate], and
    the truth.

    The other two subgroups are those of other simulated studies, so their deviations are independent of the first two.
    """
    arm = {"protocol": "full", "labels": 200}
    mixes, names = ("to A", "balanced"), (SUBGROUPS, ("C", "D"))
    own, other = simulate(seed, studies, most, skew=skew), simulate(seed + 1, studies, most, skew=skew)

    def of_four(z: xr.DataArray, w: xr.DataArray) -> xr.DataArray:
        pairs = (x.sel(arm | {"pretraining": mix}, drop=True) for x, mix in zip((z, w), mixes, strict=True))
        renamed = [x.assign_coords(subgroup=list(pair)) for x, pair in zip(pairs, names, strict=True)]
        return interaction(xr.concat(renamed, "subgroup"), *names)

    means = labelled(MEANS)
    return (of_four(own, other).values,), float(of_four(means, means))


def _halvings(seed: int, studies: int, most: int, skew: Any) -> NDArray[np.float64]:
    """Halving budgets of single replicates of a linear probe [study, replicate]; infinite if not reached."""
    z = simulate(seed, max(studies // FEWER, 1), most, with_contrast(FADING), skew)
    gaps = gap(z.sel(protocol="linear_probe"), SUBGROUPS)
    curves = swap_contrast(gaps, "pretraining", ("to A", "to B")).transpose("study", "replicate", "labels")
    budgets = curves["labels"].values.tolist()
    alone = [halving_budget(curve, budgets)[0] for curve in curves.values.reshape(-1, len(budgets))]
    return np.nan_to_num(np.reshape(alone, curves.shape[:2]), nan=np.inf)
