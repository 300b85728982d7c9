"""The ideal observer of an image made linear: exact for the linear model, a model of the image itself.

About one subject, an image is ``x = f(u0) + J (u - u0) + noise`` with ``u`` its standard normal latents. Disease moves
``u`` by ``push`` times severity, which is 0 or 1 with a spread of its own, so given the label

    u ~ N(y c, I + s^2 c c'),    x ~ N(y J c, J (I + s^2 c c') J' + N),

both classes have one covariance and the likelihood ratio is linear (Hotelling). With ``A = J' N^-1 J`` and ``S`` the
covariance of ``u``,

    d'^2 = (J c)' (J S J' + N)^-1 (J c) = c' A (I + S A)^-1 c

(Woodbury's identity; Barrett and Myers 2004, ch. 13), which tends to ``c' S^-1 c``, that of an observer told the
latents, as noise vanishes. ``AUC = Phi(d' / sqrt 2)``, averaged over subjects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float


def auc(jacobian: Float[Any, "p m"], variance: Float[Any, " p"], push: Float[Any, " m"], spread: float) -> float:
    """AUC of the ideal observer of the linear model about one subject.

    Args:
        jacobian: slope of every pixel in every latent.
        variance: of the noise of every pixel.
        push: how far one unit of severity moves each latent.
        spread: sd of severity within a class.
    """
    from scipy.special import ndtr

    slopes, c = np.asarray(jacobian, np.float64), np.asarray(push, np.float64)
    information = slopes.T @ (slopes / np.asarray(variance, np.float64)[:, None])
    latents = np.eye(len(c)) + spread**2 * np.outer(c, c)
    squared = c @ information @ np.linalg.solve(np.eye(len(c)) + latents @ information, c)
    return float(ndtr(np.sqrt(squared / 2)))
