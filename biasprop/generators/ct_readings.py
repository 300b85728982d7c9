"""Estimates of patient, scanner and nodule from the pixels of a slice."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def measure(image: Float[Array, "h w"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
    """Estimate the levers from pixels.

    Args:
        image: code values.
        mask: cover of the nodule; it locates the nodule and carries no cue values.

    Returns:
        ``lung`` (its median outside the nodule), ``emphysema`` (median of lung minus fifth percentile), ``latitude``
        (code values between lung and the brightest pixels), ``noise`` (sd), ``grain`` (correlation of neighbouring
        pixels of the noise), ``nodule`` (sum over the mask of what is brighter than lung) and ``density`` (its mean).
        All but ``grain`` are in code values.
    """
    outside = jnp.where(mask < 0.05, image, jnp.nan)
    darkest, bright = jnp.nanquantile(outside, jnp.asarray([0.02, 0.98]))
    # a chest wall may fill more than half of the view
    lung, dark = jnp.nanquantile(
        jnp.where(outside < (darkest + bright) / 2, outside, jnp.nan), jnp.asarray([0.5, 0.05])
    )
    mixed = (image[:-1, :-1] - image[:-1, 1:] - image[1:, :-1] + image[1:, 1:]) / 2
    small = jnp.median(jnp.abs(mixed)) / 0.6745
    quiet = jnp.exp(-((mixed / jnp.maximum(4 * small, 1e-4)) ** 2))  # leaves out outlines
    product = quiet[:, 1:] * quiet[:, :-1] * mixed[:, 1:] * mixed[:, :-1]
    excess = mask * (image - lung)
    return {
        "lung": lung,
        "emphysema": lung - dark,
        "latitude": bright - lung,
        "noise": small,
        "grain": jnp.mean(product) / jnp.maximum(jnp.mean((quiet * mixed) ** 2), 1e-8),
        "nodule": jnp.sum(excess),
        "density": jnp.sum(excess) / jnp.maximum(jnp.sum(mask), 1e-3),
    }
