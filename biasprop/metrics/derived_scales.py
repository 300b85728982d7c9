"""Scales computed from z that are not defined everywhere: its logarithm, and the efficiency of a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_Z = 0.3
"""z at and below which its logarithm is not taken, because errors of z would dominate it; an AUC of .584."""


def log_z(z: ArrayLike) -> NDArray[np.float64]:
    """Natural logarithm of z, on which differences are log ratios of z.

    Args:
        z: [...].

    Returns:
        [...]; NaN where z is at most :data:`MIN_Z`.
    """
    z = np.asarray(z, np.float64)
    return np.log(np.where(z > MIN_Z, z, np.nan))


def efficiency(z: ArrayLike, ideal_z: ArrayLike) -> NDArray[np.float64]:
    """Statistical efficiency: (d' of the model / d' of the ideal observer)^2, with z for d' (Barrett and Myers 2004).

    It is the share of the information about the label that the model uses.

    Args:
        z: [...] of the model.
        ideal_z: [...] of the ideal observer; NaN = not known.

    Returns:
        [...]; negative where z is, so that it rises with z; NaN where ``ideal_z`` is not above 0 and finite.
    """
    z, ideal = np.asarray(z, np.float64), np.asarray(ideal_z, np.float64)
    ideal = np.where((ideal > 0) & np.isfinite(ideal), ideal, np.nan)
    return z * np.abs(z) / ideal**2
