"""A pulmonary nodule on the pixel grid, from its cues, its place and its age.

Four cues separate malignant from benign nodules: size, density, lobulation and spiculation. Each is in units of its sd
between nodules of one severity. Benign nodules have the same cues at severity 0, so no cue decides alone. Lengths are
mm and the same in all twins.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.ct_anatomy import filled

DIAMETER, DIAMETER_LOG_SD, LEAST_DIAMETER, LARGEST_DIAMETER = 6.0, 0.45, 3.0, 30.0
"""Median diameter of benign nodules, sd of its logarithm, and range at the first scan, mm."""
SUBSOLID, PART_SOLID = 0.9, 1.5
"""Values of the density cue from which a nodule is of ground glass, and from which it has a solid core. The order is
that of the share of malignant nodules in a class: solid, ground glass, part-solid."""
SOLID_HU, SOLID_SD_HU = 30.0, 25.0
"""Mean of a solid nodule or core, and its sd between nodules."""
GROUND_GLASS_HU, INVASIVE_HU = -675.0, -562.0
"""Mean of ground glass that is barely denser than lung (the published cut of pre-invasive lesions) and of ground glass
next to being part-solid (that of invasive ones)."""
SPICULATED, SPICULE_MM, SPICULE_SLOPE, LONGEST_SPICULE = 1.28, 3.0, 0.8, 9.0
"""Value of the spiculation cue at which the longest spicules are 3 mm, change of the log length per unit of it, and
greatest length, mm. Some 10 % of benign and 45 % of malignant nodules are beyond it."""
SPICULES, SPICULE_RADIUS = 8, 0.6
"""Number of spicules, and radius at the margin of the nodule, mm."""
OUTLINE_ORDERS, LOWEST_ORDER = 4, 3
"""Number of harmonics of a lobulated outline, and the lowest."""
ROUGHEST = 0.28
"""Largest sd of the radius along the outline, relative to the radius."""
DOUBLING_DAYS = (267.0, 848.0, 598.0)
"""Mean volume doubling time of malignant nodules that are solid, of ground glass and part-solid, days."""
DOUBLING_LOG_SD = 0.4
"""Sd of the log doubling time between nodules."""
DAYS_PER_MONTH = 30.4375
MASK_THICKNESS = 0.5
"""Thickness of the slice in which the mask is drawn, mm: no slice shows more of a nodule."""


class NoduleDraws(NamedTuple):
    """Draws that are independent of malignancy; uniforms where stated, else standard normals."""

    place: Float[Array, " 2"]
    """uniform"""
    shape: Float[Array, " 2"]
    """elongation and HU"""
    direction: Float[Array, ""]
    """uniform"""
    outline: Float[Array, "2 k"]
    spicules: Float[Array, "2 s"]
    """uniform: directions and relative lengths"""
    doubling: Float[Array, ""]


class Nodule(NamedTuple):
    """One nodule on the pixel grid."""

    cover: Float[Array, "h w"]
    """Share of each pixel that the nodule fills, in [0, 1]."""
    hu: Float[Array, "h w"]
    """HU of the nodule."""


def place(draws: NoduleDraws) -> Float[Array, " 2"]:
    """Centre of the nodule, mm from the centre of the view to the right and down."""
    return 14 * (draws.place - 0.5)


def diameter(size: Float[Array, ""], growth: float | Float[Array, ""] = 1.0) -> Float[Array, ""]:
    """Diameter, mm.

    Args:
        size: cue.
        growth: factor since the first scan.
    """
    return growth * jnp.clip(DIAMETER * jnp.exp(DIAMETER_LOG_SD * size), LEAST_DIAMETER, LARGEST_DIAMETER)


def density_class(density: Float[Array, ""]) -> Float[Array, ""]:
    """0 solid, 1 ground glass, 2 part-solid, from the density cue."""
    return (density >= SUBSOLID).astype(jnp.float32) + (density >= PART_SOLID)


def growth(
    density: Float[Array, ""], severity: Float[Array, ""], draw: Float[Array, ""], months: Float[Array, ""]
) -> Float[Array, ""]:
    """Factor on the diameter after some months; the volume is its cube.

    Args:
        density: cue, whose class has a mean doubling time.
        severity: growth is proportional to it; a nodule of severity 0 or less is stable.
        draw: standard normal of this nodule's doubling time.
        months: since the first scan.
    """
    mean = jnp.asarray(DOUBLING_DAYS)[density_class(density).astype(jnp.int32)]
    days = mean * jnp.exp(DOUBLING_LOG_SD * draw - DOUBLING_LOG_SD**2 / 2)
    return 2 ** (jnp.maximum(severity, 0) * months * DAYS_PER_MONTH / days / 3)


def draw(
    draws: NoduleDraws,
    cues: Float[Array, " 4"],
    grown: float | Float[Array, ""],
    thickness: float | Float[Array, ""],
    *,
    size: int,
    field_of_view: float | Float[Array, ""],
) -> Nodule:
    """Draw a nodule as it fills the slice through its centre.

    Args:
        draws: independent of malignancy.
        cues: size, density, lobulation and spiculation.
        grown: factor on the nodule since the first scan, whose shape stays.
        thickness: of the slice, mm.
        size: pixels along a side.
        field_of_view: width of the view, mm.
    """
    extent, density, lobulation, spiculation = cues
    centre, turn = place(draws), jnp.pi * draws.direction
    first, subsolid = diameter(extent) / 2, density_class(density)
    invasive = jnp.clip((density - SUBSOLID) / (PART_SOLID - SUBSOLID), 0, 1)
    core = jnp.where(subsolid == 2, 0.3 + 0.4 * jnp.clip((density - PART_SOLID) / 1.5, 0, 1), 0.0)
    rim = jnp.where(
        subsolid == 0,
        SOLID_HU + SOLID_SD_HU * draws.shape[1],
        GROUND_GLASS_HU + (INVASIVE_HU - GROUND_GLASS_HU) * invasive,
    )
    thin = thickness / grown
    left, top, cos, sin, stretch, radius, rough, length, core, rim, solid, grown, thin, soft = canvas.materialise(
        *centre,
        jnp.cos(turn),
        jnp.sin(turn),
        jnp.exp(0.10 * draws.shape[0]),
        first,
        ROUGHEST * sigmoid(lobulation - 2),
        jnp.minimum(SPICULE_MM * jnp.exp(SPICULE_SLOPE * (spiculation - SPICULATED)), LONGEST_SPICULE),
        core,
        rim,
        SOLID_HU + SOLID_SD_HU * draws.shape[1],
        jnp.asarray(grown, jnp.float32),
        jnp.asarray(thin, jnp.float32),
        jnp.maximum(thin, jnp.where(subsolid == 0, 0.0, 1.6 * first)),
    )
    waves = canvas.materialise(*draws.outline.ravel()).reshape(2, OUTLINE_ORDERS)

    x, y = canvas.grid(size, field_of_view)
    across, down = (x - left)[None, :], (y - top)[:, None]
    u, v = (across * cos + down * sin) * stretch / grown, (down * cos - across * sin) / stretch / grown
    square = u**2 + v**2 + 1e-6
    distance = jnp.sqrt(square)
    outline = radius * (1 + rough * canvas.harmonics(u / distance, v / distance, waves, LOWEST_ORDER))
    bulk = filled(jnp.maximum(outline, 0.2 * radius), square, soft)
    cover = _with_spicules(bulk, draws.spicules, u, v, radius, length, thin)
    inner = filled(core * radius, square, thin)
    return Nodule(cover, rim + (solid - rim) * inner)


def _with_spicules(
    bulk: Float[Array, "h w"],
    draws: Float[Array, "2 s"],
    u: Float[Array, "h w"],
    v: Float[Array, "h w"],
    radius: Float[Array, ""],
    length: Float[Array, ""],
    thickness: float | Float[Array, ""],
) -> Float[Array, "h w"]:
    """Share of each pixel that the bulk of a nodule or a spicule fills.

    Spicules are strands from the margin outwards, which taper to a point.
    """
    angle = 2 * jnp.pi * (jnp.arange(SPICULES) + 0.8 * draws[0]) / SPICULES

    def spicule(cos: Float[Array, ""], sin: Float[Array, ""], reach: Float[Array, ""]) -> Float[Array, "h w"]:
        along, aside = u * cos + v * sin, v * cos - u * sin
        width = SPICULE_RADIUS * jnp.clip(1 - (along - radius) / reach, 0, 1) * (along > 0)
        return filled(width, aside**2, thickness)

    scalars = jnp.stack([jnp.cos(angle), jnp.sin(angle), length * (0.4 + 0.6 * draws[1])])
    return canvas.union(spicule, scalars, bulk)
