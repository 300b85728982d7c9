"""A linear model of a photographed lesion: optical density in its latents, before the camera clips."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from biasprop.interfaces import Subjects

TOGETHER = 48
"""Latents whose slopes are worked out together; more take more memory and not less time."""


class LinearModel(NamedTuple):
    """What a linear model of the image about one subject needs to know; ``m`` latents, ``p`` pixels and channels."""

    push: Float[Array, " m"]
    """How far one unit of severity moves each latent."""
    slopes: Float[Array, "p m"]
    """Of optical density in the latents."""
    electrons: Float[Array, " p"]
    """Of each pixel; their number plus the square of the read noise, over their number squared, is the variance of
    optical density."""


@jax.jit
def linear(generator: Any, subject: Subjects) -> LinearModel:
    """The linear model of a generator's images about one subject, half-way between the classes.

    Args:
        generator: a :class:`biasprop.generators.dermoscopy.Dermoscopy`.
        subject: whose place and orientations are known, because no line approximates them.
    """
    drawn = generator._draws(subject)
    lines = generator._lines(subject)
    known = {"place": drawn.place, "direction": drawn.direction}
    free, rebuild = ravel_pytree(drawn._replace(place=None, direction=None))

    def density(latents: Float[Array, " m"]) -> Float[Array, " p"]:
        draws = rebuild(latents)._replace(**known)
        albedo = generator._albedo(subject.subgroup, draws, draws.cues + 0.5 * generator.loading, lines)
        return -jnp.log(albedo * generator._light(subject.subgroup, draws)).ravel()

    def slope(along: Float[Array, " m"]) -> Float[Array, " p"]:
        return jax.jvp(density, (free,), (along,))[1]

    still = jax.tree.map(jnp.zeros_like, drawn._replace(place=None, direction=None))
    push, _ = ravel_pytree(still._replace(cues=still.cues + generator.loading))
    slopes = jax.lax.map(slope, jnp.eye(free.size), batch_size=TOGETHER).T
    return LinearModel(push, slopes, generator.white_electrons * jnp.exp(-density(free)))
