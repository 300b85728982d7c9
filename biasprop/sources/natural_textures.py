"""A stand-in for natural images: coloured, textured, mutually occluding shapes without medical content.

Opaque shapes of power-law sizes on a textured ground (the dead leaves model, Lee, Mumford and Huang 2001), each with
its own 1/f texture; such statistics suffice for an encoder to learn useful features (Baradad et al. 2021).
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop import keys
from biasprop.component import Component
from biasprop.generators import canvas
from biasprop.generators.canvas import normal, uniform
from biasprop.interfaces import Example, Generator, Objective, ObjectiveInputs, Pool, Population, Spec
from biasprop.nn.xla_barriers import barrier

MIN_RADIUS, MAX_RADIUS = 0.06, 0.5
"""Range of a shape's radius, in widths of the view; its density falls as 1 / radius^3, as in natural scenes."""


class Latent(enum.IntEnum):
    """Frozen integers of this source's latents; never renumber."""

    GROUND = 0
    SHAPES = 1
    COLOURS = 2
    TEXTURES = 3
    NOISE = 4


class NaturalTextures(Component):
    """Non-medical images: ellipses, boxes and stars on a textured ground."""

    kind: Literal["natural_textures"] = "natural_textures"
    shapes: Annotated[int, Field(ge=1, le=64)] = 10
    """Number of overlapping shapes."""
    modes: Annotated[int, Field(ge=1, le=16)] = 5
    """Highest frequency of a texture, cycles per view."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.12
    """Sd of a texture, in units of the full range."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Sd of the white noise."""

    shows_subjects: ClassVar[bool] = False
    in_domain: ClassVar[bool] = False

    def incompatibility(self, spec: Spec) -> str | None:
        """Why it cannot stand in for examples of this spec, or None: it draws square images and nothing else."""
        if set(spec) != {"image"}:
            return f"{self.kind} draws images; the generator's examples are {', '.join(spec)}"
        return None

    def observed_by(self, generator: Generator) -> Generator:
        """The study's generator, because there are no subjects."""
        return generator

    def pool(
        self,
        key: Key[Array, ""],
        generator: Generator,
        population: Population,
        attributes: Any = None,
        replicate: Key[Array, ""] | None = None,
    ) -> Pool:
        """Images of the shape of the study's."""
        return TexturePool(key, self, generator.spec)

    def observe(self, key: Key[Array, ""], spec: Spec) -> Example:
        """One image in [0, 1], of any number of channels."""
        size, _, channels = spec["image"].shape
        return {"image": self._image(key, size, channels)}

    def _image(self, key: Key[Array, ""], size: int, channels: int) -> Float[Array, "h w c"]:
        colours = uniform(key, Latent.COLOURS, (self.shapes + 1, channels))
        draws = normal(key, Latent.TEXTURES, (self.shapes + 1, *canvas.field_draws_shape(self.modes)))
        textures = jax.vmap(lambda field: canvas.gaussian_field(field, size, exponent=2.0))(draws)
        x, y = canvas.grid(size, 1.0)
        covers = jax.vmap(lambda shape_draws: _shape_cover(shape_draws, x, y))(
            uniform(key, Latent.SHAPES, (self.shapes, 7))
        )
        covers = barrier(jnp.concatenate([jnp.ones((1, size, size)), covers]))  # the ground covers everything
        uncovered = jnp.concatenate([1 - covers[1:], jnp.ones((1, size, size))])
        visible = covers * jnp.cumprod(uncovered[::-1], axis=0)[::-1]  # the part that later shapes do not cover
        image = jnp.einsum("shw,sc->hwc", visible, colours)
        image = image + self.contrast * jnp.sum(visible * textures, axis=0)[:, :, None]
        grain = self.noise * normal(key, Latent.NOISE, (size, size, channels))
        return jnp.clip(image + grain, 0, 1)


class TexturePool(NamedTuple):
    """Images of :class:`NaturalTextures`, by index (a :class:`biasprop.interfaces.Pool`)."""

    key: Key[Array, ""]
    source: NaturalTextures
    spec: Spec

    @property
    def shares(self) -> Float[Array, " 1"]:
        """All images are one subgroup."""
        return jnp.ones(1)

    def subgroup_of(self, rows: Int[Array, " n"]) -> Int[Array, " n"]:
        """The only subgroup."""
        return jnp.zeros_like(rows)

    def inputs(self, rows: Int[Array, " n"], objective: Objective | None) -> ObjectiveInputs:
        """Images alone."""
        example_keys = keys.at_each(keys.stream(self.key, keys.Stream.SOURCE), rows)
        observe = jax.vmap(lambda example_key: self.source.observe(example_key, self.spec))
        return ObjectiveInputs(observe(example_keys), {})


def _shape_cover(draws: Float[Array, " 7"], x: Float[Array, " w"], y: Float[Array, " h"]) -> Float[Array, "h w"]:
    """Fraction of each pixel covered by a shape: an ellipse, a box or a star."""
    across, down, size, turn, stretch, kind, points = draws
    # P(radius > r) is proportional to r^-2, up to a constant, between the two limits.
    radius = (MIN_RADIUS**-2 + (MAX_RADIUS**-2 - MIN_RADIUS**-2) * size) ** -0.5
    cos, sin, lengthen = jnp.cos(2 * jnp.pi * turn), jnp.sin(2 * jnp.pi * turn), jnp.exp(0.7 * (stretch - 0.5))
    right, below = (x - (1.2 * across - 0.6))[None, :], (y - (1.2 * down - 0.6))[:, None]
    u, v = (right * cos + below * sin) * lengthen, (below * cos - right * sin) / lengthen
    distance = jnp.sqrt(u**2 + v**2 + 1e-6)
    box = jnp.maximum(jnp.abs(u), jnp.abs(v)) * 1.13
    rays = jnp.floor(3 + 5 * points)
    star = distance / (1 + 0.35 * jnp.cos(rays * jnp.arctan2(v, u + 1e-6)))
    inside = jnp.where(kind < 1 / 3, distance, jnp.where(kind < 2 / 3, box, star))
    return jax.nn.sigmoid((radius - inside) * 2 * len(x))
