"""Estimates of anatomy, acquisition and disease from the pixels of a brain slice."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.brain_anatomy import HEAD_MM


def measure(image: Float[Array, "h w"], mask: Float[Array, "h w"], field_of_view: int) -> dict[str, Float[Array, ""]]:
    """Estimate the levers from pixels.

    Args:
        image: magnitudes.
        mask: cover of the disease, as an annotator would outline it; it locates the disease and carries no cue values.
        field_of_view: mm.

    Returns:
        ``level`` (mean over the white matter beside the ventricles), relative to which are ``ventricle`` and ``cortex``
        (means over the lateral ventricle and over the cortex with its sulci), ``lesion`` (mean inside the mask beyond
        the mean around it), ``shading`` (front minus back of the hemisphere), ``noise`` (sd) and ``background`` (mean
        beside the head); ``head`` (half-width of the head, mm).
    """
    size = len(image)
    windows = _windows(size, field_of_view)

    def mean(name: str) -> Float[Array, ""]:
        return jnp.sum(windows[name] * image)

    level = jnp.maximum(mean("white"), 1e-3)
    weight = jnp.sum(mask)
    near = _near(size)
    around = (near @ mask @ near.T) * (1 - mask)
    inside = jnp.sum(mask * image) / jnp.maximum(weight, 1e-3)
    outside = jnp.sum(around * image) / jnp.maximum(jnp.sum(around), 1e-3)
    columns = jnp.sum(windows["middle_rows"] * sigmoid(20 * (image / level - 0.35)))  # that show the head
    return {
        "level": level,
        "ventricle": mean("ventricle") / level,
        "cortex": mean("cortex") / level,
        "lesion": (inside - outside) / level,
        "shading": (mean("front") - mean("back")) / level,
        "noise": canvas.noise_sd(image[..., None]) / level,
        "background": mean("air") / level,
        "head": columns * field_of_view / size,
    }


@functools.cache
def _windows(size: int, field_of_view: int) -> dict[str, np.ndarray]:
    """Weights of the regions of an image in which something is read; all but ``middle_rows`` sum to 1."""
    axis = ((np.arange(size) + 0.5) / size - 0.5) * field_of_view
    x, y = (axis + max(HEAD_MM - field_of_view / 2, 0.0))[None, :], axis[:, None]
    pixel = field_of_view / size

    def box(left: float, right: float, top: float, bottom: float) -> np.ndarray:
        """Share of each pixel in a rectangle, mm."""
        across, down = (
            np.clip((np.minimum(at + pixel / 2, high) - np.maximum(at - pixel / 2, low)) / pixel, 0, 1)
            for at, low, high in ((x, left, right), (y, top, bottom))
        )
        return (across * down).astype(np.float32)

    means = {
        "white": box(33, 46, -40, -24) + box(33, 46, 24, 40),
        "ventricle": box(4, 14, -24, 24),
        "cortex": box(52, 66, -44, 44),
        "front": box(15, 50, -44, -24),
        "back": box(15, 50, 24, 44),
        "air": box(84, HEAD_MM, -44, 44),
    }
    rows = box(0, HEAD_MM, -24, 24)
    found = {name: weight / max(weight.sum(), 1e-6) for name, weight in means.items()}
    return found | {"middle_rows": rows / max(rows.max(axis=1).sum(), 1e-6)}


@functools.cache
def _near(size: int) -> np.ndarray:
    """Weights of the pixels within about three of each along one axis."""
    apart = np.arange(size)[:, None] - np.arange(size)[None, :]
    return np.exp(-(apart**2) / (2 * 3.0**2)).astype(np.float32)
