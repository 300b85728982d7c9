"""Lung around a nodule in one slice: parenchyma, emphysema, vessels and chest wall in HU, before the scanner.

Lengths are mm. A structure that does not fill the thickness of the slice has a share of its pixel: round structures
fill ``2 sqrt(r^2 - d^2)`` of it at the distance d from their centre or axis.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.ct_patients import Body

SOFT_HU, BONE_HU = 40.0, 500.0
"""Vessels and muscle, and a rib."""
LOW_HU, EMPHYSEMA_HU, EMPHYSEMA_SD_HU = -950.0, -975.0, 6.0
"""Bound of what counts as low attenuation, and mean and sd of emphysema, which stays below the bound."""
TEXTURE_MODES, TEXTURE_EXPONENT = 7, 3.0
"""Highest frequency of the parenchyma's field, cycles per view, and exponent of its power law."""
EMPHYSEMA_EXPONENT, EMPHYSEMA_KNEE = 3.0, 4.0
"""Exponent and knee (cycles per view) of the field below whose quantile lung is emphysema: holes of some 5 mm."""
THRESHOLD_HALVINGS = 16
"""Bisections of the range of that field in search of its quantile."""

TREES, TREE_DRAWS = 6, 10
"""Vessels with one branch each, and uniforms of each."""
LEAST_RADIUS, RADIUS_RANGE = 0.5, 1.5
"""Radius of a vessel where it crosses the middle of the slice: .5 to 2 mm, most of them thin."""
TAPER, LEAST_TAPER = 40.0, 0.25
"""Distance over which a vessel would taper to nothing, mm, and the share of its radius that is left at least."""
LEAST_SLOPE, SLOPE_RANGE = 0.03, 2.0
"""Rise of a vessel out of the slice per length within it: from .03 to 2.03."""

WALL_SHARE, WALL_CURVATURE = 0.25, 1 / 120
"""Share of slices that show the chest wall, and its curvature, 1 / mm."""
RIB_DEPTH, RIB_HALF_THICKNESS, RIB_HALF_LENGTH = 7.0, 4.0, 14.0
"""Distance of a rib's axis from the pleura, and half its thickness and its length in the slice, mm."""


class AnatomyDraws(NamedTuple):
    """Draws of a slice; uniforms where stated, else standard normals."""

    texture: Float[Array, "k k"]
    emphysema: Float[Array, "k k"]
    trees: Float[Array, "t u"]
    """uniform"""
    wall: Float[Array, " 8"]
    """uniform: hilum, presence, direction, distance and rib; the others are not used"""


class Anatomy(NamedTuple):
    """The slice without its nodule on the pixel grid."""

    hu: Float[Array, "h w"]
    """Mean HU over the thickness of the slice."""
    lung: Float[Array, "h w"]
    """1 where a pixel shows nothing but lung, else 0; low attenuation is a percentage of these pixels."""
    inside: Float[Array, "h w"]
    """Share of each pixel that is inside the pleura, in [0, 1]."""


def filled(
    radius: float | Float[Array, "*s"], square: Float[Array, "h w"], thickness: float | Float[Array, ""]
) -> Float[Array, "h w"]:
    """Share of the slice that a ball, or a cylinder within the slice, fills; 0 outside.

    Args:
        radius: mm.
        square: square of the distance from its centre or axis, mm^2.
        thickness: of the slice, mm.
    """
    inside = jnp.sqrt(jnp.maximum(radius**2 - square, 1e-6)) - 1e-3  # a square root of 0 has no derivative
    return jnp.minimum(2 / thickness * inside, 1)


def draw(
    body: Body,
    draws: AnatomyDraws,
    place: Float[Array, " 2"],
    thickness: Float[Array, ""],
    *,
    size: int,
    field_of_view: float | Float[Array, ""],
    texture: float | Float[Array, ""],
) -> Anatomy:
    """Draw a slice.

    Args:
        body: scalars, which are computed once behind a barrier.
        draws: independent of the subgroup and of the nodule.
        place: of the nodule, mm from the centre to the right and down; the chest wall is at some distance from it.
        thickness: of the slice, mm.
        size: pixels along a side.
        field_of_view: width of the view, mm.
        texture: sd of the parenchyma, HU.
    """
    x, y = canvas.grid(size, field_of_view)
    thickness = canvas.materialise(thickness)[0]
    vessels = _vessels(draws, x, y, thickness, field_of_view)
    wall, rib = _wall(draws.wall, place, x, y, field_of_view / size)
    lung = ((vessels <= 0) & (wall <= 0)).astype(jnp.float32)

    uneven = canvas.gaussian_field(draws.texture, size, exponent=TEXTURE_EXPONENT)
    holes = canvas.gaussian_field(draws.emphysema, size, exponent=EMPHYSEMA_EXPONENT, knee=EMPHYSEMA_KNEE)
    threshold = _quantile(holes, lung, body.low_attenuation / 100)
    dense = jnp.maximum(body.lung + texture * uneven, LOW_HU + 1)
    hollow = EMPHYSEMA_HU + EMPHYSEMA_SD_HU * jnp.clip(uneven, -3, 3)
    hu = jnp.where(holes < threshold, hollow, dense)
    hu = hu + vessels * (SOFT_HU - hu)
    hu = hu + wall * (SOFT_HU + (BONE_HU - SOFT_HU) * rib - hu)
    return Anatomy(hu, lung, 1 - wall)


