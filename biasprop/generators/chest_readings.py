"""Estimates of anatomy, acquisition and disease from the pixels of a chest film."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas


def measure(film: Float[Array, "h w"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
    """Estimate the levers from pixels.

    Args:
        film: code values.
        mask: cover of the disease, as an annotator would outline it; it locates the disease and carries no cue values.

    Returns:
        ``ratio`` (cardiothoracic), ``breast`` (attenuation of the lower lateral zones over that of the upper ones),
        ``lung_area`` (share of the film that is as dark as lung), ``rib_slope`` (degrees, downwards to the side),
        ``consolidation`` (attenuation inside the mask over that of the other side), ``latitude`` (spread of attenuation
        over the chest), ``level`` (its mean), ``trunk`` (share of the film's width that is not air) and ``noise`` (sd).
        Attenuation is in units of the look-up table's input, the log-odds of code values.
    """
    size = len(film)
    code = jnp.clip(film, 1e-4, 1 - 1e-4)
    table = jnp.log(code) - jnp.log1p(-code)

    def mean(name: str) -> Float[Array, ""]:
        return jnp.sum(_windows(size)[name] * table)

    lung, solid = mean("lung"), mean("midline")
    dark = sigmoid(6 * ((lung + solid) / 2 - table) / jnp.maximum(solid - lung, 0.1))
    heart = jnp.sum(_windows(size)["heart_rows"] * (1 - dark))  # mean over the rows, sum over the thorax
    chest = _windows(size)["chest"]
    level = jnp.sum(chest * table)
    mirrored = jnp.sum(mask[:, ::-1] * table) / jnp.maximum(jnp.sum(mask), 1e-3)
    inside = jnp.sum(mask * table) / jnp.maximum(jnp.sum(mask), 1e-3)
    right, left = (jnp.asarray(_windows(size)[name]) for name in ("right_ribs", "left_ribs"))
    slope = canvas.minor_axis_angle(table, right) - canvas.minor_axis_angle(table, left)
    return {
        "ratio": heart * (2 / size) / 1.6,
        "breast": mean("lower_lateral") - mean("upper_lateral"),
        "lung_area": jnp.mean(dark * (chest > 0)),
        "rib_slope": slope / 2,
        "consolidation": inside - mirrored,
        "latitude": jnp.sqrt(jnp.sum(chest * (table - level) ** 2)),
        "level": level,
        "trunk": jnp.sum(_windows(size)["trunk_rows"] * sigmoid(3 * (table - level + 1.2))),
        "noise": canvas.noise_sd(table[..., None]),
    }


@functools.cache
def _windows(size: int) -> dict[str, np.ndarray]:
    """Weights of the regions of a film in which something is read; all but ``heart_rows`` sum to 1."""
    axis = 2 * (np.arange(size) + 0.5) / size - 1
    u, v = axis[None, :], axis[:, None]

    def box(left: float, right: float, top: float, bottom: float) -> np.ndarray:
        inside = (u >= left) & (u <= right) & (v >= top) & (v <= bottom)
        return inside.astype(np.float32)

    both = {
        "lung": box(-0.65, -0.25, -0.5, 0.1) + box(0.25, 0.65, -0.5, 0.1),
        "midline": box(-0.13, 0.13, -0.2, 0.4),
        "chest": box(-0.75, 0.75, -0.65, 0.65),
        "lower_lateral": box(-0.75, -0.45, 0.1, 0.45) + box(0.5, 0.75, 0.1, 0.45),
        "upper_lateral": box(-0.65, -0.35, -0.5, -0.15) + box(0.35, 0.65, -0.5, -0.15),
        "right_ribs": box(-0.75, -0.25, -0.5, 0.1),
        "left_ribs": box(0.25, 0.75, -0.5, 0.1),
        "trunk_rows": box(-1, 1, -0.1, 0.3),
    }
    rows = box(-0.72, 0.72, 0.05, 0.35)
    found = {name: weight / max(weight.sum(), 1) for name, weight in both.items()}
    return found | {"heart_rows": rows / max((rows.sum(axis=1) > 0).sum(), 1)}
