"""Principal subspaces: the optimum of a linear autoencoder, angles between them, and where they change with the mix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, subspace_angles


def principal(covariance: ArrayLike, k: int) -> NDArray[np.float64]:
    """Orthonormal basis [pixel, k] of the k leading eigenvectors of a covariance, largest first."""
    matrix = np.asarray(covariance, np.float64)
    n = len(matrix)
    return eigh(matrix, subset_by_index=(n - k, n - 1))[1][:, ::-1]


def leading(covariance: ArrayLike, k: int) -> NDArray[np.float64]:
    """The k largest eigenvalues of a covariance, largest first."""
    matrix = np.asarray(covariance, np.float64)
    n = len(matrix)
    return eigh(matrix, subset_by_index=(n - k, n - 1), eigvals_only=True)[::-1]


def largest_angle(one: ArrayLike, other: ArrayLike) -> float:
    """Largest principal angle between the column spaces of two matrices [pixel, k], in degrees, 0 to 90."""
    return float(np.degrees(subspace_angles(np.asarray(one, np.float64), np.asarray(other, np.float64)).max()))


def crossing(covariance: Callable[[float], NDArray[np.float64]], k: int) -> tuple[float, float]:
    """The share at which eigenvalue k of a mixture is closest to eigenvalue k + 1, and their ratio there.

    Args:
        covariance: share in [0, 1] -> covariance of the cohort.
        k: number of features.

    Returns:
        The share, found on a grid of hundredths and refined to 1e-4, and eigenvalue k over eigenvalue k + 1, at least
        1. The bottleneck keeps different features on either side; the closer the ratio to 1, the sharper the change.
    """

    def ratio(share: float) -> float:
        above, below = leading(covariance(share), k + 1)[-2:]
        return float(above / below)

    closest = min(np.linspace(0, 1, 101), key=ratio)
    for step in (1e-3, 1e-4):
        near = np.clip(closest + step * np.arange(-10, 11), 0, 1)
        closest = min(near, key=ratio)
    return float(closest), ratio(float(closest))
