"""Grey-world colour constancy (Buchsbaum, J. Franklin Institute 310, 1980), as used for photographs of skin."""

from __future__ import annotations

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import InputConstants

MIN_MEAN = 1 / 255
"""Smallest mean of a channel that is divided by: one step of an 8-bit image."""


class ColourConstancy(Component):
    """Each channel is scaled to a mean of 1/2 over the pixels of the image; then as the normalisation ``fixed``.

    It takes the colour of the light out of an image, and with it the mean colour of the skin. An image of one channel
    keeps its contrast relative to its mean.
    """

    kind: Literal["colour_constancy"] = "colour_constancy"

    of_cohort: ClassVar[bool] = False

    def apply(self, images: Float[Array, "n h w c"], constants: InputConstants | None) -> Float[Array, "n h w c"]:
        """Images with balanced channels."""
        mean = jnp.mean(images, (1, 2), keepdims=True)
        return 4 * (images * (0.5 / jnp.maximum(mean, MIN_MEAN)) - 0.5)
