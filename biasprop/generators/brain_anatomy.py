"""A healthy axial slice of the brain at the level of the lateral ventricles, as fractions of tissues on the pixel grid.

Coordinates ``u`` (to the right of the image, which is the patient's left) and ``v`` (down, which is backwards) are 0 at
the centre of the head; one unit is :data:`UNIT` mm in a mean man. Inside the skull the ellipse ``(u / .72)^2 + (v /
.90)^2`` is at most 1. Shapes without a stated source are conventions that were chosen by looking at the images.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.nn.xla_barriers import barrier, image_barrier

UNIT = 97.0
"""Unit of length in a head of the mean volume of men, mm."""
HALF_WIDTH, HALF_LENGTH = 0.72, 0.90
"""Semi-axes of the inside of the skull, units."""
HEAD_MM = 88.0
"""Distance from the midline to air beside the head, mm."""
VOLUMES, VOLUME_SDS = (1469.0, 1289.0), (102.0, 111.0)
"""Intracranial volume of men and women, cm^3: mean and sd (Matsumae et al. 1996)."""
SHAPE_SD = 0.02
"""Sd of the log of width over the geometric mean of width and length."""
FOLD_ORDERS = (13, 17, 21, 25, 29, 33)
"""Waves of the cortex around the brain; sulci are where their sum is low."""
CORTEX, SULCUS = 0.06, 0.075
"""Depth of the cortex below a crown, and deeper per unit of the waves' sum, relative to the radius."""
SEPTUM = 0.024
"""Least thickness of the tissue between the lateral ventricles, units."""
SKULL, SCALP, AIR = 1.03, 1.10, 1.19
"""Inner surfaces of bone, of scalp, and of air around the head, relative to the inside of the skull."""


class Head(NamedTuple):
    """What of a patient and of the position in the scanner determines the anatomy; scalars."""

    age: Float[Array, ""]
    """Years."""
    female: Float[Array, ""]
    """1 female, 0 male."""
    volume: Float[Array, ""]
    """Intracranial volume, cm^3."""
    width: Float[Array, ""]
    """Unit of length from left to right, mm."""
    length: Float[Array, ""]
    """Unit of length from front to back, mm."""
    atrophy: Float[Array, ""]
    """Width of the fluid around the brain, relative to the radius."""
    ventricles: Float[Array, ""]
    """Width of the lateral ventricles relative to .104 units."""
    hyperintensity: Float[Array, ""]
    """Weight of the hyperintensities of white matter at the ventricles, in [0, 1]."""
    shift: Float[Array, " 2"]
    """Shift of the head to the right and down in the image, mm."""


class Brain(NamedTuple):
    """A slice without disease on the pixel grid, and coordinates relative to it; fractions of a pixel are in [0, 1]."""

    parenchyma: Float[Array, "h w"]
    """Fraction of brain tissue: grey matter and all white matter."""
    fluid: Float[Array, "h w"]
    """Fraction of cerebrospinal fluid."""
    grey: Float[Array, "h w"]
    """Fraction of grey matter."""
    white: Float[Array, "h w"]
    """Fraction of white matter without hyperintensities."""
    hyperintense: Float[Array, "h w"]
    """Fraction of white matter that is hyperintense on T2-weighted images, as at some age in everyone."""
    fat: Float[Array, "h w"]
    """Fraction of fat, in scalp and marrow."""
    ventricle: Float[Array, "h w"]
    """Fraction of fluid in the lateral ventricles, included in ``fluid``."""
    u: Float[Array, " w"]
    """Position to the right, units."""
    v: Float[Array, " h"]
    """Position backwards, units."""


