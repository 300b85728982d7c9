"""Stability of an effect over sampled settings, each of which was run in one replicate alone.

The observed effect of setting k is y_k = theta_k + e_k: its true effect, normal around mu with sd tau over the
settings, and what one replicate adds, with an sd sigma that another study has estimated from replicates. The
fraction of y_k with one sign mixes the two: at a true effect of .03 everywhere and sigma = .028, one replicate in seven
has the other sign by chance. The share of settings whose *true* effect has the sign is Phi(mu / tau).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtr, ndtri, stdtrit

POINTS = 4096
"""Points at which the generalised pivotal quantity is evaluated."""

MIN_SETTINGS = 10
"""Fewest settings for an interval; with fewer it covers too rarely where tau is 0."""

EFFECTIVE = 0.8
"""Degrees of freedom of an sd between replicates, as a share of those of normal values: results of replicates are
skewed (0.6, which goes with an excess kurtosis of about 0.65), and their variance is then less certain."""

ROBUST_SHARE = 0.8
"""Share of settings that have to keep the sign of an effect for it to be called robust."""

ROBUST, NOT_ROBUST = "robust", "not robust"
"""Verdicts on a share whose whole interval is at least, or below, :data:`ROBUST_SHARE`."""


class SignShare(NamedTuple):
    """Distribution of true effects over settings; no interval below :data:`MIN_SETTINGS` settings, NaN below 2."""

    value: float
    """Share of settings whose true effect has the expected sign, in [0, 1]. NaN also where there is no interval and
    ``sd`` is 0: the share is then 0 or 1 however little is known."""
    low: float
    high: float
    mean: float
    """Estimate of mu."""
    sd: float
    """Estimate of tau, 0 if effects vary less than replicates do."""


def sign_share(effects: ArrayLike, sd: float, degrees: float, sign: int = 1, level: float = 0.95) -> SignShare:
    """Estimate the share of settings whose true effect has a sign.

    All effects have one sampling variance, so that restricted maximum likelihood, DerSimonian and Laird's and Paule and
    Mandel's estimates of tau^2 are the same: the variance of the effects minus sd^2, at least 0. The interval is the
    generalised confidence interval of Phi(mu / tau) (Weerahandi, J. Am. Stat. Assoc. 88, 1993), from the independent
    distributions of the mean and the variance of the effects and of sd^2; where their variance may be that of
    replicates alone, tau is 0 there and the share 0 or 1. ``python -m biasprop.coverage`` shows that it covers. The
    settings count as independent; those of a Latin hypercube lie more evenly, so that their mean varies less.

    Args:
        effects: [setting], one replicate of each; NaN = missing.
        sd: between replicates of one setting, > 0, from another study.
        degrees: of freedom of ``sd``, one less than its replicates.
        sign: 1 or -1, of the effect in the other study.
        level: coverage, in (0, 1).
    """
    y = np.asarray(effects, np.float64)
    y = y[~np.isnan(y)]
    if len(y) < 2:
        return SignShare(*[np.nan] * 5)
    low = high = np.array([np.nan])
    if len(y) >= MIN_SETTINGS:
        low, high = share_bounds(y[None], np.array([sd]), degrees, sign, level)
    mean, tau = float(y.mean()), float(np.sqrt(max(y.var(ddof=1) - sd**2, 0.0)))
    share = float(_share(sign * mean, tau)) if tau or len(y) >= MIN_SETTINGS else np.nan
    return SignShare(share, float(low[0]), float(high[0]), mean, tau)


def share_bounds(
    effects: NDArray[np.float64], sd: NDArray[np.float64], degrees: float, sign: int = 1, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the interval of :func:`sign_share`, for several studies at once.

    Args:
        effects: [study, setting], none missing.
        sd: [study].
        degrees, sign, level: as for :func:`sign_share`.

    Returns:
        Low and high, [study].
    """
    n = effects.shape[-1]
    mean, variance = sign * effects.mean(axis=-1), effects.var(axis=-1, ddof=1)
    u, own = _points(), EFFECTIVE * degrees
    normal, between, within = ndtri(u[0]), _chi_square(u[1], n - 1) / (n - 1), _chi_square(u[2], own) / own
    bounds = np.empty((len(effects), 2))
    for i, (m, v, s) in enumerate(zip(mean, variance, sd, strict=True)):
        total = v / between
        shares = _share(m - normal * np.sqrt(total / n), np.sqrt(np.maximum(total - s**2 / within, 0.0)))
        bounds[i] = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return bounds[:, 0], bounds[:, 1]


