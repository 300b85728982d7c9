"""A healthy chest on the film: lungs, heart, mediastinum, bones, breasts and fat as thicknesses and attenuations.

Coordinates ``u`` (right on the image, which is the patient's left) and ``v`` (down) run from -1 to 1 over the film,
whose collimation follows the patient: the inner thorax is always 1.6 wide, so one unit is ``width / 1.6`` cm, and a
child differs from an adult by proportions and not by scale. Thicknesses are analytic, in cm; attenuation is the log of
incident over transmitted intensity at an effective energy of 60 keV. Shapes without a stated source are conventions
that were chosen by looking at the images.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import canvas
from biasprop.nn.xla_barriers import barrier

THORAX = 1.6
"""Inner width of the thorax on the film, units."""
SOFT, LUNG, BONE, BREAST, FAT = 0.215, 0.0534, 0.39, 0.2046, 0.1875
"""Linear attenuation per cm at 60 keV: muscle (NIST), what lung of density .26 adds, what cortical bone adds to soft
tissue, breast of density 1.02 and adipose tissue of .95."""
REFERENCE_ENERGY = 60.0
"""Effective energy of these attenuations, keV."""
SOFT_EXPONENT, BONE_EXPONENT, BREAST_EXPONENT, FAT_EXPONENT = 0.67, 1.85, 0.57, 0.48
"""Attenuation falls with effective energy as its power to minus these, from 40 to 60 keV (NIST tables of muscle,
cortical bone, breast and adipose tissue)."""

ADULT_WIDTH, WIDTH_DEFICIT, WIDTH_YEARS, WIDTH_SD = 26.5, 0.52, 10.0, 2.0
"""Inner thoracic width, cm: 26.5 with sd 2.0 in young adults, and 14 to 18 at 1 to 5 years; the approach to the adult
width is exponential, with this relative deficit at birth and this time constant in years."""
RATIO_SD, RATIO_TAIL = 0.026, 0.5
"""Cardiothoracic ratio per unit of the cue of width, and what :func:`enlargement` adds to a large one. In healthy
people of one age and sex the sd is .028 (published: .026 at 16 to 24 years)."""
ROTATION, LONG_AXIS, SHORT_AXIS = 0.5, 1.04, 0.72
"""Rotation of the heart's long axis towards the patient's left, radians, and its semi-axes relative to each other."""
RIB_SPACING, RIB_WIDTH, RIB_CM = 0.165, 0.024, 0.41
"""Distance of ribs and sd of a rib's profile, units; cortical thickness of a rib, cm."""
VERTEBRA = 0.15
"""Height of a vertebra, units."""
BREAST_CENTRE, BREAST_RADII = (0.46, 0.36), (0.34, 0.30)
"""Place of the left breast on the film and its radii, to the side and down, units."""
TEXTURE_EXPONENT = 2.8
"""Exponent of the power law of anatomical noise (2 to 3.5 in chest films; 2.8 is the mean in mammograms, Burgess
2003)."""
TEXTURE_MODES = 7
"""Highest frequency of anatomical noise, cycles per film; with more, products of matrices on a CPU sum in an order that
depends on the place of a subject in its batch."""


class Body(NamedTuple):
    """What of a patient and of the position for the film determines the anatomy; scalars."""

    age: Float[Array, ""]
    """Years."""
    female: Float[Array, ""]
    """1 female, 0 male."""
    bmi: Float[Array, ""]
    """Body mass index, kg / m^2, of an adult of the same rank."""
    width: Float[Array, ""]
    """Inner thoracic width, cm."""
    ratio: Float[Array, ""]
    """Cardiothoracic ratio on the film, magnification included."""
    breast: Float[Array, ""]
    """Thickness of a breast, cm."""
    thymus: Float[Array, ""]
    """Size of the thymic sail, 0 to 1."""
    supine: Float[Array, ""]
    """1 anteroposterior and supine, 0 posteroanterior and upright."""
    inspiration: Float[Array, ""]
    """Depth of inspiration, standard normal."""
    shift: Float[Array, " 2"]
    """Shift of the patient to the right and down on the film, units."""
    short_axis: Float[Array, ""]
    """Factor on the short axis of the heart: above 1 it is globular."""
    pedicle: Float[Array, ""]
    """Factor on the width of the vascular pedicle."""
    vessels: Float[Array, ""]
    """Factor on the attenuation of the hila."""
    energy: Float[Array, ""]
    """Effective energy of the beam, keV."""

    @property
    def child(self) -> Float[Array, ""]:
        """1 at birth, falling to 0 within the first years."""
        return jnp.exp(-self.age / 4)

    @property
    def depth(self) -> Float[Array, ""]:
        """Anteroposterior depth of the thorax, cm: round in infants, oval later."""
        return self.width * (0.62 + 0.25 * self.child)

    @property
    def rib_slope(self) -> Float[Array, ""]:
        """Slope of the posterior ribs, degrees downwards to the side: 8 in newborns, 25 in adults."""
        return 8 + 17 * (1 - self.child)

    @property
    def half_height(self) -> Float[Array, ""]:
        """Half the height of the lungs, units."""
        return 0.66 - 0.10 * self.child


