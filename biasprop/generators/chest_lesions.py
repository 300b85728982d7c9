"""Consolidation, nodule and effusion on the pixel grid of a chest film, from their cues and place.

Places and sizes are relative to the lungs, so twins of different age have a lesion of one side, lobe and relative size,
and not of one size in cm. A cue is in units of its sd between people of one severity; a healthy lung has the faint
opacities of 0 (atelectasis, a vessel seen end-on, a blunt angle), so that no cue decides alone.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.generators.canvas import materialise
from biasprop.generators.chest_anatomy import LUNG, Lungs
from biasprop.nn.xla_barriers import barrier

LOBE_SHARES = (0.3, 0.2, 0.5)
"""Share of the upper, the middle (on the left the lingula) and the lower lobe."""
LOBE_CENTRES = (-0.50, 0.10, 0.48)
"""Height of the centre of a lobe relative to the lungs: -1 apex, 1 base."""
CONSOLIDATED = 0.2053
"""Attenuation of consolidated tissue, cm^2 / g (muscle and lung tissue at 60 keV)."""
DENSITY, AERATED = 0.70, 0.26
"""Density of consolidated lung (published range .5 to .9) and of aerated lung, g / cm^3."""
NODULE_PER_CM = 0.16
"""Attenuation of a nodule of soft tissue in lung, per cm."""
ROUND_SHARE = 0.3
"""Share of pneumonias that are round, in children below about eight years."""
FIELD_MODES = 6
"""Highest frequency of the field that consolidation follows, cycles per film."""


class Place(NamedTuple):
    """Where a lesion is; a lesion of each disease has its own."""

    left: Float[Array, ""]
    """1 on the patient's left, 0 on the right."""
    lobe: Float[Array, ""]
    """0, 1 or 2: upper, middle or lower."""
    offset: Float[Array, " 2"]
    """Position inside the lobe, to the side and down, in [-1, 1]."""


class Lesion(NamedTuple):
    """One lesion on the pixel grid."""

    cover: Float[Array, "h w"]
    """Fraction of each pixel covered by the lesion, in [0, 1]."""
    attenuation: Float[Array, "h w"]
    """Attenuation that it adds, log units."""


def place(draws: Float[Array, " 4"]) -> Place:
    """A place from uniforms: either side is equally likely, lobes as in :data:`LOBE_SHARES`."""
    side, lobe, across, down = draws
    upper, middle, _ = LOBE_SHARES
    index = (lobe >= upper).astype(jnp.float32) + (lobe >= upper + middle)
    return Place((side >= 0.5).astype(jnp.float32), index, 2 * jnp.stack([across, down]) - 1)


def consolidation(
    lungs: Lungs,
    where: Place,
    cues: Float[Array, " 4"],
    field: Float[Array, "k k"],
    age: Float[Array, ""],
    is_round: Float[Array, ""],
) -> Lesion:
    """Pneumonia: lobar in adults; in young children perihilar and in patches, or round.

    Args:
        lungs: of the patient.
        where: place of the main focus.
        cues: extent, density, definition of the margin, and size of a second focus in the same lung.
        field: standard normals of the field whose threshold is the outline.
        age: years.
        is_round: uniform; below :data:`ROUND_SHARE` pneumonia is round if the patient is young.
    """
    size = lungs.cover.shape[0]
    young = sigmoid((8 - age) / 1.5)
    single = young * (is_round < ROUND_SHARE)
    patchy = young - single
    extent, density, margin, spread = cues
    centre = jnp.asarray(LOBE_CENTRES)[where.lobe.astype(jnp.int32)]
    across = 0.45 + 0.10 * where.offset[0] - 0.13 * patchy
    down = centre + 0.10 * where.offset[1] - 0.3 * patchy * centre
    wide, high = 0.25 - 0.08 * single, 0.30 - 0.06 * single
    scale = jnp.exp(0.18 * extent)
    across, down, wide, high, sharp, rough, cm, second = materialise(
        across,
        down,
        wide * scale,
        high * scale,
        3 * jnp.exp(0.35 * margin),
        0.30 + 0.55 * patchy - 0.25 * single,
        1.5 * jnp.exp(0.70 * density),
        sigmoid(1.4 * (spread - 1.5)),
    )
    uneven = canvas.gaussian_field(field, size, exponent=3.0, knee=2.0)

    def focus(at: Float[Array, ""], shrink: float) -> Float[Array, "h w"]:
        inside = 1 - ((lungs.across - across) / (shrink * wide)) ** 2 - ((lungs.down - at) / (shrink * high)) ** 2
        return sigmoid(sharp * (inside + rough * uneven))

    other = jnp.where(down > 0, down - 0.75, down + 0.75)
    filled = 1 - (1 - focus(down, 1.0)) * (1 - second * focus(other, 0.7))
    cover = barrier(filled * lungs.cover * _side(lungs, where.left))
    return Lesion(cover, CONSOLIDATED * (DENSITY - AERATED) * cover * jnp.minimum(cm, lungs.path))