class LeverEffect(NamedTuple):
    """A coefficient of :func:`rank_regression` with its 95 % interval."""

    name: str
    value: float
    low: float
    high: float


class RankRegression(NamedTuple):
    """What of the differences between settings their levers explain."""

    coefficients: list[LeverEffect]
    r2: float
    """Share of the variance of the ranks that the regression explains; includes what it explains by chance. NaN where
    there are too few settings to regress on all levers together."""


MIN_DEGREES = 5
"""Fewest degrees of freedom of a regression on all levers together."""


def rank_regression(effects: ArrayLike, levers: Mapping[str, Sequence[Any]], level: float = 0.95) -> RankRegression:
    """Regress the ranks of effects on the ranks of levers, all standardised to mean 0 and variance 1.

    A lever whose levels have names has one coefficient for each level but the first, of its indicator. Intervals are
    Student's, of ordinary least squares. With fewer than :data:`MIN_DEGREES` degrees of freedom each lever is regressed
    on alone, which gives rank correlations, with Fisher's intervals (standard error 1.03 / sqrt(n - 3) of atanh r;
    Fieller, Hartley and Pearson 1957): a lever may then stand for another that it happens to go with.

    Args:
        effects: [setting]; NaN = missing.
        levers: name -> values [setting], numbers or names.
        level: coverage, in (0, 1).

    Raises:
        ValueError: there are too few settings for so many levers.
    """
    y = np.asarray(effects, np.float64)
    there = ~np.isnan(y)
    columns: dict[str, NDArray[np.float64]] = {}
    for name, values in levers.items():
        present = np.asarray(values)[there]
        if present.dtype.kind in "fiu":
            columns[name] = _standardised(_ranks(present))
        else:
            for label in np.unique(present)[1:]:
                columns[f"{name} = {label}"] = _standardised((present == label).astype(float))
    names = [name for name, column in columns.items() if np.isfinite(column).all()]  # others do not vary
    n, degrees = int(there.sum()), int(there.sum()) - len(names) - 1
    if not names or n < 4:
        raise ValueError(f"{n} settings are too few, or no lever varies")
    x, target = np.column_stack([columns[name] for name in names]), _standardised(_ranks(y[there]))
    if degrees < MIN_DEGREES:
        r = np.clip(x.T @ target / n, -1.0, 1.0)
        half = float(ndtri(0.5 + level / 2)) * 1.03 / np.sqrt(n - 3)
        with np.errstate(divide="ignore"):
            ends = zip(names, r, np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half), strict=True)
        return RankRegression([LeverEffect(name, float(v), float(a), float(b)) for name, v, a, b in ends], np.nan)
    coefficients, _, rank, _ = np.linalg.lstsq(x, target, rcond=None)
    if rank < len(names):
        raise ValueError("the levers of these settings are not independent of each other")
    residual = target - x @ coefficients
    se = np.sqrt(residual @ residual / degrees * np.diag(np.linalg.inv(x.T @ x)))
    half = float(stdtrit(degrees, 0.5 + level / 2)) * se
    ends = zip(names, coefficients, coefficients - half, coefficients + half, strict=True)
    found = [LeverEffect(name, float(value), float(low), float(high)) for name, value, low, high in ends]
    return RankRegression(found, float(1 - residual @ residual / (target @ target)))


def _share(mean: ArrayLike, tau: ArrayLike) -> NDArray[np.float64]:
    """Phi(mean / tau); 0, .5 or 1 at tau = 0."""
    mean, tau = np.asarray(mean, np.float64), np.asarray(tau, np.float64)
    return ndtr(np.where(tau > 0, mean / np.where(tau > 0, tau, 1.0), np.where(mean == 0, 0.0, np.inf * np.sign(mean))))


def _points() -> NDArray[np.float64]:
    """Points that fill the unit cube evenly, [3, point]: the same effects always give the same interval."""
    from scipy.stats import qmc  # here, because importing it takes a second

    return qmc.Sobol(3, scramble=False).random(POINTS).T + 0.5 / POINTS


def _chi_square(u: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Quantiles of a chi-square distribution."""
    return 2 * gammaincinv(degrees / 2, u)


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks, those of equal values averaged."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place]


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with mean 0 and variance 1; NaN if they are all the same."""
    sd = values.std()
    return (values - values.mean()) / sd if sd > 0 else np.full_like(values, np.nan)
