"""From attenuation to detected intensity: scatter, blur, automatic exposure, and what lies on the patient."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.nn.xla_barriers import barrier

SCATTER_SD = 0.20
"""Sd of the blur of scattered radiation, units of :mod:`.chest_anatomy`: .10 of the film."""
SCATTER_MODES = 8
"""Cosines along each axis by which scatter is blurred."""
MEAN_ATTENUATION = 2.0
"""Attenuation of the chest for which a fixed exposure is set."""


def detected(
    healthy: Float[Array, "h w"],
    lesions: Float[Array, "h w"],
    fraction: float | Float[Array, ""],
    blur: float | Float[Array, ""],
) -> Float[Array, "h w"]:
    """Detected over incident intensity, without noise.

    Args:
        healthy: attenuation without lesions, which alone determines the scatter.
        lesions: attenuation that they add.
        fraction: scattered part of a wide beam.
        blur: sd of the detector's blur, pixels.
    """
    size = len(healthy)
    modes = jnp.asarray(canvas.cosines(size, SCATTER_MODES))
    primary = jnp.exp(-barrier(jnp.stack([healthy, healthy + lesions])))
    scattered = modes @ (_scatter_gains(modes.shape[1]) * (modes.T @ primary[0] @ modes)) @ modes.T
    return jnp.maximum(canvas.blurred(barrier((1 - fraction) * primary[1] + fraction * scattered), blur), 1e-6)


def reference(healthy: Float[Array, "h w"], automatic: float | Float[Array, ""]) -> Float[Array, ""]:
    """Attenuation that is shown as mid grey: between a constant (0) and the mean over the chest (1)."""
    return automatic * jnp.sum(_chest_window(len(healthy)) * healthy) + (1 - automatic) * MEAN_ATTENUATION


def drain(size: int, draws: Float[Array, " 3"], share: float | Float[Array, ""]) -> Float[Array, "h w"]:
    """Attenuation of a chest drain from the lateral wall towards the apex.

    Args:
        size: pixels along a side.
        draws: uniforms: presence, side, and height of the tip.
        share: P(there is one).
    """
    x, y = canvas.grid(size, 2.0)
    u, v = x, y[:, None]
    present, side, high = draws
    along = jnp.clip((0.45 - v) / 0.8, 0, 1)
    course = jnp.sign(side - 0.5) * (0.85 - 0.55 * along + 0.25 * along**2)
    width = max(0.03, 1.2 / size)  # no narrower than the pixels show
    tube = jnp.exp(-(((u - course) / width) ** 2)) * sigmoid(30 * (0.45 - v)) * sigmoid(30 * (v + 0.2 + 0.3 * high))
    return 0.8 * (present < share) * tube


def side_marker(size: int, draws: Float[Array, " 3"], share: float | Float[Array, ""]) -> Float[Array, "h w"]:
    """Attenuation of the lead letter L beside the patient's left shoulder.

    Args:
        size: pixels along a side.
        draws: uniforms: presence, and place (right, down).
        share: P(there is one).
    """
    x, y = canvas.grid(size, 2.0)
    present, right, down = draws
    left, top, stroke = 0.72 + 0.06 * right, -0.92 + 0.06 * down, max(0.04, 2 / size)
    stem = _bar(x, left, left + stroke) * _bar(y, top, top + 0.2)[:, None]
    foot = _bar(x, left, left + 0.12) * _bar(y, top + 0.2 - stroke, top + 0.2)[:, None]
    return 4.0 * (present < share) * jnp.maximum(stem, foot)


def _bar(x: Float[Array, " n"], low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, " n"]:
    """1 between two coordinates, else 0, with edges as soft as a pixel."""
    steep = 2 * len(x)
    return sigmoid(steep * (x - low)) * sigmoid(steep * (high - x))


@functools.cache
def _scatter_gains(count: int) -> np.ndarray:
    """Factor of a Gaussian blur of :data:`SCATTER_SD` on each product of two cosines."""
    gain = np.exp(-((np.pi / 2 * SCATTER_SD * np.arange(count)) ** 2) / 2)
    return np.outer(gain, gain).astype(np.float32)


@functools.cache
def _chest_window(size: int) -> np.ndarray:
    """Weights of the pixels of which automatic exposure holds the mean: the thorax; they sum to 1."""
    axis = 2 * (np.arange(size) + 0.5) / size - 1
    window = np.outer(np.abs(axis) < 0.65, np.abs(axis) < 0.75).astype(np.float32)
    return window / window.sum()
