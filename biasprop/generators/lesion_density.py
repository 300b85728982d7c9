"""Linear model of a photographed lesion: optical density as a function of its latents, before clipping."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from biasprop.interfaces import Subjects

SLOPE_BATCH = 48
"""Latents differentiated per batch; larger batches take more memory and no less time."""


class LinearModel(NamedTuple):
    """Linear model of the image about one subject, with ``m`` latents and ``p`` pixels times channels."""

    loadings: Float[Array, " m"]
    """Change of each latent per unit of severity."""
    slopes: Float[Array, "p m"]
    """Derivative of optical density with respect to the latents."""
    electrons: Float[Array, " p"]
    """Expected electrons per pixel, ``e``; the variance of optical density is ``(e + read noise^2) / e^2``."""


@jax.jit
def linearise(generator: Any, subject: Subjects) -> LinearModel:
    """Linear model of a generator's images about one subject, half-way between the classes.

    Args:
        generator: a :class:`biasprop.generators.dermoscopy.Dermoscopy`.
        subject: its lesion position and orientations are fixed, because the image is far from linear in them.
    """
    subject_draws = generator._draws(subject)
    lines = generator._lines(subject)
    fixed = {"place": subject_draws.place, "direction": subject_draws.direction}
    free, rebuild = ravel_pytree(subject_draws._replace(place=None, direction=None))

    def density(latents: Float[Array, " m"]) -> Float[Array, " p"]:
        draws = rebuild(latents)._replace(**fixed)
        albedo = generator._albedo(subject, draws, draws.cues + 0.5 * generator.loading, lines)
        return -jnp.log(albedo * generator._light(subject, draws)).ravel()

    def slope(tangent: Float[Array, " m"]) -> Float[Array, " p"]:
        return jax.jvp(density, (free,), (tangent,))[1]

    zero = jax.tree.map(jnp.zeros_like, subject_draws._replace(place=None, direction=None))
    loadings, _ = ravel_pytree(zero._replace(cues=zero.cues + generator.loading))
    slopes = jax.lax.map(slope, jnp.eye(free.size), batch_size=SLOPE_BATCH).T
    return LinearModel(loadings, slopes, generator.white_electrons * jnp.exp(-density(free)))
