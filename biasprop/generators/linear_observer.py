"""The ideal observer of a linear model of the image: exact for that model, approximate for the image.

About one subject, an image is ``x = f(u0) + J (u - u0) + noise`` with standard normal latents ``u``. Severity, of
mean y (the label, 0 or 1) and sd s, times the vector c (``loadings``) is added to ``u``, so with noise covariance N

    u ~ N(y c, I + s^2 c c'),    x ~ N(y J c, J (I + s^2 c c') J' + N),

given y. Both classes have equal covariance, so the likelihood ratio is linear (Hotelling). With ``A = J' N^-1 J`` and
``S`` the covariance of ``u``,

    d'^2 = (J c)' (J S J' + N)^-1 (J c) = c' A (I + S A)^-1 c

(Woodbury's identity; Barrett and Myers 2004, ch. 13). As noise vanishes it tends to ``c' S^-1 c``, that of an observer
who knows the latents. ``AUC = Phi(d' / sqrt 2)``, averaged over subjects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float


def auc(jacobian: Float[Any, "p m"], variance: Float[Any, " p"], loadings: Float[Any, " m"], spread: float) -> float:
    """AUC of the ideal observer of the linear model about one subject.

    Args:
        jacobian: derivative of every pixel with respect to every latent.
        variance: noise variance of every pixel.
        loadings: change of each latent per unit of severity.
        spread: sd of severity within a class.
    """
    from scipy.special import ndtr

    slopes, c = np.asarray(jacobian, np.float64), np.asarray(loadings, np.float64)
    information = slopes.T @ (slopes / np.asarray(variance, np.float64)[:, None])
    latents = np.eye(len(c)) + spread**2 * np.outer(c, c)
    squared = c @ information @ np.linalg.solve(np.eye(len(c)) + latents @ information, c)
    return float(ndtr(np.sqrt(squared / 2)))
