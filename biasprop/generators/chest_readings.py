"""Estimates of anatomy, acquisition and disease from the pixels of a chest film."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.chest_anatomy import RIB_SPACING


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
    return {
        "ratio": heart * (2 / size) / 1.6,
        "breast": mean("lower_lateral") - mean("upper_lateral"),
        "lung_area": jnp.mean(dark * (chest > 0)),
        "rib_slope": rib_slope(table),
        "consolidation": inside - mirrored,
        "latitude": jnp.sqrt(jnp.sum(chest * (table - level) ** 2)),
        "level": level,
        "trunk": jnp.sum(_windows(size)["trunk_rows"] * sigmoid(3 * (table - level + 1.2))),
        "noise": canvas.noise_sd(table[..., None]),
    }


def rib_slope(table: Float[Array, "h w"]) -> Float[Array, ""]:
    """Slope of the posterior ribs, degrees downwards to the side, from the shift of their wave between columns.

    Ribs are equidistant, so every column over a lung has a phase at their frequency; the mean step of this phase from
    one column to the next, towards the side, is the slope. Films of fewer than two pixels per rib cannot show it.
    """
    waves, sides = (jnp.asarray(each) for each in _rib_waves(len(table)))
    cosine, sine = waves @ (table - jnp.mean(table, axis=0))
    # The real and imaginary part of the product of each column with the conjugate of the one before it.
    real = cosine[1:] * cosine[:-1] + sine[1:] * sine[:-1]
    imaginary = sine[1:] * cosine[:-1] - cosine[1:] * sine[:-1]
    step = jnp.arctan2(jnp.sum(sides * imaginary), jnp.sum(jnp.abs(sides) * real))
    return jnp.degrees(jnp.arctan(step * RIB_SPACING / (2 * jnp.pi) * len(table) / 2))


@functools.cache
def _rib_waves(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Windowed cosine and sine of the ribs' frequency down a column, and the sides of steps between columns: 1 over
    the left lung beside any heart, -1 over the right one, else 0."""
    axis = 2 * (np.arange(size) + 0.5) / size - 1
    window = np.where(np.abs(axis + 0.2) < 0.36, 1 + np.cos(np.pi * (axis + 0.2) / 0.36), 0.0)
    phase = 2 * np.pi * axis / RIB_SPACING
    waves = np.stack([window * np.cos(phase), window * np.sin(phase)])
    waves -= window * waves.sum(axis=1, keepdims=True) / max(window.sum(), 1e-6)  # blind to the mean
    between = (axis[1:] + axis[:-1]) / 2
    sides = np.sign(between) * ((np.abs(between) > 0.47) & (np.abs(between) < 0.68))
    return waves.astype(np.float32), sides.astype(np.float32)


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
        "trunk_rows": box(-1, 1, -0.1, 0.3),
    }
    rows = box(-0.72, 0.72, 0.05, 0.35)
    found = {name: weight / max(weight.sum(), 1) for name, weight in both.items()}
    return found | {"heart_rows": rows / max((rows.sum(axis=1) > 0).sum(), 1)}
