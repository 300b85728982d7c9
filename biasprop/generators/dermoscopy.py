"""Dermoscopy: photographs of a naevus or melanoma, with melanin, blood, illumination and a camera model.

Skin colour comes from :mod:`biasprop.generators.skin`. A lesion has five cues, those of the ABCD rule and the edge:
size, border, asymmetry, variegation, edge. Each is an independent standard normal plus ``loading * severity``; severity
is 0 (benign) or 1 (melanoma) with a spread. No single cue determines the label. An observer who knows all five cues has
the closed-form AUC of :meth:`Dermoscopy.informed_auc`.

A subject's dose is the number of electrons relative to ``white_electrons``. With a slope, skin has lines of that slope
and lesions are elongated along them. With a reference subgroup, a subject is photographed with skin of that subgroup,
and each channel is then multiplied by a constant of the two subgroups, so that dark skin loses no information.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from pydantic import Field

from biasprop import keys
from biasprop.component import Preset
from biasprop.generators import canvas, lesion, occlusions, skin_readings
from biasprop.generators.canvas import materialise, normal, normals, uniform, uniforms
from biasprop.generators.cues import informed_auc
from biasprop.generators.doses import matching_factors
from biasprop.generators.images import ImageGenerator
from biasprop.generators.lesion import Draws, Lesion
from biasprop.generators.lesion_density import LinearModel, linearise
from biasprop.generators.linear_observer import auc
from biasprop.generators.skin import BLOOD, TONES, Tone, melanosome_fraction, skin_colour
from biasprop.interfaces import Subjects
from biasprop.nn.xla_barriers import barrier

LESIONS = 24
"""Number of drawn lesions about which the linear model is built."""
MAX_CACHED_SLOPE_BYTES = 2**28
"""Largest total size of linear models cached between doses; larger ones are recomputed for each dose."""

MARKER_COLOUR = (0.05, 0.15, 0.8)
"""Linear RGB of a marker: blue, which contrasts with every skin tone."""

CUES = ("size", "border", "asymmetry", "variegation", "edge")

WAVE_COUNT, MAX_WAVELENGTH_MM, MIN_WAVELENGTH_MM = 4, 3.6, 1.8
"""Number of waves that form sloping skin lines, and the range of their wavelengths, mm."""
LINES_SD = 0.2
"""Relative sd of skin melanin due to these lines."""
SLOPE_SD_DEGREES = 6.0
"""Sd of the slope of a wave, and of a lesion's long axis, around the subject's slope, degrees."""
GROWTH_MM2_PER_MONTH, GROWTH_LOG_SD = 0.43, 1.3
"""Mean growth rate of a melanoma's area, mm^2 per month, and sd of its logarithm between melanomas (published: .43,
sd .9). A naevus does not grow."""
LINE_ELONGATION = 0.8
"""With skin lines, a lesion is stretched along them and narrowed across them by one over this factor."""


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    TONE = 0
    BLOOD = 1
    TEXTURE = 2
    SEVERITY = 3
    CUES = 4
    PLACE = 5
    SHAPE = 6
    OUTLINE = 7
    DIRECTION = 8
    PIGMENT = 9
    PIGMENT_FIELD = 10
    VESSEL_FIELD = 11
    LIGHT = 12
    NOISE = 13
    HAIR = 14
    ARTEFACT = 15
    GROWTH = 16
    LINES = 20
    LINE_WAVES = 21
    SLOPE = 22


SHORT_LATENTS = (
    Latent.TONE,
    Latent.BLOOD,
    Latent.SEVERITY,
    Latent.CUES,
    Latent.SHAPE,
    Latent.OUTLINE,
    Latent.PIGMENT,
    Latent.LIGHT,
    Latent.SLOPE,
)
"""Latents of at most twelve normals, drawn in one call."""


def _short_draws(subject: Subjects) -> dict[Latent, Float[Array, " 12"]]:
    return dict(zip(SHORT_LATENTS, normals(subject.key, SHORT_LATENTS, 12), strict=True))


class Dermoscopy(ImageGenerator):
    """RGB photograph of one pigmented lesion on skin of the subgroup's tone."""

    kind: Literal["dermoscopy"] = "dermoscopy"
    size: Annotated[int, Field(ge=8, le=512)] = 32
    """Pixels along a side; must be a multiple of the encoder's patch."""
    field_of_view: Annotated[float, Field(ge=6, le=60)] = 12.0
    """Width of the view, mm."""
    subgroups: Annotated[dict[str, Annotated[Tone, Preset(TONES)]], Field(min_length=2)]
    """Name -> skin tone: ``ita_mean`` and ``ita_sd``, or the name of a preset."""
    severity_sd: Annotated[float, Field(ge=0, le=2)] = 0.15
    """Sd of severity within a class; the class means are 1 apart."""
    loading: Annotated[float, Field(ge=0, le=3)] = 1.05
    """Change of each cue per unit of severity, in standard deviations of the cue."""
    pigment: Annotated[float, Field(ge=0, le=0.5)] = 0.12
    """Median melanosome fraction added by a lesion."""
    pigment_sd: Annotated[float, Field(ge=0, le=2)] = 0.4
    """Sd of the log of that fraction between lesions, independent of the label."""
    texture: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    """Relative sd of skin melanin across the view."""
    exposure_sd: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Sd of the log exposure between photographs."""
    auto_exposure: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 is a fixed exposure; 1 scales every skin to the same luminance (gain of at most 4)."""
    shading: Annotated[float, Field(ge=0, le=1)] = 0.04
    """Sd of the illumination gradient: relative change from the centre to an edge."""
    vignette: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Relative loss of light from the centre to a corner; the mean over the view stays 1."""
    white_electrons: Annotated[float, Field(gt=0, le=1e6)] = 4000.0
    """Electrons in a white pixel; sets the shot noise."""
    read_noise: Annotated[float, Field(ge=0, le=1e4)] = 8.0
    """Read noise, electrons."""
    hair: bool = False
    """Draw hair over the skin."""
    hair_density: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability of each of twelve candidate hairs."""
    artefacts: bool = False
    """Draw a ruler, gel bubbles, an ink dot and a dermoscope ring over the photograph."""
    artefact_density: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability of each artefact."""

    channels: ClassVar[int] = 3
    diseases: ClassVar[tuple[str, ...]] = ("melanoma",)
    latent_names: ClassVar[tuple[str, ...]] = ("ita", "severity")
    attribute_names: ClassVar[tuple[str, ...]] = ("pigment", "elongation", "across", "down")
    follows_up: ClassVar[bool] = True

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of the ideal observer of a linear model of the image (see :mod:`biasprop.generators.linear_observer`).

        The model is linear in optical density, where pigments add, before clipping and without hair and artefacts; it
        is built about :data:`LESIONS` drawn lesions half-way between the classes. The observer knows the subgroup, and
        the position and orientations of the lesion, in which the image is far from linear.
        """
        return self._linear_auc(self._linear_model(subject), 1.0 if subject.dose is None else float(subject.dose))

    def matching_doses(self) -> dict[str, float]:
        """Doses at which the ideal observers of the linear models match, which takes half a minute.

        Raises:
            ValueError: no doses make the subgroups equally hard.
        """
        from scipy.special import ndtri

        key = keys.replicate(0, 0)
        models = {
            name: self._linear_model(Subjects(key, jnp.int32(g), jnp.int32(0))) for g, name in enumerate(self.subgroups)
        }
        return matching_factors(
            lambda name, dose: np.sqrt(2) * ndtri(self._linear_auc(models[name], dose)), list(models), "dose"
        )

    def _linear_model(self, subject: Subjects) -> Callable[[int], LinearModel]:
        """Index of a lesion -> linear model about it; cached unless large (:data:`MAX_CACHED_SLOPE_BYTES`)."""
        lesion_keys = keys.at_each(keys.stream(keys.replicate(0, 0), keys.Stream.TRUTH), jnp.arange(LESIONS))

        def model(lesion: int) -> LinearModel:
            return linearise(self, subject._replace(key=lesion_keys[lesion]))

        return functools.cache(model) if LESIONS * model(0).slopes.nbytes <= MAX_CACHED_SLOPE_BYTES else model

    def _linear_auc(self, model_of: Callable[[int], LinearModel], dose: float) -> float:
        areas = []
        for i in range(LESIONS):
            model = model_of(i)
            electrons = dose * np.asarray(model.electrons, np.float64)
            variance = (electrons + self.read_noise**2) / electrons**2
            areas.append(auc(model.slopes, variance, model.loadings, self.severity_sd))
        return float(np.mean(areas))

    def severity(self, subject: Subjects) -> Float[Array, ""]:
        """Severity of the lesion: mean 0 for a naevus, 1 for a melanoma."""
        return subject.mean_severity + self.severity_sd * _short_draws(subject)[Latent.SEVERITY][0]

    def cues(self, subject: Subjects) -> Float[Array, " 5"]:
        """The five cues in the order of :data:`CUES`, in units of their sd at fixed severity."""
        return _short_draws(subject)[Latent.CUES][: len(CUES)] + self.loading * self.severity(subject)

    def ita(self, subject: Subjects) -> Float[Array, ""]:
        """Declared ITA in degrees. Twins have the same quantile in their subgroups."""
        photographed = self._tone(subject.imaged_subgroup, _short_draws(subject)[Latent.TONE][0])
        if subject.reference is None:
            return photographed
        skin = skin_colour(melanosome_fraction(photographed), jnp.float32(BLOOD))
        return canvas.typology_angle(skin * self._filter(subject))

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """ITA in degrees and severity."""
        return jnp.stack([self.ita(subject), self.severity(subject)])

    def attributes(self, subject: Subjects) -> Float[Array, " 4"]:
        """Log pigment, log elongation and position (x, y) of the lesion, each standardised."""
        key = subject.key
        position = (uniform(key, Latent.PLACE, (2,)) - 0.5) * 12**0.5
        return jnp.stack([normal(key, Latent.PIGMENT), normal(key, Latent.SHAPE), *position])

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows the five cues (:func:`biasprop.generators.cues.informed_auc`); the same in every
        subgroup."""
        return informed_auc(len(CUES), self.loading, self.severity_sd)

    def render(self, subject: Subjects) -> Float[Array, "h w 3"]:
        """The photograph as sRGB code values in [0, 1]."""
        key, draws = self._photograph_key(subject), self._draws(subject)
        albedo = self._albedo(subject, draws, self.cues(subject), self._lines(subject))
        if self.hair:
            albedo = occlusions.hair(albedo, key, Latent.HAIR, self.field_of_view, self.hair_density)
        linear = albedo * barrier(self._light(subject, draws))
        if subject.exposure is not None:
            linear = subject.exposure * linear
        if self.artefacts:
            linear = occlusions.artefacts(linear, key, Latent.ARTEFACT, self.field_of_view, self.artefact_density)
        if subject.marker is not None:
            linear = canvas.draw_marker(linear, subject.marker, jnp.asarray(MARKER_COLOUR)[:, None, None])
        white = self.white_electrons if subject.dose is None else self.white_electrons * subject.dose
        electrons = barrier(white * jnp.clip(linear, 0, 1))
        grain = barrier(normal(key, Latent.NOISE, (3 * self.size**2,))).reshape(3, self.size, self.size)
        if subject.noise is not None:
            grain = subject.noise * grain
        noisy = electrons + jnp.sqrt(electrons + self.read_noise**2) * grain
        exposed = jnp.clip(noisy / white, 0, 1)
        if subject.reference is not None:
            exposed = exposed * self._filter(subject)[:, None, None]
        return jnp.moveaxis(barrier(canvas.srgb(exposed)), 0, -1)

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the lesion, in [0, 1]."""
        return self._lesion(subject, self._draws(subject), self.cues(subject)).cover

    def measure(self, image: Float[Array, "h w 3"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Estimate the levers from pixels (:func:`biasprop.generators.skin_readings.measure`)."""
        return skin_readings.measure(image, mask, self.field_of_view)

    def reference_subgroup(self) -> Int[Array, ""]:
        """The lightest subgroup, from whose photographs the channels of all others can be scaled without clipping."""
        return jnp.argmax(self._tones()[0])

    def slope_incompatibility(self) -> str | None:
        """None: skin lines have a slope on any skin."""
        return None

    def measure_slope(self, image: Float[Array, "h w 3"], mask: Float[Array, "h w"]) -> Float[Array, ""]:
        """Slope of the skin lines, degrees (:func:`biasprop.generators.skin_readings.line_slope`)."""
        return skin_readings.line_slope(image, mask)

    def _draws(self, subject: Subjects) -> Draws:
        few = _short_draws(subject)
        place, direction = uniforms(subject.key, (Latent.PLACE, Latent.DIRECTION), 2)
        light, grown_area = few[Latent.LIGHT][:3], None
        if subject.months is not None:
            spread = jnp.exp(GROWTH_LOG_SD * normal(subject.key, Latent.GROWTH) - GROWTH_LOG_SD**2 / 2)
            grown_area = GROWTH_MM2_PER_MONTH * jnp.maximum(self.severity(subject), 0) * spread * subject.months
            light = normal(self._photograph_key(subject), Latent.LIGHT, (3,))
        if subject.slope is not None:
            along = subject.slope + SLOPE_SD_DEGREES * few[Latent.SLOPE][0]
            direction = direction.at[0].set(along / 180)
        wide, narrow = canvas.field_draws_shape(6), canvas.field_draws_shape(5)
        fields = (Latent.TEXTURE, Latent.PIGMENT_FIELD, Latent.VESSEL_FIELD)
        texture, pigment_field, vessel_field = normals(subject.key, fields, math.prod(wide))
        return Draws(
            tone=few[Latent.TONE][0],
            blood=few[Latent.BLOOD][0],
            texture=texture.reshape(wide),
            cues=few[Latent.CUES][: len(CUES)],
            place=place,
            shape=few[Latent.SHAPE][0],
            outline=few[Latent.OUTLINE],
            direction=direction,
            pigment=few[Latent.PIGMENT][0],
            pigment_field=pigment_field[: math.prod(narrow)].reshape(narrow),
            vessel_field=vessel_field[: math.prod(narrow)].reshape(narrow),
            light=light,
            grown_area=grown_area,
        )

    def _photograph_key(self, subject: Subjects) -> Key[Array, ""]:
        """Key of what differs between photographs of one subject: light, hair, artefacts, noise."""
        return subject.key if subject.months is None else keys.at(subject.key, keys.Subject.FOLLOW_UP)

    def _albedo(
        self, subject: Subjects, draws: Draws, cues: Float[Array, " 5"], lines: Float[Array, "h w"] | None
    ) -> Float[Array, "3 h w"]:
        """Linear RGB albedo of skin and lesion."""
        added = self._lesion(subject, draws, cues)
        texture = canvas.gaussian_field(draws.texture, self.size)
        uneven = 1 + self.texture * texture
        if lines is not None:
            uneven = uneven + LINES_SD * lines
        skin = materialise(
            melanosome_fraction(self._tone(subject.imaged_subgroup, draws.tone)), BLOOD * jnp.exp(0.3 * draws.blood)
        )
        melanin, blood = skin[0] * uneven + added.pigment, skin[1] + added.blood
        return skin_colour(barrier(melanin), barrier(blood))

    def _lesion(self, subject: Subjects, draws: Draws, cues: Float[Array, " 5"]) -> Lesion:
        pigment = self.pigment * jnp.exp(self.pigment_sd * draws.pigment)
        elongation = 1.0 if subject.slope is None else LINE_ELONGATION
        return lesion.draw(
            draws, cues, size=self.size, field_of_view=self.field_of_view, pigment=pigment, elongation=elongation
        )

    def _light(self, subject: Subjects, draws: Draws) -> Float[Array, "h w"]:
        x, y = canvas.grid(self.size, 2.0)
        subgroup = subject.imaged_subgroup
        exposure, across, down = materialise(
            jnp.exp(self.exposure_sd * draws.light[0]) * self._exposure(self._tone(subgroup, draws.tone)),
            self.shading * draws.light[1],
            self.shading * draws.light[2],
        )
        corner = 1 + self.vignette * (1 / 3 - (x[None, :] ** 2 + y[:, None] ** 2) / 2)
        return exposure * (1 + across * x[None, :] + down * y[:, None]) * corner

    def _exposure(self, ita: Float[Array, ""]) -> Float[Array, ""]:
        skin = canvas.luminance(skin_colour(melanosome_fraction(ita), jnp.float32(BLOOD)))
        return jnp.clip(0.45 / skin, 0.25, 4.0) ** self.auto_exposure

    def _tone(self, subgroup: Int[Array, ""], draw: Float[Array, ""]) -> Float[Array, ""]:
        """ITA of a subgroup's skin, degrees."""
        mean, sd = self._tones()
        return mean[subgroup] + sd[subgroup] * draw

    def _tones(self) -> tuple[Float[Array, " g"], Float[Array, " g"]]:
        """Mean and sd of ITA in every subgroup."""
        mean = jnp.stack([jnp.asarray(tone.ita_mean, jnp.float32) for tone in self.subgroups.values()])
        sd = jnp.stack([jnp.asarray(tone.ita_sd, jnp.float32) for tone in self.subgroups.values()])
        return mean, sd

    def _filter(self, subject: Subjects) -> Float[Array, " 3"]:
        """Factor on each channel that turns the mean skin of the reference subgroup into that of the subject's."""
        mean, _ = self._tones()
        skin, photographed = (
            skin_colour(melanosome_fraction(mean[subgroup]), jnp.float32(BLOOD))
            for subgroup in (subject.subgroup, subject.reference)
        )
        return skin / photographed

    def _lines(self, subject: Subjects) -> Float[Array, "h w"] | None:
        """Skin lines of unit variance: waves whose crests follow the subject's slope; None if it has none."""
        if subject.slope is None:
            return None
        amplitude, tilt = normal(subject.key, Latent.LINES, (2, WAVE_COUNT))
        quantile, phase = uniform(subject.key, Latent.LINE_WAVES, (2, WAVE_COUNT))
        angle = jnp.radians(subject.slope + SLOPE_SD_DEGREES * tilt)
        wavenumber = 2 * jnp.pi / (MAX_WAVELENGTH_MM + (MIN_WAVELENGTH_MM - MAX_WAVELENGTH_MM) * quantile)
        x, y = canvas.grid(self.size, self.field_of_view)
        a = (wavenumber * jnp.cos(angle))[:, None] * y + 2 * jnp.pi * phase[:, None]
        b = -(wavenumber * jnp.sin(angle))[:, None] * x
        # cos(a + b) by the addition theorem: all waves are one product of small matrices
        down = jnp.concatenate([jnp.cos(a), -jnp.sin(a)]) * jnp.tile(amplitude, 2)[:, None]
        return barrier(down.T @ jnp.concatenate([jnp.cos(b), jnp.sin(b)])) * (2 / WAVE_COUNT) ** 0.5
