"""From the signal of tissues to the magnitude image: sensitivity of the receiver and Rician noise."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from biasprop.nn.xla_barriers import barrier

SENSITIVITY_MODES = 3
"""Cosines along each axis of the sensitivity, the constant included."""


def sensitivity(draws: Float[Array, "k k"], size: int, span: float | Float[Array, ""]) -> Float[Array, "h w"]:
    """Relative sensitivity of the receiver: smooth, from ``1 - span / 2`` to ``1 + span / 2`` over the image.

    Args:
        draws: standard normals of its cosines.
        size: pixels along a side.
        span: range; intensity nonuniformity of 20 % is .2.
    """
    axis = (np.arange(size) + 0.5) / size
    modes = np.cos(np.pi * np.outer(axis, np.arange(SENSITIVITY_MODES))).astype(np.float32)
    uneven = np.ones((SENSITIVITY_MODES, SENSITIVITY_MODES), np.float32)
    uneven[0, 0] = 0
    field = barrier(jnp.asarray(modes) @ (uneven * draws) @ modes.T)
    low, high = jnp.min(field), jnp.max(field)
    return 1 + span * ((field - low) / (high - low) - 0.5)


def magnitude(
    signal: Float[Array, "h w"], noise: float | Float[Array, ""], uniforms: Float[Array, "2 h w"]
) -> Float[Array, "h w"]:
    """Magnitude of the signal with normal noise in both channels, which is Rician, and Rayleigh without signal.

    The noise ``n1 + i n2`` is ``r e^(i phi)`` with ``r^2`` exponential and ``phi`` uniform (Box and Muller 1958), and
    only the cosine of ``phi`` is needed, so it takes no second normal.

    Args:
        signal: not negative.
        noise: sd of the noise in each channel.
        uniforms: of radius and angle.
    """
    squared = -2 * jnp.log1p(-uniforms[0])
    real = jnp.sqrt(squared) * jnp.cos(2 * jnp.pi * uniforms[1])
    # the maximum keeps the derivative at 0 finite
    return jnp.sqrt(jnp.maximum(signal**2 + 2 * noise * signal * real + noise**2 * squared, 1e-12))
