"""From the signal of tissues to the magnitude image: sensitivity of the receiver and Rician noise."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from biasprop.nn.xla_barriers import image_barrier

SENSITIVITY_MODES = 3
"""Cosines along each axis of the sensitivity, the constant included."""
ANGLE_BITS = 10
"""Bits of a random word for the angle of the noise; the others are for its radius."""
SINE = (1.0, -0.1666666664, 0.0083333315, -0.0001984090, 0.0000027526, -0.0000000239)
"""Coefficients of sin(x) / x in x^2, right to 2e-9 up to pi / 2 (Abramowitz and Stegun 1964, 4.3.97)."""


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
    field = image_barrier(jnp.asarray(modes) @ (uneven * draws) @ modes.T)
    low, high = jnp.min(field), jnp.max(field)
    return 1 + span * ((field - low) / (high - low) - 0.5)


def magnitude(
    signal: Float[Array, "h w"], noise: float | Float[Array, ""], words: UInt32[Array, "h w"]
) -> Float[Array, "h w"]:
    """Magnitude of the signal with normal noise in both channels, which is Rician, and Rayleigh without signal.

    The noise ``n1 + i n2`` is ``r e^(i phi)`` with ``r^2`` exponential and ``phi`` uniform (Box and Muller 1958). Only
    the cosine of ``phi`` is needed, so ``phi`` is one of 1024 equidistant angles of a half circle, with which moments
    of ``n1`` are exact up to the order 2047. Random words and :func:`jax.numpy.cos` are expensive on XLA:CPU, so there
    is one word per pixel, and a polynomial.

    Args:
        signal: not negative.
        noise: sd of the noise in each channel.
        words: random bits.
    """
    count = 1 << ANGLE_BITS
    level = (words >> ANGLE_BITS).astype(jnp.int32).astype(jnp.float32)
    squared = -2 * jnp.log((level + 0.5) * 2.0 ** (ANGLE_BITS - 32))
    angle = (jnp.pi / count) * ((words & (count - 1)).astype(jnp.int32).astype(jnp.float32) - (count - 1) / 2)
    real = jnp.sqrt(squared) * angle * jnp.polyval(jnp.asarray(SINE[::-1]), angle**2)  # the sine is the other's cosine
    # the maximum keeps the derivative at 0 finite
    return jnp.sqrt(jnp.maximum(signal**2 + 2 * noise * signal * real + noise**2 * squared, 1e-12))
