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
        ``lung`` (its median outside the nodule), ``emphysema`` (mean of how much darker than that lung is),
        ``latitude`` (code values between lung and the brightest pixels), ``noise`` (sd within lung), ``grain``
        (correlation of neighbouring pixels of the noise), ``nodule`` (sum over the mask of what is brighter than lung)
        and ``density`` (its mean). All but ``grain`` are in code values.
    """
    outside = jnp.where(mask < 0.05, image, jnp.nan)
    darkest, brightest = jnp.nanquantile(outside, jnp.asarray([0.02, 0.98]))
    # the chest wall may fill more than half of the view, and its edge is steeper than any noise
    parenchyma = jnp.where(outside <= (darkest + brightest) / 2, outside, jnp.nan)
    lung = jnp.nanmedian(parenchyma)
    x = parenchyma
    mixed = (x[:-1, :-1] - x[:-1, 1:] - x[1:, :-1] + x[1:, 1:]) / 2  # as canvas.noise_sd; NaN beside what is not lung
    robust = jnp.nan_to_num(jnp.nanmedian(jnp.abs(mixed)) / 0.6745)
    smooth = jnp.abs(mixed) <= 4 * robust
    within = jnp.where(smooth, mixed, 0.0)
    noise = jnp.sqrt(jnp.sum(within**2) / jnp.maximum(jnp.sum(smooth), 1))  # a median alone would be less precise
    excess = mask * (image - lung)
    return {
        "lung": lung,
        "emphysema": jnp.nanmean(jnp.maximum(lung - parenchyma, 0)),
        "latitude": brightest - lung,
        "noise": noise,
        "grain": jnp.sum(within[:, 1:] * within[:, :-1]) / jnp.maximum(jnp.sum(within**2), 1e-8),
        "nodule": jnp.sum(excess),
        "density": jnp.sum(excess) / jnp.maximum(jnp.sum(mask), 1e-3),
    }