class Lungs(NamedTuple):
    """The lungs on the pixel grid, and coordinates relative to them."""

    path: Float[Array, "h w"]
    """Thickness of aerated lung in the beam, cm."""
    cover: Float[Array, "h w"]
    """Fraction of each pixel that shows lung in front of no heart or mediastinum, in [0, 1]."""
    across: Float[Array, " w"]
    """Distance from the midline, units; lung is at .1 to .8 on either side."""
    left: Float[Array, " w"]
    """1 on the patient's left, else 0."""
    down: Float[Array, "h 1"]
    """Position relative to the lungs: -1 apex, 1 base."""
    above_diaphragm: Float[Array, "h w"]
    """Height above the diaphragm, units."""


class Anatomy(NamedTuple):
    """A chest without consolidation, nodule or effusion on the pixel grid."""

    attenuation: Float[Array, "h w"]
    """Log of incident over transmitted intensity."""
    lungs: Lungs
    heart: Float[Array, "h w"]
    """Fraction of each pixel covered by the heart, in [0, 1]."""


def thoracic_width(age: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Mean inner width of the thorax, cm, at an age in years."""
    return ADULT_WIDTH * (1 - WIDTH_DEFICIT * jnp.exp(-age / WIDTH_YEARS))


def cardiothoracic_ratio(age: Float[Array, "*s"], female: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Mean cardiothoracic ratio of healthy people on posteroanterior films, at an age in years.

    Fitted to published means: .459 in adults (female .467, male .452) and rising with age (Mensah 2015), .460 at
    16 to 24 years, and up to .6 in infants who are healthy.
    """
    years = jnp.maximum(age - 30, 0)
    return 0.455 + 0.10 * jnp.exp(-age / 2.5) + 0.0006 * years + 0.007 * (2 * female - 1)


def enlargement(cue: Float[Array, ""]) -> Float[Array, ""]:
    """Width of the heart that a cue stands for, in units of :data:`RATIO_SD`: the cue itself up to 1 and more than that
    above it, for enlarged hearts are a long tail; with mean 0 in healthy people, whose cue is standard normal."""
    mean = 0.0753398  # of the squared excess of a standard normal over 1: 2 (1 - Phi(1)) - phi(1)
    return cue + RATIO_TAIL * (jnp.maximum(cue - 1, 0) ** 2 - mean)


def softer(energy: Float[Array, ""], exponent: float) -> Float[Array, ""]:
    """Attenuation at an effective energy in keV relative to that at :data:`REFERENCE_ENERGY`."""
    return (REFERENCE_ENERGY / energy) ** exponent


def magnification(distance: float | Float[Array, ""]) -> Float[Array, ""]:
    """Width of the heart on an anteroposterior film over that on a posteroanterior one (Chon 2011).

    Args:
        distance: from the focus to the film, cm.
    """
    return 1 / jnp.asarray(0.00099 * distance + 0.79, jnp.float32)


def draw(body: Body, field: Float[Array, "k k"], size: int, texture: float | Float[Array, ""]) -> Anatomy:
    """Draw a chest.

    Args:
        body: scalars, which are computed once behind a barrier.
        field: standard normals of the anatomical noise (:func:`biasprop.generators.canvas.field_draws_shape`).
        size: pixels along a side.
        texture: relative sd of the lung's attenuation.
    """
    child, depth, half = canvas.materialise(body.child, body.depth, body.half_height)
    x, y = canvas.grid(size, 2.0)
    u, v = x - body.shift[0], (y - body.shift[1])[:, None]
    across, left = jnp.abs(u), (u > 0).astype(jnp.float32)

    heart = _heart(body, u, v, half)
    mediastinum = _mediastinum(body, across, left, v, child)
    solid = barrier(1 - (1 - 0.85 * heart) * (1 - 0.9 * mediastinum))

    down = (v + 0.08) / half
    centre, lung_half_width = 0.40 + 0.02 * left, 0.385 - 0.02 * left
    apex = 0.75 + 0.25 * sigmoid(6 * (down + 0.35))
    inside = 1 - jnp.abs((across - centre) / lung_half_width) ** 2.4 * apex**-2.4 - jnp.abs(down) ** 2.6
    breath = 0.025 * body.inspiration - 0.05 * body.supine
    dome = 0.52 - 0.10 * child + breath + 0.14 * ((across - 0.40) / 0.4) ** 2 - 0.05 * (1 - left)
    above = dome - v
    lung = jnp.sqrt(jnp.maximum(inside, 1e-6)) * sigmoid(35 * above)
    path = 0.78 * depth * lung * (1 - solid)
    cover = jnp.minimum(2 * lung, 1) * (1 - solid)

    trunk, rim = _trunk(body, u, v)
    uneven = canvas.gaussian_field(field, size, exponent=TEXTURE_EXPONENT)
    hilum = jnp.exp(-(((across - 0.20) / 0.08) ** 2)) * jnp.exp(-(((v + 0.06) / 0.13) ** 2))
    airway = jnp.exp(-((u / 0.045) ** 4)) * sigmoid(30 * (-0.20 - v)) * sigmoid(30 * (0.9 + v))
    air = 1.4 * (0.6 + 0.4 * (1 - child)) * airway + _stomach(u, v)
    soft = jnp.maximum(0.95 * depth * trunk - path - air, 0)
    tissue, bone, breast, adipose = canvas.materialise(
        softer(body.energy, SOFT_EXPONENT),
        BONE * softer(body.energy, BONE_EXPONENT),
        BREAST * softer(body.energy, BREAST_EXPONENT),
        FAT * softer(body.energy, FAT_EXPONENT),
    )
    attenuation = (
        tissue * (SOFT * soft + LUNG * path * (1 + texture * uneven) + 0.16 * body.vessels * hilum * (1 - solid))
        + bone * _bones(body, u, v)
        + breast * _breasts(body, across, v)
        + adipose * 2 * rim
    )
    lungs = Lungs(path, cover, across, left, down, above)
    return Anatomy(barrier(attenuation), lungs, heart)


def _heart(body: Body, u: Float[Array, " w"], v: Float[Array, "h 1"], half: Float[Array, ""]) -> Float[Array, "h w"]:
    """Cover of the heart: an ellipse whose apex points to the patient's left and down."""
    cos, sin = jnp.cos(ROTATION), jnp.sin(ROTATION)
    short = SHORT_AXIS * body.short_axis
    extent = jnp.sqrt((LONG_AXIS * cos) ** 2 + (short * sin) ** 2)
    scale, short = canvas.materialise(THORAX / 2 * body.ratio / extent, short)
    along, down = u - 0.10, v - (half - 0.42)
    p = (along * cos + down * sin) / (LONG_AXIS * scale)
    q = (down * cos - along * sin) / (short * scale)
    return sigmoid(24 * (1 - p**2 - q**2))


def _mediastinum(
    body: Body, across: Float[Array, " w"], left: Float[Array, " w"], v: Float[Array, "h 1"], child: Float[Array, ""]
) -> Float[Array, "h w"]:
    """Cover of great vessels and thymus; the aortic knob bulges to the left, the thymic sail to the right."""
    knob = 0.06 * (1 - child) * (1 + 0.008 * jnp.maximum(body.age - 30, 0))
    bulge = jnp.exp(-(((v + 0.34) / 0.08) ** 2)) * left * knob
    upper = sigmoid(30 * (-0.10 - v))
    sail = 0.22 * body.thymus * jnp.clip((v + 0.66) / 0.44, 0, 1) * sigmoid(40 * (-0.20 - v)) * (1 - left)
    edge = 0.13 * body.pedicle + 0.06 * child * upper + bulge + sail
    return sigmoid(40 * (edge - across)) * sigmoid(30 * (0.55 - v))


def _trunk(
    body: Body, u: Float[Array, " w"], v: Float[Array, "h 1"]
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Relative depth of the trunk at every pixel, and thickness of its subcutaneous fat on either side, cm."""
    layer = fat(body)
    flank = canvas.materialise(0.86 + layer / body.width * THORAX)[0]
    across, girdle = jnp.abs(u), sigmoid(12 * (-0.50 - v))
    half_width = flank + 0.35 * girdle
    radius = (across / half_width) ** 2
    top = -0.72 - 0.20 * (1 - across) - 0.40 * jnp.exp(-((u / 0.26) ** 4))
    outline = sigmoid(22 * (1 - radius)) * sigmoid(24 * (v - top))
    return outline * (1 - 0.35 * girdle) * jnp.sqrt(jnp.maximum(1 - 0.75 * radius**2, 0.05)), layer * outline


def fat(body: Body) -> Float[Array, ""]:
    """Thickness of subcutaneous fat, cm; in a child it has the same ratio to the width of the thorax as in an adult of
    the same rank."""
    return (0.5 + 0.1 * jnp.maximum(body.bmi - 20, 0)) * body.width / ADULT_WIDTH


def _stomach(u: Float[Array, " w"], v: Float[Array, "h 1"]) -> Float[Array, "h w"]:
    """Thickness of the gas bubble of the stomach under the left diaphragm, cm."""
    inside = 1 - ((u - 0.42) / 0.16) ** 2 - ((v - 0.68) / 0.09) ** 2
    return 3.0 * jnp.sqrt(jnp.maximum(inside, 1e-6))


def _bones(body: Body, u: Float[Array, " w"], v: Float[Array, "h 1"]) -> Float[Array, "h w"]:
    """Thickness of mineralised bone, cm: posterior ribs, spine and clavicles; less in children, and after 40 years."""
    across = jnp.abs(u)
    mineral = (1 - 0.004 * jnp.maximum(body.age - 40, 0)) * (0.55 + 0.45 * (1 - body.child))
    mineral, slope, lift = canvas.materialise(mineral, jnp.tan(jnp.radians(body.rib_slope)), 0.07 * body.supine)
    course = v - slope * (across - 0.25) - 0.75 * jnp.maximum(across - 0.55, 0) ** 2
    # Equidistant Gaussian profiles are a periodic function, up to its higher harmonics that of a von Mises law.
    concentration = (RIB_SPACING / (2 * jnp.pi * RIB_WIDTH)) ** 2
    profile = jnp.exp(concentration * (jnp.cos(2 * jnp.pi / RIB_SPACING * (course + 0.72)) - 1))
    mean = jax.scipy.special.i0e(concentration)
    profile = mean + _aperture(RIB_SPACING, len(v)) * (profile - mean)
    cage = sigmoid(40 * (course + 0.80)) * sigmoid(40 * (0.68 - course))
    ribs = RIB_CM * profile * cage * sigmoid(40 * (0.86 - across)) * sigmoid(40 * (across - 0.06))
    discs = 0.3 * _aperture(VERTEBRA, len(v)) * jnp.cos(2 * jnp.pi / VERTEBRA * v)
    vertebrae = jnp.exp(-((across / 0.075) ** 4)) * (0.7 + discs)
    shaft = v + 0.56 + lift + 0.16 * across
    clavicles = jnp.exp(-((shaft / 0.032) ** 2)) * sigmoid(40 * (across - 0.09)) * sigmoid(30 * (0.72 - across))
    return mineral * (ribs + 0.9 * vertebrae + 0.7 * clavicles)


def _aperture(period: float, size: int) -> float:
    """Part of the amplitude of a wave of this period, in units, that is left in the mean over a pixel."""
    return float(np.sinc(2 / size / period))


def _breasts(body: Body, across: Float[Array, " w"], v: Float[Array, "h 1"]) -> Float[Array, "h w"]:
    """Thickness of the breasts, cm: two half ellipsoids over the lower zones."""
    down, out = (v - BREAST_CENTRE[1]) / BREAST_RADII[1], (across - BREAST_CENTRE[0]) / BREAST_RADII[0]
    inside = 1 - out**2 - down**2
    return body.breast * jnp.sqrt(jnp.maximum(inside, 1e-6))