def _quantile(field: Float[Array, "h w"], weight: Float[Array, "h w"], share: Float[Array, ""]) -> Float[Array, ""]:
    """The value below which a share of the weight lies, by bisection, which is faster than sorting on XLA:CPU."""
    asked = share * jnp.sum(weight)

    def halve(_: int, bounds: tuple[Float[Array, ""], Float[Array, ""]]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        low, high = bounds
        middle = (low + high) / 2
        below = jnp.sum(weight * (field < middle)) <= asked
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    return jax.lax.fori_loop(0, THRESHOLD_HALVINGS, halve, (jnp.min(field), jnp.max(field)))[0]


def _vessels(
    draws: AnatomyDraws,
    x: Float[Array, " w"],
    y: Float[Array, " h"],
    thickness: Float[Array, ""],
    field_of_view: float | Float[Array, ""],
) -> Float[Array, "h w"]:
    """Share of each pixel that vessels fill.

    They run from the hilum, somewhere outside the view, taper on their way and leave the slice at a slope: within it
    they are tubes, across it discs.
    """
    u = draws.trees.T
    start = field_of_view * 1.1 * (u[:2] - 0.5)
    turn = 2 * jnp.pi * draws.wall[0] + 1.7 * (u[2] - 0.5)
    branch = turn + jnp.sign(u[3] - 0.5) * (0.45 + 0.6 * u[4])
    radius = LEAST_RADIUS + RADIUS_RANGE * u[5] ** 3
    slopes = LEAST_SLOPE + SLOPE_RANGE * jnp.concatenate([u[6], u[7]]) ** 2
    bend = 0.015 * (jnp.concatenate([u[8], u[9]]) - 0.5)
    radii = jnp.concatenate([radius, 0.75 * radius])
    angles = jnp.concatenate([turn, branch])
    scalars = jnp.stack(
        [
            *jnp.concatenate([start, start], axis=1),
            jnp.cos(angles),
            jnp.sin(angles),
            radii,
            bend,
            slopes,
            jnp.concatenate([jnp.full(TREES, -1e3), jnp.zeros(TREES)]),  # a branch starts where it leaves its vessel
        ]
    )

    def vessel(*scalars: Float[Array, ""]) -> Float[Array, "h w"]:
        left, top, cos, sin, radius, bend, slope, first = scalars
        across, down = x - left, y[:, None] - top
        along = across * cos + down * sin
        aside = down * cos - across * sin - bend * along**2
        radius = radius * jnp.clip(1 - along / TAPER, LEAST_TAPER, 1.4)
        shown = jnp.clip(0.5 + (thickness / 2 - slope * jnp.abs(along)) / (2 * radius), 0, 1) * (along >= first)
        return shown * filled(radius, aside**2, thickness)

    return canvas.union(vessel, scalars, jnp.zeros((len(y), len(x))))


def _wall(
    draws: Float[Array, " 8"],
    place: Float[Array, " 2"],
    x: Float[Array, " w"],
    y: Float[Array, " h"],
    pixel: float | Float[Array, ""],
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Shares of each pixel that chest wall and rib fill; the wall is 3 to 18 mm from the nodule's centre."""
    turn = 2 * jnp.pi * draws[2]
    distance = jnp.where(draws[1] < WALL_SHARE, 3 + 15 * draws[3], 1e3)
    cos, sin, distance, middle, left, top = canvas.materialise(
        jnp.cos(turn), jnp.sin(turn), distance, 40 * (draws[4] - 0.5), *place
    )
    across, down = x - left, (y - top)[:, None]
    along = down * cos - across * sin
    depth = across * cos + down * sin - distance + WALL_CURVATURE / 2 * along**2
    radial = jnp.abs(depth - RIB_DEPTH) / RIB_HALF_THICKNESS
    rib = 1 - radial**2 - ((along - middle) / RIB_HALF_LENGTH) ** 4
    return jnp.clip(depth / pixel + 0.5, 0, 1), jnp.clip(RIB_HALF_THICKNESS / pixel * rib, 0, 1)
