"""A pigmented lesion on the pixel grid, from its five cues and draws that are independent of disease."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.canvas import materialise


class Draws(NamedTuple):
    """All draws of a photograph except hair, artefacts and camera noise: standard normals, or uniforms if stated."""

    tone: Float[Array, ""]
    blood: Float[Array, ""]
    texture: Float[Array, "13 13"]
    cues: Float[Array, " 5"]
    place: Float[Array, " 2"]
    """uniform"""
    shape: Float[Array, ""]
    outline: Float[Array, " 12"]
    direction: Float[Array, " 2"]
    """uniform"""
    pigment: Float[Array, ""]
    pigment_field: Float[Array, "11 11"]
    vessel_field: Float[Array, "11 11"]
    light: Float[Array, " 3"]
    grown_area: Float[Array, ""] | None = None
    """Not a draw: area gained since the first photograph, mm^2."""


class Lesion(NamedTuple):
    """One lesion on the pixel grid."""

    cover: Float[Array, "h w"]
    """Fraction of each pixel covered by the lesion, in [0, 1]."""
    pigment: Float[Array, "h w"]
    """Added melanosome fraction."""
    blood: Float[Array, "h w"]
    """Added blood fraction."""


def draw(
    draws: Draws,
    cues: Float[Array, " 5"],
    *,
    size: int,
    field_of_view: float,
    pigment: Float[Array, ""],
    elongation: float,
) -> Lesion:
    """Draw one lesion.

    Args:
        draws: draws that are independent of disease.
        cues: size, border, asymmetry, variegation and edge, in units of their sd at fixed severity.
        size: pixels along a side.
        field_of_view: width of the view, mm.
        pigment: melanosome fraction added by the lesion.
        elongation: factor on the extent across its long axis; the extent along that axis is divided by it.
    """
    extent, border, asymmetry, variegation, edge = cues
    place = (draws.place - 0.5) * 3.6
    turn = jnp.pi * draws.direction
    stretch = jnp.exp(0.10 * draws.shape)
    if elongation != 1:
        stretch = stretch * elongation
    pose = materialise(place[0], place[1], stretch, jnp.cos(turn[0]), jnp.sin(turn[0]))
    diameter = jnp.clip(4.5 * jnp.exp(0.30 * extent), 2.0, 9.5)
    if draws.grown_area is not None:
        diameter = jnp.sqrt(diameter**2 + 4 / jnp.pi * draws.grown_area)
    radius, roughness, width = materialise(
        0.5 * diameter,
        0.36 * jax.nn.sigmoid(-1.25 + 1.3 * border),
        0.55 * jnp.exp(-0.35 * edge),
    )
    lean_u, lean_v, uneven, amount = materialise(
        *(2 * jax.nn.sigmoid(-1.386 + 1.26 * asymmetry) * f(2 * turn[1]) for f in (jnp.cos, jnp.sin)),
        0.7 * jax.nn.sigmoid(-1.466 + 1.8 * variegation),
        pigment,
    )
    waves = materialise(*draws.outline).reshape(2, 6)

    x, y = canvas.grid(size, field_of_view)
    across, down, stretch, cos, sin = (x - pose[0])[None, :], (y - pose[1])[:, None], *pose[2:]
    u, v = (across * cos + down * sin) * stretch, (down * cos - across * sin) / stretch
    distance = jnp.sqrt(u**2 + v**2 + 1e-6)
    outline = radius * (1 + roughness * canvas.harmonics(u / distance, v / distance, waves))
    cover = jax.nn.sigmoid((outline - distance) / width)
    # On a disc of radius r, a linear weight 1 + 4 a t / r has its centroid at a r; a is at most 1/2.
    lean = jnp.maximum(1 + (lean_u * u + lean_v * v) / jnp.maximum(radius, distance), 0.05)
    field = canvas.gaussian_field(draws.pigment_field, size, exponent=2.0, knee=2.0)
    vessels = canvas.gaussian_field(draws.vessel_field, size, exponent=2.0, knee=2.0)
    return Lesion(
        cover=cover,
        pigment=amount * cover * lean * jnp.exp(uneven * field - uneven**2 / 2),
        blood=0.008 * cover * jnp.exp(uneven * vessels),
    )
