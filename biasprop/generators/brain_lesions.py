"""Metastases, plaques of multiple sclerosis and infarcts on the pixel grid, from their cues and place.

Sizes of metastases and plaques are in mm, that of an infarct is relative to the brain, and places are relative to the
brain (ventricle, cortex, territory). So twins of other age or sex have a lesion of the same size at the corresponding
place, and twins of another sequence have the same lesion. A cue is in units of its sd between people of one severity.
A healthy brain has the faint changes of 0 (a vessel seen end-on, unspecific foci, an old ischaemic change), so that no
cue decides alone.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float

from biasprop.generators import brain_anatomy, canvas
from biasprop.generators.brain_anatomy import Brain
from biasprop.generators.brain_signal import Tissue
from biasprop.generators.canvas import materialise
from biasprop.nn.xla_barriers import barrier, image_barrier

PLAQUES = 8
"""Plaques that a hemisphere may show."""
FIELD_MODES = 6
"""Highest frequency of the field that the outline of an infarct follows, cycles per image."""
PERIVENTRICULAR_MM = 6.0
"""Mean distance of a plaque from the wall of the ventricle, mm (exponential)."""


class Grid(NamedTuple):
    """Where the pixels are."""

    brain: Brain
    """The slice."""
    width: Float[Array, ""]
    """Unit of length from left to right, mm."""
    length: Float[Array, ""]
    """Unit of length from front to back, mm."""
    pixel: float
    """Width of a pixel, mm."""
    both_sides: bool
    """Whether the image shows both hemispheres; if not, all lesions are on the patient's left."""

    def side(self, chance: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """1 on the patient's left, -1 on the right."""
        return jnp.where(chance < 0.5, -1.0, 1.0) if self.both_sides else jnp.ones_like(chance)

    def distance(self, u: Float[Array, ""], v: Float[Array, ""]) -> Float[Array, "h w"]:
        """Distance of every pixel from a point, mm."""
        across, down = self.width * (self.brain.u - u), self.length * (self.brain.v - v)
        return jnp.sqrt(across**2 + down[:, None] ** 2 + 1e-6)


class Lesion(NamedTuple):
    """One disease on the pixel grid."""

    cover: Float[Array, "h w"]
    """Fraction of each pixel covered by it, in [0, 1]."""
    parts: list[tuple[Tissue, Float[Array, "h w"]]]
    """Tissues that replace what is there, and the fraction of each pixel that they replace, in their order."""


def metastasis(grid: Grid, place: Float[Array, " 4"], cues: Float[Array, " 4"]) -> Lesion:
    """A ring of vital tissue around necrosis at the junction of grey and white matter, with oedema of white matter.

    Args:
        grid: pixels and brain.
        place: uniforms: side, angle, angle of a second focus, and its side.
        cues: diameter, oedema, contrast enhancement (:func:`contrast_agent`), and size of a second focus.
    """
    size, oedema, _, second = cues
    side, other = grid.side(place[0]), grid.side(place[3])
    angle, angle2 = 0.6 * (2 * place[1] - 1), 0.65 * (2 * place[2] - 1)
    radius, extent, weight, lesser = materialise(
        2.3 * jnp.exp(0.40 * size),
        3.0 * jnp.exp(0.35 * oedema),
        jnp.minimum(0.50 * jnp.exp(0.30 * oedema), 0.9),
        0.65 * sigmoid(1.4 * (second - 1.2)),
    )
    rim, core = _ring(grid, _at(grid, side, angle, 0.78), radius, 1.0)
    rim2, core2 = _ring(grid, _at(grid, other, angle2, 0.66), 0.2 + radius * lesser, lesser)
    halo = jnp.exp(-((grid.distance(*_at(grid, side, angle, 0.72)) / (radius + extent)) ** 4))
    tissue = grid.brain.parenchyma
    halo = image_barrier(halo * (grid.brain.white + grid.brain.hyperintense + 0.15 * grid.brain.grey))
    rim, core = image_barrier(tissue * _union(rim, rim2)), image_barrier(tissue * _union(core, core2))
    cover = _union(_union(halo, rim), core)
    return Lesion(cover, [(Tissue.OEDEMA, weight * halo), (Tissue.RIM, rim), (Tissue.NECROSIS, core)])


def contrast_agent(cues: Float[Array, " 4"]) -> Float[Array, ""]:
    """Concentration of contrast agent in the rim of a metastasis, mM, from its cues."""
    return jnp.minimum(0.17 * jnp.exp(0.40 * cues[2]), 1.0)


def sclerosis(grid: Grid, place: Float[Array, "n 4"], cues: Float[Array, " 4"], ventricles: Float[Array, ""]) -> Lesion:
    """Plaques near the wall of the lateral ventricles, whose long axis stands on it.

    Args:
        grid: pixels and brain.
        place: uniforms of each plaque: position along the ventricle, distance from it, size, and side.
        cues: number, size, destruction of tissue, and elongation.
        ventricles: their width.
    """
    count, size, severe, elongation = cues
    along, distance, own, side = place.T
    v = 0.40 * (2 * along - 1)
    long = jnp.clip(2.6 * jnp.exp(0.25 * size + 0.3 * (2 * own - 1)), 1.5, 6)
    short = long * jnp.clip(0.75 * jnp.exp(-0.22 * elongation), 0.3, 1)
    u = brain_anatomy.wall(v, ventricles) + (long - PERIVENTRICULAR_MM * jnp.log1p(-0.95 * distance)) / grid.width
    present = sigmoid(4 * (1.7 * jnp.exp(0.33 * count) - jnp.arange(PLAQUES) - 0.5))
    across, down = (jnp.sqrt((r / 1.5) ** 2 + (0.4 * grid.pixel) ** 2) for r in (long, short))
    peak = present * long * short / (1.5**2 * across * down)  # a plaque below a pixel keeps its area
    peak, across, down, u, v = barrier(jnp.stack([peak, across, down, u * grid.side(side), v]))
    columns = jnp.exp(-((grid.width * (grid.brain.u - u[:, None]) / across[:, None]) ** 2) / 2)
    rows = peak[:, None] * jnp.exp(-((grid.length * (grid.brain.v - v[:, None]) / down[:, None]) ** 2) / 2)
    cover = image_barrier((1 - jnp.exp(-2 * (rows.T @ columns))) * (grid.brain.parenchyma - 0.6 * grid.brain.grey))
    return Lesion(cover, [(Tissue.PLAQUE, jnp.minimum(0.40 * jnp.exp(0.30 * severe), 1) * cover)])


def infarct(grid: Grid, place: Float[Array, " 4"], cues: Float[Array, " 4"], field: Float[Array, "k k"]) -> Lesion:
    """An acute infarct in the territory of the middle cerebral artery.

    Args:
        grid: pixels and brain.
        place: uniforms: side, and centre (sideways, backwards).
        cues: extent, restriction of diffusion, definition of the margin, and swelling, which effaces sulci.
        field: standard normals of the field that the outline follows.
    """
    extent, severe, margin, swelling = cues
    side = grid.side(place[0])
    u, v, scale, sharp, weight, effaced = materialise(
        side * (0.46 + 0.10 * (2 * place[1] - 1)),
        0.02 + 0.24 * (2 * place[2] - 1),
        jnp.exp(0.22 * extent),
        2.5 * jnp.exp(0.30 * margin),
        jnp.minimum(0.15 * jnp.exp(0.70 * severe), 1),
        0.8 * sigmoid(1.2 * (swelling - 1)),
    )
    uneven = canvas.gaussian_field(field, len(grid.brain.v), exponent=3.0, knee=2.0)
    inside = 1 - ((grid.brain.u - u) / (0.13 * scale)) ** 2 - ((grid.brain.v - v)[:, None] / (0.15 * scale)) ** 2
    territory = sigmoid(sharp * (inside + 0.7 * uneven))
    sulci = grid.brain.fluid - grid.brain.ventricle
    cover = image_barrier(territory * (grid.brain.parenchyma + effaced * jnp.maximum(sulci, 0)))
    return Lesion(cover, [(Tissue.INFARCT, weight * cover)])


def _at(grid: Grid, side: Float[Array, ""], angle: Float[Array, ""], radius: float) -> Float[Array, " 2"]:
    """The point at an angle backwards from the side and a radius relative to the skull, units."""
    u = side * brain_anatomy.HALF_WIDTH * jnp.cos(angle)
    return materialise(radius * u, radius * brain_anatomy.HALF_LENGTH * jnp.sin(angle) * jnp.ones_like(u))


def _ring(
    grid: Grid, at: Float[Array, " 2"], radius: Float[Array, ""], weight: float | Float[Array, ""]
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Rim and core of a sphere of a radius in mm; the rim keeps its volume where a pixel is wider than it is."""
    distance = grid.distance(at[0], at[1])
    thick = 0.2 * radius
    width = jnp.sqrt(thick**2 + (0.4 * grid.pixel) ** 2)
    thick, width, radius = materialise(thick, width, radius)
    rim = thick / width * jnp.exp(-(((distance - 0.85 * radius) / width) ** 2))
    core = sigmoid(2 / width * (0.65 * radius - distance))
    return weight * rim, weight * (1 - rim) * core


def _union(a: Float[Array, "h w"], b: Float[Array, "h w"]) -> Float[Array, "h w"]:
    return 1 - (1 - a) * (1 - b)


def mixed(
    signal: Float[Array, "h w"], lesion: Lesion, signals: Float[Array, " t"], contrast: float | Float[Array, ""]
) -> Float[Array, "h w"]:
    """The signal of every pixel with a disease.

    Args:
        signal: without it.
        lesion: the disease.
        signals: by tissue (:class:`biasprop.generators.brain_signal.Tissue`).
        contrast: factor on what it changes.
    """
    changed = signal
    for tissue, fraction in lesion.parts:
        changed = changed + fraction * (signals[np.int32(tissue)] - changed)
    return signal + contrast * (changed - signal)
