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

from biasprop.coverage import ERRORS, TOLERANCE, learning_curves
from biasprop.coverage.simulated import MEANS, PROTOCOLS, SKEW, SUBGROUPS, labelled, simulate
from biasprop.coverage.verdicts import PRIMARY, family
from biasprop.metrics import log_z
from biasprop.statistics.contrasts import (
    common_gap,
    excess_gap,
    gap,
    interaction,
    joint_effect,
    shapley_value,
    swap_contrast,
)
from biasprop.statistics.intervals import MIN_FIELLER, fieller_bounds, t_intervals
from biasprop.statistics.simultaneous import mean_range, minus_mean
from biasprop.statistics.tests import ALPHA

RESAMPLES = 999
"""Resamples of each bootstrap interval."""
FEWER = 4
"""The jackknife is slow, so one study in this many is used."""

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
        """Whether the coverage differs from its level by no more than :data:`TOLERANCE`, within :data:`ERRORS`."""
        short = self.level - self.coverage
        return (short if self.at_least else abs(short)) <= TOLERANCE + ERRORS * self.error


@dataclass(frozen=True)
class Candidate:
    """An interval that may be offered."""

    name: str
    bounds: Callable[..., Bounds]
    """Samples [study, replicate, ...], one or a pair, and the level -> low and high [study]."""
    offered: float
    """Fewest replicates at which it is offered; infinite if it never is."""
    at_least: bool = False
    """Whether it may cover more often than its level."""


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


def _t_of_all(values: NDArray, level: float) -> Bounds:
    """As :func:`_t`, but none where any replicate has no value."""
    low, high = _t(values, level)
    whole = ~np.isnan(values).any(axis=-1)
    return np.where(whole, low, np.nan), np.where(whole, high, np.nan)


def _mean_range(*given: Any) -> Bounds:
    *subgroups, level = given
    found = mean_range(np.stack(subgroups, axis=-1), level)
    return found.low, found.high


T = Candidate("t", _t, 2)
T_OF_ALL = Candidate("t", _t_of_all, 2)
SIMULTANEOUS = Candidate("simultaneous t", _mean_range, 2, at_least=True)
BOOTSTRAP = Candidate("BCa bootstrap", _bootstrap, np.inf)
FIELLER = Candidate("Fieller", fieller_bounds, MIN_FIELLER)
NORMAL = Candidate("normal quantile", _normal, np.inf)
DIVIDED_BY_N = Candidate("sd / n", _divided_by_n, np.inf)
UNPAIRED = Candidate("unpaired", _unpaired, np.inf)
INVERSE = Candidate("inverse t", learning_curves.inverse, 2, at_least=True)
HALVING = Candidate("inverse t", learning_curves.inverse_of_halving, 2, at_least=True)
JACKKNIFE = Candidate("jackknife", learning_curves.jackknife, np.inf)

Case = tuple[str, Candidate, tuple[NDArray[np.float64], ...], float]
"""Estimand, interval, samples [study, replicate, ...], and the truth."""


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
    four, four_truths = _four_subgroups(seed, studies, max(replicates), skew)
    found += [_against_mean(four.values[:, :n], four_truths.values, level) for n in replicates]
    values = family(simulate(seed, studies, max(replicates), skew=skew))
    truths = family(labelled(MEANS).expand_dims(("study", "replicate")))[0, :, 0]
    for n in replicates:
        found.append(_at_once(values[..., :n], truths))
    return found


