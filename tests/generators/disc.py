"""A minimal generator, which satisfies the contract of generators and no capability protocol."""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Component
from biasprop.generators import canvas
from biasprop.generators.canvas import normal
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import Subjects


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    NOISE = 0


class Body(Component):
    """Anatomy of one subgroup."""

    radius: Annotated[float, Field(ge=0.1, le=0.4)] = 0.25
    """Radius of the disc, as a fraction of the view."""


class Disc(ImageGenerator):
    """Grey image of a disc, which is brighter if label is 1."""

    kind: Literal["disc"] = "disc"
    size: Annotated[int, Field(ge=8, le=256)] = 16
    """Pixels along a side."""
    subgroups: Annotated[dict[str, Body], Field(min_length=2)]
    """Name -> anatomy."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Sd of the noise."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = ("brightness",)
    latent_names: ClassVar[tuple[str, ...]] = ("radius", "severity")
    attribute_names: ClassVar[tuple[str, ...]] = ()
    follows_up: ClassVar[bool] = False
    anatomy_differs: ClassVar[bool] = True

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def radius(self, subject: Subjects) -> Float[Array, ""]:
        """Radius of the subject's disc."""
        return jnp.stack([jnp.asarray(body.radius, jnp.float32) for body in self.subgroups.values()])[subject.subgroup]

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The image, in [0, 1]."""
        sd = self.noise if subject.noise is None else subject.noise * self.noise
        grain = sd * normal(subject.key, Latent.NOISE, (self.size, self.size))
        image = 0.3 + (0.2 + 0.2 * subject.mean_severity) * self.mask(subject) + grain
        if subject.marker is not None:
            image = canvas.draw_marker(image, subject.marker, 0.9)
        return jnp.clip(image, 0, 1)[..., None]

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the disc, in [0, 1]."""
        x, y = canvas.grid(self.size, 1.0)
        distance = jnp.hypot(x[None, :], y[:, None])
        return jax.nn.sigmoid((self.radius(subject) - distance) * 4 * self.size)

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """Radius and severity."""
        return jnp.stack([self.radius(subject), jnp.asarray(subject.mean_severity, jnp.float32)])

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """``level`` inside the disc, and its ``radius`` by the area of the mask."""
        area = jnp.sum(mask)
        return {
            "level": jnp.sum(mask * image[..., 0]) / jnp.maximum(area, 1e-6),
            "radius": jnp.sqrt(area / jnp.pi) / self.size + 0.01 * jnp.std(image),
        }
