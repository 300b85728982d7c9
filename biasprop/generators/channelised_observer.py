"""The channelised Hotelling observer of a linear model of the image, in closed form.

About one subject the outputs of the channels are ``x = f(y) + J (u - u0) + noise``, with the label y and standard
normal latents ``u``. Both classes have one covariance ``K = J J' + N``, so with the mean signal ``s = f(1) - f(0)`` the
best linear rule has

    d'^2 = s' K^-1 s,    AUC = Phi(d' / sqrt 2)

(Barrett and Myers 2004, ch. 13). Channels are the lowest cosines of the image. They are fewer than the latents of the
anatomical background, so that anatomy hides a faint disease even where noise is low, which it does not from an observer
of all pixels (Gallas and Barrett 2003).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

CHANNEL_MODES = 7
"""Cosines along each axis."""


@functools.cache
def cosines(size: int, count: int) -> np.ndarray:
    """The lowest cosines on ``size`` pixels, at most one per pixel, orthonormal: [size, count]."""
    k = np.arange(min(count, size))
    modes = np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, k)) * np.sqrt(2 / size)
    modes[:, 0] /= np.sqrt(2)
    return modes.astype(np.float32)


def squared_distance(
    image: Callable[[Any, Float[Array, ""]], tuple[Float[Array, "h w"], Float[Array, "h w"]]], about: Any
) -> Float[Array, ""]:
    """``d'^2`` of the observer about one subject.

    Args:
        image: (latents, mean severity) -> the mean image and the sd of its noise; latents are a pytree of standard
            normals.
        about: the subject's latents, about which the model is linear; the derivative is that half-way between the
            classes.
    """
    flat, rebuild = ravel_pytree(about)

    def outputs(latents: Float[Array, " m"], severity: float) -> Float[Array, " c"]:
        mean, _ = image(rebuild(latents), jnp.float32(severity))
        modes = jnp.asarray(cosines(len(mean), CHANNEL_MODES))
        return (modes.T @ mean @ modes).ravel()

    slopes = jax.jacrev(outputs)(flat, 0.5)
    _, sd = image(about, jnp.float32(0.5))
    modes = jnp.asarray(cosines(len(sd), CHANNEL_MODES))
    channels = jnp.einsum("ya,xb->abyx", modes, modes).reshape(-1, sd.size)
    signal = outputs(flat, 1.0) - outputs(flat, 0.0)
    covariance = slopes @ slopes.T + (channels * sd.ravel() ** 2) @ channels.T
    return signal @ jnp.linalg.solve(covariance, signal)