def _against_mean(values: NDArray, truths: NDArray, level: float) -> Row:
    """Count how often the intervals of all subgroups against their mean hold at once.

    Args:
        values: [study, replicate, subgroup].
        truths: [subgroup].
        level: of the intervals.
    """
    _, low, high = minus_mean(values, level)
    true = truths - truths.mean()
    held = ((low <= true) & (true <= high)).all(axis=-1)
    return Row(
        interval="simultaneous t",
        estimand=f"all {len(truths)} subgroups against their mean",
        replicates=values.shape[1],
        offered=True,
        given=1.0,
        coverage=float(held.mean()),
        error=float(np.sqrt(level * (1 - level) / len(held))),
        level=level,
        width=float(np.median(high - low)),
        at_least=True,
    )


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
        at_least=candidate.at_least,
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
    changed, true_change = (_swap(each, "full") - _swap(each, "linear_probe") for each in (z, means))
    yield "swap difference, full minus linear probe", T, (changed.values,), float(true_change)
    arm = {"protocol": "full", "labels": 200, "subgroup": "A"}
    # Scratch shares no encoder with the balanced mix: here the skewed mix of other simulated studies.
    scratch = simulate(seed + 1, studies, most, skew=skew).sel(arm | {"pretraining": "to B"}).values
    balanced = arm | {"pretraining": "balanced"}
    worth = z.sel(balanced).values - scratch
    yield "worth", T, (worth,), float(means.sel(balanced) - means.sel(arm | {"pretraining": "to B"}))
    chosen = _best_on_calibration(z.sel(protocol="full", labels=200))
    against = z.sel(protocol="full", labels=200, pretraining="to B", subgroup="A").values - chosen
    yield "difference from best", T_OF_ALL, (against,), float(np.mean(against))  # the choice has no closed form
    off, on = {"pretraining": "balanced", "protocol": "full"}, {"pretraining": "to A", "protocol": "linear_probe"}
    shares, true_share = (
        shapley_value(gap(each.sel(labels=200), SUBGROUPS), "pretraining", off, on) for each in (z, means)
    )
    yield "Shapley share", T, (shares.values,), float(true_share)
    yield from _cases_of_four_subgroups(seed, studies, most, skew)
    yield "joint effect", T, *_joint_effects(seed, studies, most, skew)
    for protocol, labels in (
        (PROTOCOLS[0], 200),
        ("full", 200),
        ("full", 50),
    ):  # the last has z at which it is undefined
        logs = xr.apply_ufunc(log_z, z.sel(protocol=protocol, labels=labels))
        contrasts = swap_contrast(gap(logs, SUBGROUPS), "pretraining", ("to A", "to B")).values
        name = f"swap contrast of log z, {protocol.replace('_', ' ')}, {labels} labels"
        yield name, T_OF_ALL, (contrasts,), float(np.nanmean(contrasts))  # no closed form, as for the AUC
    swap, truth = _swap(z).values, float(_swap(means))
    yield "swap contrast", BOOTSTRAP, (swap,), truth
    yield "swap contrast", NORMAL, (swap,), truth
    yield "swap contrast", DIVIDED_BY_N, (swap,), truth
    arm = {"protocol": "full", "labels": 200, "pretraining": "to A"}
    a, b = (z.sel(arm | {"subgroup": name}).values for name in SUBGROUPS)
    yield "gap", UNPAIRED, (a, b), float(gap(means, SUBGROUPS).sel(arm))
    for name, curves, truth in learning_curves.cases(seed, studies, most, skew):
        yield name, HALVING if name.startswith("halving") else INVERSE, (curves,), truth
        yield name, JACKKNIFE, (curves[: max(studies // FEWER, 1)],), truth


def _four_subgroups(seed: int, studies: int, most: int, skew: Any) -> tuple[xr.DataArray, xr.DataArray]:
    """Levels of four subgroups of an arm, [study, replicate, subgroup], and the truths [subgroup].

    A and B are pretrained on the mix skewed to A. C and D are those of other simulated studies and of the balanced mix,
    so their deviations are independent of the first two.
    """
    arm = {"protocol": "full", "labels": 200}
    mixes, names = ("to A", "balanced"), (SUBGROUPS, ("C", "D"))
    own, other = simulate(seed, studies, most, skew=skew), simulate(seed + 1, studies, most, skew=skew)

    def of_four(z: xr.DataArray, w: xr.DataArray) -> xr.DataArray:
        pairs = (x.sel(arm | {"pretraining": mix}, drop=True) for x, mix in zip((z, w), mixes, strict=True))
        renamed = [x.assign_coords(subgroup=list(pair)) for x, pair in zip(pairs, names, strict=True)]
        return xr.concat(renamed, "subgroup").transpose(..., "subgroup")

    means = labelled(MEANS)
    return of_four(own, other), of_four(means, means)


def _cases_of_four_subgroups(seed: int, studies: int, most: int, skew: Any) -> Iterator[Case]:
    z, means = _four_subgroups(seed, studies, most, skew)
    pairs = (SUBGROUPS, ("C", "D"))
    yield "interaction", T, (interaction(z, *pairs).values,), float(interaction(means, *pairs))
    for name, levels, truth in (
        ("best minus worst of 4 subgroups", z, float(means.max() - means.min())),
        ("best minus worst of 4 equal subgroups", z - means, 0.0),
    ):
        yield name, SIMULTANEOUS, tuple(np.moveaxis(levels.values, -1, 0)), truth


def _best_on_calibration(z: xr.DataArray) -> NDArray[np.float64]:
    """z of A with the better of two mixes, [study, replicate]; the mean z of both subgroups decides."""
    mixes = z.sel(pretraining=["to A", "balanced"])
    return mixes.sel(subgroup="A").isel(pretraining=mixes.mean("subgroup").argmax("pretraining")).values


def _joint_effects(seed: int, studies: int, most: int, skew: Any) -> tuple[tuple[NDArray[np.float64]], float]:
    """Joint effects of two skews on B, [study, replicate], and the truth; the arm with both is of other studies."""
    names = {"factor": "pretraining", "both": "both", "single": ("to A", "to B"), "neither": "balanced"}
    arm = {"protocol": "full", "labels": 200, "subgroup": "B"}
    own, other = simulate(seed, studies, most, skew=skew), simulate(seed + 1, studies, most, skew=skew)

    def joint(z: xr.DataArray, w: xr.DataArray) -> xr.DataArray:
        both = w.sel(arm, drop=True).sel(pretraining=["to A"]).assign_coords(pretraining=["both"])
        return joint_effect(xr.concat([z.sel(arm, drop=True), both], "pretraining"), **names)

    means = labelled(MEANS)
    return (joint(own, other).values,), float(joint(means, means))
