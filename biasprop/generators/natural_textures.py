"""A stand-in for natural images: coloured, textured shapes that occlude each other, and nothing medical.

Opaque shapes of power-law sizes on a textured ground (the dead leaves model, Lee, Mumford and Huang 2001), each with a
1/f texture of its own: statistics that are enough for an encoder to learn useful features (Baradad et al. 2021).
"""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import canvas
from biasprop.generators.canvas import normal, uniform
from biasprop.nn.xla_barriers import barrier

SMALLEST, LARGEST = 0.06, 0.5
"""Range of a shape's radius, in widths of the view; its density falls with the cube, as in natural scenes."""


class Latent(enum.IntEnum):
    """Frozen integers of this source's latents; never renumber."""

    GROUND = 0
    SHAPES = 1
    COLOURS = 2
    TEXTURES = 3
    NOISE = 4


class NaturalTextures(Component):
    """Images of no subject: a textured ground under ellipses, boxes and stars."""

    kind: Literal["natural_textures"] = "natural_textures"
    shapes: Annotated[int, Field(ge=1, le=64)] = 10
    """Shapes laid over each other."""
    modes: Annotated[int, Field(ge=1, le=16)] = 5
    """Highest frequency of a texture, cycles a view."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.12
    """Sd of a texture, in units of the full range."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Sd of the camera's white noise."""

    shows_subjects: ClassVar[bool] = False

    def render(self, key: Key[Array, ""], shape: tuple[int, int, int]) -> Float[Array, "h w c"]:
        """One image in [0, 1], of any number of channels.

        Args:
            key: owns the image.
            shape: height, which is the width, and channels.
        """
        size, _, channels = shape
        colours = uniform(key, Latent.COLOURS, (self.shapes + 1, channels))
        draws = normal(key, Latent.TEXTURES, (self.shapes + 1, *canvas.modes_of(self.modes)))
        textures = jax.vmap(lambda field: canvas.gaussian_field(field, size, exponent=2.0))(draws)
        x, y = canvas.grid(size, 1.0)
        covers = jax.vmap(lambda own: _cover(own, x, y))(uniform(key, Latent.SHAPES, (self.shapes, 7)))
        covers = barrier(jnp.concatenate([jnp.ones((1, size, size)), covers]))  # the ground covers everything
        over = jnp.concatenate([1 - covers[1:], jnp.ones((1, size, size))])
        seen = covers * jnp.cumprod(over[::-1], axis=0)[::-1]  # of each surface, what the later ones leave
        image = jnp.einsum("shw,sc->hwc", seen, colours)
        image = image + self.contrast * jnp.sum(seen * textures, axis=0)[:, :, None]
        grain = self.noise * normal(key, Latent.NOISE, (size, size, channels))
        return jnp.clip(image + grain, 0, 1)


def _cover(draws: Float[Array, " 7"], x: Float[Array, " w"], y: Float[Array, " h"]) -> Float[Array, "h w"]:
    """How much of each pixel a shape covers: an ellipse, a box or a star, of any size, place and turn."""
    across, down, size, turn, stretch, sort, points = draws
    # P(radius > r) falls with the square of r, between the two ends.
    radius = (SMALLEST**-2 + (LARGEST**-2 - SMALLEST**-2) * size) ** -0.5
    cos, sin, lengthen = jnp.cos(2 * jnp.pi * turn), jnp.sin(2 * jnp.pi * turn), jnp.exp(0.7 * (stretch - 0.5))
    right, below = (x - (1.2 * across - 0.6))[None, :], (y - (1.2 * down - 0.6))[:, None]
    u, v = (right * cos + below * sin) * lengthen, (below * cos - right * sin) / lengthen
    distance = jnp.sqrt(u**2 + v**2 + 1e-6)
    box = jnp.maximum(jnp.abs(u), jnp.abs(v)) * 1.13
    rays = jnp.floor(3 + 5 * points)
    star = distance / (1 + 0.35 * jnp.cos(rays * jnp.arctan2(v, u + 1e-6)))
    inside = jnp.where(sort < 1 / 3, distance, jnp.where(sort < 2 / 3, box, star))
    return jax.nn.sigmoid((radius - inside) * 2 * len(x))
