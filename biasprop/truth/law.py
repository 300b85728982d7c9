"""Distribution of Gaussian images, and the exact AUC of a linear score of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import owens_t
from scipy.stats import norm

from biasprop.interfaces import HasLaw

if TYPE_CHECKING:
    from biasprop.difficulty import InMode


@dataclass(frozen=True)
class Law:
    """Pixels are Gaussian given subgroup and label; label 1 adds ``signal`` and leaves the covariance unchanged."""

    signal: NDArray[np.float64]
    """[pixel] mean of label 1 minus mean of label 0, the same in all subgroups."""
    covariances: dict[str, NDArray[np.float64]]
    """Subgroup -> [pixel, pixel]."""

    @classmethod
    def of(cls, generator: InMode, acquisition: Mapping[str, float] | None = None) -> Law:
        """The law of a generator in its difficulty mode.

        Args:
            generator: with a law in closed form.
            acquisition: subgroup -> what its acquisition shift adds to the log sd of the white noise; none if left out.

        Raises:
            ValueError: it has none in closed form, or none with one signal for all subgroups.
        """
        if not isinstance(generator.plain, HasLaw):
            raise ValueError(f"the generator {generator.kind} has no law in closed form")
        solved = generator.calibrated()
        laws = {
            name: solved.law(solved.representative(name)._replace(noise=math.exp((acquisition or {}).get(name, 0.0))))
            for name in solved.subgroups
        }
        signal, _ = next(iter(laws.values()))
        return cls(signal, {name: covariance for name, (_, covariance) in laws.items()})

    @cached_property
    def roots(self) -> dict[str, NDArray[np.float64]]:
        """Subgroup -> symmetric square root of its covariance, which maps white noise to its backgrounds."""
        return {name: symmetric_root(covariance) for name, covariance in self.covariances.items()}

    def cohort_covariance(self, shares: Mapping[str, float], prevalence: float) -> NDArray[np.float64]:
        """Covariance of a mixed cohort [pixel, pixel]: backgrounds weighted by share, plus ``q (1 - q) s s'``."""
        background = sum(share * self.covariances[name] for name, share in shares.items())
        return np.asarray(background + prevalence * (1 - prevalence) * np.outer(self.signal, self.signal))

    def z(self, direction: ArrayLike, subgroup: str) -> NDArray[np.float64]:
        """sqrt(2) * inverse normal CDF of the exact AUC of the score ``direction . pixels`` in a subgroup.

        The score is Gaussian with equal variances in both classes, so AUC = Phi(v's / sqrt(2 v'Kv)) and z = v's /
        sqrt(v'Kv) (Barrett and Myers 2004, ch. 13).

        Args:
            direction: [..., pixel].
            subgroup: subgroup of the images.
        """
        v = np.asarray(direction, np.float64)
        spread = np.sqrt(np.sum((v @ self.covariances[subgroup]) * v, axis=-1))
        return v @ self.signal / spread


def symmetric_root(covariance: ArrayLike) -> NDArray[np.float64]:
    """Symmetric square root of covariances [..., p, p]."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ vectors.swapaxes(-1, -2)


def auc_of_z(z: ArrayLike) -> NDArray[np.float64]:
    """AUC = Phi(z / sqrt(2))."""
    return norm.cdf(np.asarray(z, np.float64) / np.sqrt(2))


def auc_sd(z: ArrayLike, diseased: int, healthy: int) -> NDArray[np.float64]:
    """Exact standard deviation of a Mann-Whitney AUC of Gaussian scores with equal variances.

    Var = [A (1 - A) + (m - 1)(Q - A^2) + (n - 1)(Q - A^2)] / (m n), with Q the probability that two of one class
    both lie on the right side of one of the other (Bamber 1975): two normals of correlation 1/2 both below h = z /
    sqrt(2), which is Phi(h) - 2 T(h, 1 / sqrt(3)) with Owen's T (Owen 1956).

    Args:
        z: sqrt(2) * inverse normal CDF of the AUC.
        diseased, healthy: numbers of subjects, m and n.
    """
    z = np.asarray(z, np.float64)
    area = auc_of_z(z)
    pair = area - 2 * owens_t(z / np.sqrt(2), 1 / np.sqrt(3))
    excess = np.maximum(pair - area**2, 0)
    return np.sqrt((area * (1 - area) + (diseased + healthy - 2) * excess) / (diseased * healthy))


def z_sd(z: ArrayLike, diseased: int, healthy: int) -> NDArray[np.float64]:
    """Standard deviation of z of a Mann-Whitney AUC, to first order: ``auc_sd`` times dz/dAUC."""
    z = np.asarray(z, np.float64)
    return auc_sd(z, diseased, healthy) * np.sqrt(2) / norm.pdf(z / np.sqrt(2))


def mean_z_of_test(z: ArrayLike, diseased: int, healthy: int) -> NDArray[np.float64]:
    """Mean of z of a Mann-Whitney AUC, to second order: z is convex in AUC above 1/2, so a finite test set adds
    ``z'' Var(AUC) / 2`` with ``z'' = sqrt(2) u / phi(u)^2``, u = z / sqrt(2)."""
    u = np.asarray(z, np.float64) / np.sqrt(2)
    return np.sqrt(2) * (u + 0.5 * u / norm.pdf(u) ** 2 * auc_sd(z, diseased, healthy) ** 2)
