"""Constants of each image."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import InputConstants

MIN_SD = 1 / 255
"""Smallest standard deviation that is divided by: one step of an 8-bit image."""


class OfImage(Component):
    """Each image minus its mean, by its standard deviation, over all pixels and channels, so that hues remain.

    Whatever makes a whole image brighter, darker or flatter does not reach the network.
    """

    kind: Literal["image"] = "image"

    of_cohort: ClassVar[bool] = False

    def apply(self, images: Float[Array, "n h w c"], constants: InputConstants | None) -> Float[Array, "n h w c"]:
        """Standardised images."""
        axes = (1, 2, 3)
        centred = images - jnp.mean(images, axes, keepdims=True)
        # The minimum is added to the variance, because the root has no slope at 0.
        return centred / jnp.sqrt(jnp.mean(jnp.square(centred), axes, keepdims=True) + MIN_SD**2)