def intracranial_volume(female: Float[Array, "*s"], rank: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Intracranial volume, cm^3, of a sex at a rank, which is a standard normal."""
    man, woman = (mean + sd * rank for mean, sd in zip(VOLUMES, VOLUME_SDS, strict=True))
    return jnp.maximum(female * woman + (1 - female) * man, 900.0)


def atrophy(age: Float[Array, "*s"], rank: float | Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Width of the fluid around the brain at an age in years, relative to the radius, at a rank within the age.

    With it and the ventricles, fluid is 19 % of the inside of the skull at 25 years and 34 % at 83 (published: 18.7 %
    in the twenties, 33.7 % above 80, Yamada et al. 2023).
    """
    return jnp.maximum(0.022 + 0.042 * (age - 20) / 65 + 0.0006 * jnp.maximum(age - 60, 0) + 0.005 * rank, 0.01)


def ventricular_width(age: Float[Array, "*s"], rank: float | Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Relative width of the lateral ventricles: nearly constant to 60 years, half as wide again at 80."""
    width = 0.8 * (1 + 0.03 * jnp.maximum(age - 60, 0)) + 0.0036 * jnp.minimum(age - 20, 40)
    return width * jnp.exp(0.12 * jnp.asarray(rank))


def hyperintensity(
    age: Float[Array, "*s"], female: Float[Array, "*s"], rank: float | Float[Array, "*s"]
) -> Float[Array, "*s"]:
    """Weight of periventricular hyperintensities, in [0, 1]: from 50 years on, and more in women."""
    return jnp.clip((age - 45) / 50, 0, 1) * jnp.minimum(0.65 * (1 + 0.15 * female) * jnp.exp(0.4 * rank), 1)


def wall(v: Float[Array, "*s"], ventricles: float | Float[Array, ""]) -> Float[Array, "*s"]:
    """Distance of the lateral wall of a ventricle from the midline, units, at a position backwards."""
    centre, half = _ventricle(jnp.clip(v, -0.33, 0.33), ventricles)
    return centre + half


def draw(head: Head, folds: Float[Array, "k 2"], size: int, field_of_view: float) -> Brain:
    """Draw a slice.

    Args:
        head: scalars, which are computed once behind a barrier.
        folds: standard normals of the waves of the cortex.
        size: pixels along a side.
        field_of_view: width of the image, mm; narrower than the head it shows one hemisphere up to the scalp.
    """
    axis = jnp.asarray(((np.arange(size) + 0.5) / size - 0.5) * field_of_view, jnp.float32)
    u = (axis + max(HEAD_MM - field_of_view / 2, 0.0) - head.shift[0]) / head.width
    v = (axis - head.shift[1]) / head.length
    across, down = jnp.abs(u), v[:, None]
    sharp = min(160.0, 2 * UNIT * size / field_of_view)  # no edge is sharper than a pixel
    steep = min(80.0, sharp)  # nor, of what is not parallel to the axis of the slice, than its thickness allows
    p, q = u / HALF_WIDTH, down / HALF_LENGTH
    radius = image_barrier(jnp.sqrt(p**2 + q**2 + 1e-6))
    fold = _folds(folds, p, q, radius)

    skull = sigmoid(steep * (SKULL - radius))
    depth = 1 - head.atrophy - radius
    crest = CORTEX + SULCUS * jnp.maximum(1 - fold, 0)
    cleft = sigmoid(steep * (-0.9 * SULCUS * fold - depth)) * sigmoid(5 * (13 * head.atrophy - 1.5 - fold))
    brain = skull * sigmoid(steep * depth) * (1 - cleft)
    core = sigmoid(steep * (depth - crest))

    gap = 0.008 + 0.20 * head.atrophy
    columns = jnp.stack(
        [
            jnp.exp(-((across / gap) ** 2)),
            jnp.exp(-((across / (gap + 0.045)) ** 4)),
            sigmoid(steep * (across - 0.47)),
            sigmoid(steep * (across - 0.42)),
            jnp.exp(-(((across - 0.13) / 0.07) ** 2)),
        ]
    )
    midline, medial, sylvian, insular, beside = image_barrier(columns)
    centre, half = _ventricle(jnp.clip(v, -0.34, 0.34), head.ventricles)
    behind = jnp.abs(v)
    rows = jnp.stack(
        [
            jnp.maximum(centre - half, SEPTUM / 2),
            centre + half,
            sigmoid(steep * (behind - 0.42)),
            sigmoid(steep * (0.34 - behind)),
            sigmoid(30 * (0.33 - behind)),
            jnp.exp(-(((behind - 0.36) / 0.07) ** 2)),
        ]
    )
    inner, outer, ends, within, rimmed, horns = image_barrier(rows)[:, :, None]
    course = down + 0.02 - 0.22 * (across - 0.45)
    fissure = sylvian * jnp.exp(-((course / (gap + 0.004)) ** 2))
    insula = insular * jnp.exp(-((course / (gap + 0.055)) ** 4))
    ventricle = sigmoid(sharp * (across - inner)) * sigmoid(sharp * (outer - across)) * within
    deep = 1 - ((across - 0.25) / 0.085) ** 2 - ((down - 0.02) / 0.18) ** 2
    caudate = 1 - ((across - outer - 0.035) / 0.04) ** 2 - ((down + 0.20) / 0.11) ** 2
    nuclei = jnp.maximum(sigmoid(12 * deep), sigmoid(6 * caudate))

    tissue = image_barrier(brain * (1 - midline * ends) * (1 - fissure) * (1 - ventricle))
    white = image_barrier(tissue * core * (1 - medial * ends) * (1 - insula) * (1 - nuclei))
    rim = rimmed * jnp.exp(-(((across - outer) / 0.035) ** 2))
    hyperintense = image_barrier(white * head.hyperintensity * jnp.minimum(beside * horns + 0.8 * rim, 1))
    scalp = sigmoid(steep * (radius - SCALP)) * sigmoid(steep * (AIR - radius))
    marrow = 0.35 * jnp.exp(-(((radius - (SKULL + SCALP) / 2) / 0.014) ** 2))
    return Brain(
        parenchyma=tissue,
        fluid=image_barrier(skull - tissue),
        grey=tissue - white,
        white=white - hyperintense,
        hyperintense=hyperintense,
        fat=image_barrier(0.9 * scalp + marrow),
        ventricle=skull * ventricle,
        u=u,
        v=v,
    )


def _folds(
    draws: Float[Array, "k 2"], p: Float[Array, " w"], q: Float[Array, "h 1"], radius: Float[Array, "h w"]
) -> Float[Array, "h w"]:
    """Waves around the brain, of variance 1, from powers of ``e^(i angle)``, which are cheaper than cosines of
    multiples."""
    amplitude = barrier(draws / np.sqrt(len(FOLD_ORDERS), dtype=np.float32))

    def product(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]

    first = p / radius, q / radius
    second = product(first, first)
    step = product(second, second)  # from one order to the next
    wave = product(product(step, product(step, step)), first)
    total = jnp.zeros_like(radius)
    for real, imaginary in amplitude:
        total = total + real * wave[0] + imaginary * wave[1]
        wave = product(wave, step)
    return image_barrier(total)


def _ventricle(
    v: Float[Array, "*s"], ventricles: float | Float[Array, ""]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Distance of the middle of a lateral ventricle from the midline, and half its width, units."""
    aside = jnp.maximum(jnp.abs(v), 1e-3)
    centre = 0.062 + 0.22 * aside * jnp.sqrt(aside)
    blunt = jnp.sqrt(jnp.maximum(1 - (v / 0.36) ** 6, 0.05))  # the horns are round
    half = 0.052 * ventricles * (1 - 0.45 * (v / 0.33) ** 2) * blunt
    return centre, half