def nodule(lungs: Lungs, where: Place, cues: Float[Array, " 4"]) -> Lesion:
    """A nodule of about 8 to 20 mm in an adult, and of the same size relative to the lung in a child.

    Args:
        lungs: of the patient.
        where: its place.
        cues: size, density, definition of the margin, and roundness.
    """
    extent, density, margin, roundness = cues
    centre = jnp.asarray(LOBE_CENTRES)[where.lobe.astype(jnp.int32)]
    radius_cm = 0.45 * jnp.exp(0.22 * extent)
    stretch = jnp.exp(0.30 * sigmoid(-roundness))
    across, down, radius, stretch, sharp, peak = materialise(
        0.45 + 0.20 * where.offset[0],
        centre + 0.18 * where.offset[1],
        radius_cm * 1.6 / 26.5,
        stretch,
        2 * jnp.exp(0.30 * margin),
        NODULE_PER_CM * 2 * radius_cm * 0.8 * jnp.exp(0.40 * density),
    )
    p, q = (lungs.across - across) / (radius * stretch), (lungs.down - down) * 0.66 / (radius / stretch)
    cover = sigmoid(sharp * (1.2 - p**2 - q**2)) * lungs.cover * _side(lungs, where.left)
    return Lesion(cover, peak * cover)


def effusion(lungs: Lungs, where: Place, cues: Float[Array, " 4"], supine: Float[Array, ""]) -> Lesion:
    """Fluid above the diaphragm, which climbs along the chest wall; supine it lies behind the lung as a veil.

    Args:
        lungs: of the patient.
        where: its side.
        cues: level, height of the meniscus, thickness, and veil.
        supine: 1 if the patient is supine.
    """
    level, meniscus, thickness, veil = cues
    height, climb, cm, haze = materialise(
        0.03 + 0.07 * jnp.exp(0.5 * level) * (1 - 0.6 * supine),
        0.10 * jnp.exp(0.4 * meniscus) * (1 - 0.6 * supine),
        1.2 * jnp.exp(0.45 * thickness),
        0.06 * jnp.exp(0.5 * veil) * (1 + supine),
    )
    surface = height - 0.08 + climb * ((lungs.across - 0.30) / 0.40) ** 2
    pool = sigmoid(30 * (surface - lungs.above_diaphragm))
    behind = haze * sigmoid(4 * (lungs.down - 0.1))
    whole = lungs.cover * _side(lungs, where.left)
    cover = barrier(whole * (1 - (1 - pool) * (1 - jnp.minimum(3 * behind, 1))))
    return Lesion(cover, whole * ((0.2053 - LUNG) * pool * jnp.minimum(cm, lungs.path) + behind))


def _side(lungs: Lungs, left: Float[Array, ""]) -> Float[Array, " w"]:
    """1 on one side, else 0."""
    return left * lungs.left + (1 - left) * (1 - lungs.left)
