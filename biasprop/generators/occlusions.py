"""Occlusions of a dermoscopy image: hair, ruler, gel bubbles, ink, and the ring of the dermoscope."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from biasprop.generators import canvas
from biasprop.nn.xla_barriers import barrier

HAIR_COUNT = 12
CURVE_POINTS = 24
HAIR_COLOURS = np.array([[0.03, 0.025, 0.02], [0.12, 0.07, 0.04], [0.40, 0.38, 0.36]], dtype=np.float32)
"""Linear albedo of black, brown and grey hair."""


def hair(
    albedo: Float[Array, "3 h w"], key: Key[Array, ""], latent: int, field: float, density: float | Float[Array, ""]
) -> Float[Array, "3 h w"]:
    """Up to twelve quadratic Bezier hairs 0.06 to 0.12 mm thick, each present with probability ``density``.

    Every curve is a chain of Gaussian blobs, which are separable, so all hairs are one matrix product.
    """
    draws = canvas.uniform(key, latent, (HAIR_COUNT, 9))
    t = np.linspace(0, 1, CURVE_POINTS, dtype=np.float32)
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    corners = (draws[:, :6] * 1.4 - 0.7) * field
    x = jnp.einsum("pk,kt->pt", corners[:, :3], weights)
    y = jnp.einsum("pk,kt->pt", corners[:, 3:], weights)
    size = albedo.shape[1]
    pixel = field / size
    thickness = jnp.maximum(0.06 + 0.06 * draws[:, 6], 0.5 * pixel)[:, None]
    # A hair thinner than half a pixel is drawn half a pixel wide and fainter.
    opacity = (0.06 + 0.06 * draws[:, 6, None]) / thickness * (draws[:, 7, None] < density)
    axis, _ = canvas.grid(size, field)
    along_x = jnp.exp(-0.5 * ((axis[None, None, :] - x[..., None]) / thickness[..., None]) ** 2)
    along_y = jnp.exp(-0.5 * ((axis[None, None, :] - y[..., None]) / thickness[..., None]) ** 2)
    spacing = jnp.hypot(x[:, -1] - x[:, 0], y[:, -1] - y[:, 0])[:, None] / CURVE_POINTS
    strength = jnp.broadcast_to(opacity * spacing / thickness, x.shape)
    down, across = (along_y * strength[..., None]).reshape(-1, size), along_x.reshape(-1, size)
    cover = barrier(1 - jnp.exp(-down.T @ across))
    colour = jnp.asarray(HAIR_COLOURS)[jnp.minimum((draws[0, 8] * 3).astype(jnp.int32), 2)]
    return barrier(albedo * (1 - cover) + colour[:, None, None] * cover)


def artefacts(
    linear: Float[Array, "3 h w"], key: Key[Array, ""], latent: int, field: float, density: float | Float[Array, ""]
) -> Float[Array, "3 h w"]:
    """A ruler at the lower edge, two gel bubbles, a purple ink dot, a dark ring, each with probability ``density``."""
    draws = canvas.materialise(*canvas.uniform(key, latent, (16,)))
    present = (draws[:5] < density).astype(jnp.float32)
    x, y = canvas.grid(linear.shape[1], field)
    x, y = x[None, :], y[:, None]
    soft = 1.5 * field / linear.shape[1]

    def paint(image: Float[Array, "3 h w"], cover: Float[Array, "h w"], colour: list[float]) -> Float[Array, "3 h w"]:
        cover = barrier(cover)
        return barrier(image * (1 - cover) + jnp.asarray(colour)[:, None, None] * cover)

    millimetre = jnp.abs((x + draws[5]) % 1.0 - 0.5) * 2
    ticks = jax.nn.sigmoid((millimetre - 0.75) / 0.08) * jax.nn.sigmoid((y - 0.42 * field) / soft)
    linear = paint(linear, present[0] * ticks, [0.02, 0.02, 0.02])
    for i in (1, 2):
        cx, cy, r = (draws[5 + i] - 0.5) * field, (draws[7 + i] - 0.5) * field, 0.4 + 0.5 * draws[9 + i]
        rim = jnp.exp(-0.5 * ((jnp.hypot(x - cx, y - cy) - r) / (0.5 * soft)) ** 2)
        linear = paint(linear, 0.5 * present[i] * rim, [0.9, 0.9, 0.9])
    dot = jax.nn.sigmoid((0.7 - jnp.hypot(x - (draws[12] - 0.5) * field, y - (draws[13] - 0.5) * field)) / soft)
    linear = paint(linear, 0.8 * present[3] * dot, [0.16, 0.05, 0.32])
    ring = jax.nn.sigmoid((jnp.hypot(x, y) - 0.53 * field) / soft)
    return paint(linear, present[4] * ring, [0.01, 0.01, 0.01])
