"""What a difference on z means for patients: sensitivity in the equal-variance binormal model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri


def sensitivity_loss(z: ArrayLike, loss: ArrayLike, specificity: float) -> NDArray[np.float64]:
    """Return by how much sensitivity falls where z falls.

    If the scores of healthy and of diseased people are normal with the same variance, z is the distance d' of their
    means in standard deviations, and sensitivity at a specificity is Phi(z - Phi^-1(specificity)).

    Args:
        z: [...] sqrt(2) * inverse normal CDF of the AUC.
        loss: [...] by how much z falls.
        specificity: at which both are taken, in (0, 1).

    Returns:
        [...] in [-1, 1], a share of diseased people; positive where ``loss`` is. At z = 1.47 and a specificity of 0.9 a
        loss of 0.1 is 0.04.
    """
    z, cut = np.asarray(z, np.float64), ndtri(specificity)
    return ndtr(z - cut) - ndtr(z - np.asarray(loss, np.float64) - cut)
