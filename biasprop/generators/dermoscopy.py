"""Skin-lesion photographs: melanin, blood, a naevus or a melanoma, illumination, camera.

Skin colour follows a closed-form fit of a diffusion model of skin (melanin in a 60 micrometre epidermis over a blood
bearing dermis; optical coefficients of S-SYNTH, Kim et al. 2024, and Jacques 1998) seen under D65; pigments add in
optical density (Tsumura et al. 1999), with a quadratic saturation term. The fit holds within .010 in linear sRGB and
within 2.1 degrees of ITA for melanosome fractions of .01 to .43 and blood fractions of .002 to .04.

A lesion has five cues, the ABCD rule's plus the edge: size, border, asymmetry, variegation, edge. Each is a standard
normal of its own plus ``loading * severity``; severity is 0 (benign) or 1 (melanoma) with a spread. No cue decides
alone. An observer who knows all five cues has the closed-form AUC of :func:`informed_auc`.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int
from pydantic import Field, model_validator

from biasprop import keys
from biasprop.component import Component, OneOf, Preset
from biasprop.generators import canvas, occlusions
from biasprop.generators.canvas import normal, once, settle, uniform
from biasprop.generators.difficulty import DIFFICULTIES, Calibrated, Natural, check, matched, remembered
from biasprop.generators.linear_observer import auc
from biasprop.interfaces import Subjects

PRESETS: dict[str, tuple[float, float]] = {
    "light": (50.0, 7.0),
    "dark": (-25.0, 12.0),
    "fitzpatrick_1": (58.0, 6.0),
    "fitzpatrick_2": (48.0, 6.0),
    "fitzpatrick_3": (35.0, 6.0),
    "fitzpatrick_4": (19.0, 8.0),
    "fitzpatrick_5": (-10.0, 12.0),
    "fitzpatrick_6": (-45.0, 12.0),
}
"""Preset -> mean and sd of ITA in degrees. ``light`` and ``dark`` stand for types I-II and V-VI."""

LESIONS = 24
"""Drawn lesions about which an image is made linear."""

BLOOD = 0.010
"""Median blood volume fraction of skin, where the fit of ITA to melanin was made."""

STICKER = (0.05, 0.15, 0.8)
"""Linear light of a marker: blue, which stands out on every skin."""

CUES = ("size", "border", "asymmetry", "variegation", "edge")

WAVES, LONGEST, SHORTEST = 4, 3.6, 1.8
"""Number of waves that make the skin lines of ``symmetric``, and the range of their lengths in mm."""
LINES_SD = 0.2
"""Relative sd of skin melanin across these lines."""
SLOPE_SD = 6.0
"""Sd of the slope of a wave, and of a lesion's long axis, about the subgroup's, degrees."""
ALONG_LINES = 0.8
"""In ``symmetric`` a lesion is longer along the lines and narrower across, by one over this."""


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
    LINES = 20
    LINE_WAVES = 21
    SLOPE = 22


class Tone(Component):
    """The skin tone of one subgroup: a normal law of the individual typology angle (ITA) of lesion-free skin."""

    ita_mean: Annotated[float, Field(ge=-60, le=75)]
    """Mean ITA, degrees; above 55 very light, below -30 dark."""
    ita_sd: Annotated[float, Field(ge=0, le=30)] = 6.0
    """Standard deviation of ITA, degrees."""


_TONES = {name: dict(zip(Tone.model_fields, values, strict=True)) for name, values in PRESETS.items()}


class Draws(NamedTuple):
    """Every draw behind a photograph of clean skin but the camera's noise: standard normals, uniforms where stated."""

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


class Lesion(NamedTuple):
    """One lesion on the pixel grid."""

    cover: Float[Array, "h w"]
    """How much of a pixel is lesion, in [0, 1]."""
    pigment: Float[Array, "h w"]
    """Added melanosome fraction."""
    blood: Float[Array, "h w"]
    """Added blood fraction."""


class Dermoscopy(Component):
    """RGB photograph of one pigmented lesion on skin whose melanin is the subgroup's."""

    kind: Literal["dermoscopy"] = "dermoscopy"
    size: Annotated[int, Field(ge=8, le=512)] = 32
    """Pixels along a side; must be a multiple of the encoder's patch."""
    field_of_view: Annotated[float, Field(ge=6, le=60)] = 12.0
    """Width of the view, mm."""
    subgroups: Annotated[dict[str, Annotated[Tone, Preset(_TONES)]], Field(min_length=2)]
    """Name -> skin tone: ``ita_mean`` and ``ita_sd``, or the name of a preset."""
    severity_sd: Annotated[float, Field(ge=0, le=2)] = 0.15
    """Spread of severity within a class; the classes are 1 apart."""
    loading: Annotated[float, Field(ge=0, le=3)] = 1.05
    """How far one unit of severity moves each cue, in the cue's own standard deviations."""
    pigment: Annotated[float, Field(ge=0, le=0.5)] = 0.12
    """Median melanosome fraction a lesion adds."""
    pigment_sd: Annotated[float, Field(ge=0, le=2)] = 0.4
    """Sd of the log of that fraction between lesions, whatever their label."""
    texture: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    """Relative sd of skin melanin across the view."""
    exposure_sd: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Sd of the log exposure between photographs."""
    auto_exposure: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 is a fixed exposure, 1 brings every skin to the same luminance (gain of at most 4)."""
    shading: Annotated[float, Field(ge=0, le=1)] = 0.04
    """Sd of the illumination gradient, relative change from the middle to an edge."""
    vignette: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Relative loss of light from the middle to a corner; the mean over the view stays 1."""
    white_electrons: Annotated[float, Field(gt=0, le=1e6)] = 4000.0
    """Electrons of a white pixel; sets the shot noise."""
    read_noise: Annotated[float, Field(ge=0, le=1e4)] = 8.0
    """Read noise, electrons."""
    hair: bool = False
    """Draw hair over the skin."""
    hair_density: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance of each of twelve candidate hairs."""
    artefacts: bool = False
    """Draw a ruler, gel bubbles, an ink dot and a dermoscope ring over the photograph."""
    artefact_density: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance of each artefact."""
    difficulty: Annotated[Any, OneOf(DIFFICULTIES)] = Natural()
    """How hard the task is in one subgroup against another. ``calibrated`` gives fewer electrons where lesions are
    seen best; ``invertible`` photographs everyone with the lightest subgroup's skin and
    then filters the light of each channel, so that nothing is lost in the dark; ``symmetric`` draws skin lines, and
    lesions longer along them, of opposite slopes in two subgroups of one tone."""

    latent_names: ClassVar[tuple[str, ...]] = ("ita", "severity")

    @model_validator(mode="after")
    def difficulty_goes_with_the_subgroups(self) -> Self:
        """Mirror images need a partner and may differ in nothing else."""
        check(self.difficulty, self.subgroups)
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size, self.size, 3

    def solved(self) -> Self:
        """Itself with the doses that ``calibrated`` asks for; all other modes ask for nothing.

        Found for the linear model of :meth:`linear_auc`, once, and then kept in the user's cache folder.

        Raises:
            ValueError: no doses make the subgroups equally hard.
        """
        if self.difficulty.kind != "calibrated" or self.difficulty.dose:
            return self
        from scipy.special import ndtri

        def solve() -> dict[str, float]:
            models = {name: self._linear_model(name) for name in self.subgroups}
            return matched(lambda name, dose: np.sqrt(2) * ndtri(self._linear_auc(models[name], dose)), list(models))

        return self.model_copy(update={"difficulty": Calibrated(dose=remembered(self, solve))})

    def linear_auc(self, subgroup: str) -> float:
        """AUC of the ideal observer of a linear model of the image (see :mod:`biasprop.generators.linear_observer`).

        In optical density, where pigments add, before the camera clips, without hair and artefacts; about
        :data:`LESIONS` drawn lesions half-way between the classes, whose place and orientations are known to the
        observer because no line approximates them, and whose subgroup is known too.
        """
        dose = self.difficulty.dose.get(subgroup, 1.0) if self.difficulty.kind == "calibrated" else 1.0
        return self._linear_auc(self._linear_model(subgroup), dose)

    def _linear_model(self, subgroup: str) -> LinearModel:
        own = keys.each(keys.stream(keys.replicate(0, 0), keys.Stream.TRUTH), jnp.arange(LESIONS))
        index = list(self.subgroups).index(subgroup)
        return _linear(self, Subjects(own, jnp.full(LESIONS, index), jnp.zeros(LESIONS, jnp.int32)))

    def _linear_auc(self, model: LinearModel, dose: float) -> float:
        electrons = dose * np.asarray(model.electrons, np.float64)
        variances = (electrons + self.read_noise**2) / electrons**2
        pairs = zip(model.slopes, variances, strict=True)
        return float(np.mean([auc(*pair, model.push, self.severity_sd) for pair in pairs]))

    def severity(self, subject: Subjects) -> Float[Array, ""]:
        """How far the lesion has come: around 0 for a naevus, around 1 for a melanoma."""
        return subject.extent + self.severity_sd * normal(subject.key, Latent.SEVERITY)

    def cues(self, subject: Subjects) -> Float[Array, " 5"]:
        """The five cues, in :data:`CUES`' order and in units of their spread at one severity."""
        return normal(subject.key, Latent.CUES, (len(CUES),)) + self.loading * self.severity(subject)

    def ita(self, subject: Subjects) -> Float[Array, ""]:
        """Declared ITA in degrees. A twin keeps its rank within its subgroup."""
        photographed = self._tone(subject.subgroup, normal(subject.key, Latent.TONE))
        if self.difficulty.kind != "invertible":
            return photographed
        skin = skin_colour(melanosome_fraction(photographed), jnp.float32(BLOOD))
        return canvas.typology_angle(skin * self._filter(subject.subgroup))

    def latents(self, subject: Subjects) -> Float[Array, " 2"]:
        """ITA in degrees and severity."""
        return jnp.stack([self.ita(subject), self.severity(subject)])

    def informed_auc(self, subgroup: str) -> float:
        """Most that any observer of a subgroup can reach: AUC of :func:`informed_auc`, the same in all of them."""
        return informed_auc(self)

    def render(self, subject: Subjects) -> Float[Array, "h w 3"]:
        """The photograph as sRGB code values in [0, 1]."""
        key, draws = subject.key, self._draws(subject)
        albedo = self._albedo(subject.subgroup, draws, self.cues(subject), self._lines(subject))
        if self.hair:
            albedo = occlusions.hair(albedo, key, Latent.HAIR, self.field_of_view, self.hair_density)
        linear = albedo * settle(self._light(subject.subgroup, draws))
        if self.artefacts:
            linear = occlusions.artefacts(linear, key, Latent.ARTEFACT, self.field_of_view, self.artefact_density)
        if subject.marker is not None:
            linear = canvas.mark(linear, subject.marker, jnp.asarray(STICKER)[:, None, None])
        white = self._white_electrons(subject.subgroup)
        electrons = settle(white * jnp.clip(linear, 0, 1))
        grain = normal(key, Latent.NOISE, (3 * self.size**2,)).reshape(3, self.size, self.size)
        if subject.noise is not None:
            grain = subject.noise * grain
        noisy = electrons + jnp.sqrt(electrons + self.read_noise**2) * grain
        seen = jnp.clip(noisy / white, 0, 1)
        if self.difficulty.kind == "invertible":
            seen = seen * self._filter(subject.subgroup)[:, None, None]
        return jnp.moveaxis(canvas.srgb(seen), 0, -1)

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """How much of each pixel is lesion, in [0, 1]."""
        return self._lesion(self._draws(subject), self.cues(subject)).cover

    def measure(self, image: Float[Array, "h w 3"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Read the levers back from pixels.

        Args:
            image: sRGB code values.
            mask: lesion cover, as an annotator would outline it: where to look, not how dark or how sharp.

        Returns:
            ``ita`` of the skin in degrees, Weber ``contrast`` of the lesion's luminance, and the five cues: ``size``
            (diameter, mm), ``border`` (perimeter over that of the circle of the same area), ``asymmetry`` (offset of
            the dark centroid over the radius), ``variegation`` (relative sd of the pigment), ``edge`` (width, mm).
            In ``symmetric`` also the ``slope`` of the skin's lines, degrees.
        """
        linear = canvas.linear_light(image)
        x, y = canvas.grid(self.size, self.field_of_view)
        pixel = self.field_of_view / self.size
        skin = (1 - mask) ** 8 + 1e-6
        skin_mean = jnp.sum(linear * skin[..., None], (0, 1)) / jnp.sum(skin)
        lesion_luminance = jnp.sum(mask * canvas.luminance(linear)) / jnp.maximum(jnp.sum(mask), 1e-6)

        # Optical density over what skin and light would give there: a plane fitted to the skin's own pixels.
        density = _above_plane(_smooth(_smooth(-jnp.log(jnp.maximum(linear[..., 0] * linear[..., 1], 1e-5)))), skin)
        near, core = mask > 0.05, mask > 0.5
        n = jnp.maximum(jnp.sum(core), 1)
        mean = jnp.maximum(jnp.sum(core * density) / n, 1e-2)
        cover = jnp.clip(2 * density / mean, 0, 1) * near  # full at half the mean: variegation inside is no border
        area = jnp.maximum(jnp.sum(cover), 1e-3)
        slope_y, slope_x = jnp.gradient(cover)
        perimeter = jnp.maximum(jnp.sum(jnp.sqrt(slope_x**2 + slope_y**2)), 1e-3)
        total = jnp.maximum(jnp.sum(cover * density), 1e-3)
        radius = pixel * jnp.sqrt(area / jnp.pi)

        def offset(axis: Float[Array, "h w"]) -> Float[Array, ""]:
            return jnp.sum(cover * density * axis) / total - jnp.sum(core * axis) / n

        read = {}
        if self.difficulty.kind == "symmetric":
            read["slope"] = canvas.slope(jnp.log(jnp.maximum(linear[..., 1], 1e-3)), skin)
        # The fall-off at the rim is edge and a lean to one side is asymmetry; what is left is variegation.
        uneven = _above_plane(density / jnp.maximum(mask, 0.5), core.astype(jnp.float32))
        unevenness = jnp.sqrt(jnp.sum(core * uneven**2) / n)
        return read | {
            "ita": canvas.typology_angle(skin_mean),
            "contrast": 1 - lesion_luminance / canvas.luminance(skin_mean),
            "size": 2 * radius,
            "border": perimeter / (2 * jnp.sqrt(jnp.pi * area)),
            "asymmetry": jnp.hypot(offset(x[None, :]), offset(y[:, None])) / radius,
            "variegation": unevenness / mean,
            "edge": pixel * jnp.sum(cover * (1 - cover)) / perimeter,
        }

    def _draws(self, subject: Subjects) -> Draws:
        key = subject.key
        direction = uniform(key, Latent.DIRECTION, (2,))
        if self.difficulty.kind == "symmetric":
            along = self._slope(subject.subgroup) + SLOPE_SD * normal(key, Latent.SLOPE)
            direction = direction.at[0].set(along / 180)
        return Draws(
            tone=normal(key, Latent.TONE),
            blood=normal(key, Latent.BLOOD),
            texture=normal(key, Latent.TEXTURE, canvas.modes_of(6)),
            cues=normal(key, Latent.CUES, (len(CUES),)),
            place=uniform(key, Latent.PLACE, (2,)),
            shape=normal(key, Latent.SHAPE),
            outline=normal(key, Latent.OUTLINE, (12,)),
            direction=direction,
            pigment=normal(key, Latent.PIGMENT),
            pigment_field=normal(key, Latent.PIGMENT_FIELD, canvas.modes_of(5)),
            vessel_field=normal(key, Latent.VESSEL_FIELD, canvas.modes_of(5)),
            light=normal(key, Latent.LIGHT, (3,)),
        )

    def _albedo(
        self, subgroup: Int[Array, ""], draws: Draws, cues: Float[Array, " 5"], lines: Float[Array, "h w"] | None
    ) -> Float[Array, "3 h w"]:
        """Colour of skin and lesion under white light."""
        lesion = self._lesion(draws, cues)
        texture = canvas.gaussian_field(draws.texture, self.size)
        uneven = 1 + self.texture * texture
        if lines is not None:
            uneven = uneven + LINES_SD * lines
        skin = once(melanosome_fraction(self._tone(subgroup, draws.tone)), BLOOD * jnp.exp(0.3 * draws.blood))
        melanin, blood = skin[0] * uneven + lesion.pigment, skin[1] + lesion.blood
        return skin_colour(settle(melanin), settle(blood))

    def _lesion(self, draws: Draws, cues: Float[Array, " 5"]) -> Lesion:
        size, border, asymmetry, variegation, edge = cues
        place = (draws.place - 0.5) * 3.6
        turn = jnp.pi * draws.direction
        stretch = jnp.exp(0.10 * draws.shape)
        if self.difficulty.kind == "symmetric":
            stretch = stretch * ALONG_LINES
        placed = once(place[0], place[1], stretch, jnp.cos(turn[0]), jnp.sin(turn[0]))
        radius, roughness, width = once(
            0.5 * jnp.clip(4.5 * jnp.exp(0.30 * size), 2.0, 9.5),
            0.36 * jax.nn.sigmoid(-1.25 + 1.3 * border),
            0.55 * jnp.exp(-0.35 * edge),
        )
        lean_u, lean_v, uneven, amount = once(
            *(2 * jax.nn.sigmoid(-1.386 + 1.26 * asymmetry) * f(2 * turn[1]) for f in (jnp.cos, jnp.sin)),
            0.7 * jax.nn.sigmoid(-1.466 + 1.8 * variegation),
            self.pigment * jnp.exp(self.pigment_sd * draws.pigment),
        )
        waves = once(*draws.outline).reshape(2, 6)

        x, y = canvas.grid(self.size, self.field_of_view)
        across, down, stretch, cos, sin = (x - placed[0])[None, :], (y - placed[1])[:, None], *placed[2:]
        u, v = (across * cos + down * sin) * stretch, (down * cos - across * sin) / stretch
        distance = jnp.sqrt(u**2 + v**2 + 1e-6)
        outline = radius * (1 + roughness * _harmonics(u / distance, v / distance, waves))
        cover = jax.nn.sigmoid((outline - distance) / width)
        # On a disc, a linear weight 1 + 4 a t / r has its centroid at a r; a is at most a half.
        lean = jnp.maximum(1 + (lean_u * u + lean_v * v) / jnp.maximum(radius, distance), 0.05)
        field = canvas.gaussian_field(draws.pigment_field, self.size, exponent=2.0, knee=2.0)
        vessels = canvas.gaussian_field(draws.vessel_field, self.size, exponent=2.0, knee=2.0)
        return Lesion(
            cover=cover,
            pigment=amount * cover * lean * jnp.exp(uneven * field - uneven**2 / 2),
            blood=0.008 * cover * jnp.exp(uneven * vessels),
        )

    def _light(self, subgroup: Int[Array, ""], draws: Draws) -> Float[Array, "h w"]:
        x, y = canvas.grid(self.size, 2.0)
        exposure, across, down = once(
            jnp.exp(self.exposure_sd * draws.light[0]) * self._exposure(self._tone(subgroup, draws.tone)),
            self.shading * draws.light[1],
            self.shading * draws.light[2],
        )
        corner = 1 + self.vignette * (1 / 3 - (x[None, :] ** 2 + y[:, None] ** 2) / 2)
        return exposure * (1 + across * x[None, :] + down * y[:, None]) * corner

    def _exposure(self, ita: Float[Array, ""]) -> Float[Array, ""]:
        skin = canvas.luminance(skin_colour(melanosome_fraction(ita), jnp.float32(BLOOD)))
        return jnp.clip(0.45 / skin, 0.25, 4.0) ** self.auto_exposure

    def _white_electrons(self, subgroup: Int[Array, ""]) -> float | Float[Array, ""]:
        if self.difficulty.kind != "calibrated":
            return self.white_electrons
        doses = [jnp.asarray(self.difficulty.dose.get(name, 1.0), jnp.float32) for name in self.subgroups]
        return self.white_electrons * jnp.stack(doses)[subgroup]

    def _tone(self, subgroup: Int[Array, ""], draw: Float[Array, ""]) -> Float[Array, ""]:
        """ITA of the skin in front of the camera, degrees."""
        mean, sd = self._tones()
        shown = jnp.argmax(mean) if self.difficulty.kind == "invertible" else subgroup
        return mean[shown] + sd[shown] * draw

    def _tones(self) -> tuple[Float[Array, " g"], Float[Array, " g"]]:
        """Mean and sd of every subgroup's ITA."""
        mean = jnp.stack([jnp.asarray(tone.ita_mean, jnp.float32) for tone in self.subgroups.values()])
        sd = jnp.stack([jnp.asarray(tone.ita_sd, jnp.float32) for tone in self.subgroups.values()])
        return mean, sd

    def _filter(self, subgroup: Int[Array, ""]) -> Float[Array, " 3"]:
        """What ``invertible`` leaves of the light of each channel: 1 in the lightest subgroup, less in any other."""
        mean, _ = self._tones()
        own, lightest = (
            skin_colour(melanosome_fraction(ita), jnp.float32(BLOOD)) for ita in (mean[subgroup], jnp.max(mean))
        )
        return own / lightest

    def _slope(self, subgroup: Int[Array, ""]) -> Float[Array, ""]:
        """Slope of a subgroup's lines in degrees."""
        return self.difficulty.angle * (1 - 2 * subgroup)

    def _lines(self, subject: Subjects) -> Float[Array, "h w"] | None:
        """Skin lines of unit variance: waves whose crests run along the subgroup's slope."""
        if self.difficulty.kind != "symmetric":
            return None
        height, turned = normal(subject.key, Latent.LINES, (2, WAVES))
        long, phase = uniform(subject.key, Latent.LINE_WAVES, (2, WAVES))
        angle = jnp.radians(self._slope(subject.subgroup) + SLOPE_SD * turned)
        waves = 2 * jnp.pi / (LONGEST + (SHORTEST - LONGEST) * long)
        x, y = canvas.grid(self.size, self.field_of_view)
        a = (waves * jnp.cos(angle))[:, None] * y + 2 * jnp.pi * phase[:, None]
        b = -(waves * jnp.sin(angle))[:, None] * x
        # cos(a + b) by the addition theorem, so that all waves are one product of small matrices
        down = jnp.concatenate([jnp.cos(a), -jnp.sin(a)]) * jnp.tile(height, 2)[:, None]
        return settle(down.T @ jnp.concatenate([jnp.cos(b), jnp.sin(b)])) * (2 / WAVES) ** 0.5


def melanosome_fraction(ita: Float[Array, "..."]) -> Float[Array, "..."]:
    """Epidermal melanosome volume fraction at an ITA in degrees (blood fraction .01); inverse of :func:`declared_ita`.

    Clipped to [.001, .55], beyond which the fit has no support.
    """
    root = (-165.37 + jnp.sqrt(165.37**2 + 239.52 * jnp.maximum(79.2 - ita, 0.0))) / 119.76
    return jnp.clip(root**2, 0.001, 0.55)


def declared_ita(fraction: Float[Array, "..."]) -> Float[Array, "..."]:
    """ITA in degrees at a melanosome fraction (fit, within 1.6 degrees, blood fraction .01)."""
    return 79.2 - 165.37 * jnp.sqrt(fraction) - 59.88 * fraction


def skin_colour(melanin: Float[Array, "*s"], blood: Float[Array, "..."]) -> Float[Array, "3 *s"]:
    """White-balanced linear sRGB of skin with these melanosome and blood volume fractions (closed-form fit).

    Colour channels come first, as everywhere inside a rendering.
    """
    b = jnp.sqrt(jnp.maximum(blood, 0.0))
    f = jnp.maximum(melanin, 0.0)
    exponents = (
        -0.2595 - 4.376 * f - 1.522 * b - 1.015 * f**2,
        -0.2019 - 8.327 * f - 4.661 * b + 0.067 * f**2,
        -0.4328 - 14.209 * f - 5.000 * b - 13.256 * f**2,
    )
    return 0.03 + jnp.exp(settle(jnp.stack(exponents)))


def informed_auc(generator: Dermoscopy) -> float:
    """AUC of an observer who knows the five cues (and nothing of the severity beyond them).

    Given the label the cues are normal with covariance ``I + (loading sd)^2 11'`` and means ``loading`` apart, so
    ``d'^2 = k l^2 / (1 + k l^2 s^2)`` for ``k`` cues and ``AUC = Phi(d' / sqrt 2)`` (Barrett and Myers 2004, ch. 13).
    """
    from scipy.stats import norm

    energy = len(CUES) * generator.loading**2
    return float(norm.cdf(np.sqrt(energy / (1 + energy * generator.severity_sd**2) / 2)))


class LinearModel(NamedTuple):
    """What a linear model of the image needs to know; ``m`` latents, ``p`` pixels and channels."""

    push: Float[Array, " m"]
    """How far one unit of severity moves each latent."""
    slopes: Float[Array, "n p m"]
    """Of optical density in the latents, about each subject."""
    electrons: Float[Array, "n p"]
    """Of each pixel; their number plus the square of the read noise, over their number squared, is the variance of
    optical density."""


@jax.jit
def _linear(generator: Dermoscopy, who: Subjects) -> LinearModel:
    def about(subject: Subjects) -> tuple[Float[Array, "p m"], Float[Array, " p"]]:
        drawn = generator._draws(subject)
        lines = generator._lines(subject)
        free, rebuild = ravel_pytree(drawn._replace(place=None, direction=None))

        def density(latents: Float[Array, " m"]) -> Float[Array, " p"]:
            draws = rebuild(latents)._replace(place=drawn.place, direction=drawn.direction)
            albedo = generator._albedo(subject.subgroup, draws, draws.cues + 0.5 * generator.loading, lines)
            return -jnp.log(albedo * generator._light(subject.subgroup, draws)).ravel()

        return jax.jacfwd(density)(free), generator.white_electrons * jnp.exp(-density(free))

    still = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), jax.vmap(generator._draws)(who))
    loaded = still._replace(place=None, direction=None, cues=still.cues + generator.loading)
    return LinearModel(ravel_pytree(loaded)[0], *jax.lax.map(about, who))


def _smooth(field: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Binomial 3 x 3 average, edges repeated."""
    for axis in (0, 1):
        padded = jnp.pad(field, [(1, 1) if axis == i else (0, 0) for i in (0, 1)], mode="edge")
        before, after = (jax.lax.slice_in_dim(padded, o, o + field.shape[axis], axis=axis) for o in (0, 2))
        field = 0.25 * before + 0.5 * field + 0.25 * after
    return field


def _above_plane(field: Float[Array, "h w"], weight: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """What is left of a field after the weighted least-squares plane."""
    size = field.shape[0]
    x, y = canvas.grid(size, 1.0)
    design = jnp.stack([jnp.ones((size, size)), *jnp.meshgrid(x, y)], axis=-1).reshape(-1, 3)
    weighted = design * weight.reshape(-1, 1)
    plane = jnp.linalg.solve(weighted.T @ design + 1e-6 * jnp.eye(3), weighted.T @ field.reshape(-1))
    return field - (design @ plane).reshape(size, size)


def _harmonics(
    cosine: Float[Array, "h w"], sine: Float[Array, "h w"], draws: Float[Array, "2 6"]
) -> Float[Array, "h w"]:
    """Sum over k = 2..7 of ``k^-1.3 (n_k cos k theta + m_k sin k theta)``, scaled to unit variance, without any trig.

    Multiples of the angle follow from the addition theorem.
    """
    k = np.arange(2, 8)
    weight = k**-1.3 / np.sqrt((k**-2.6).sum())
    total = jnp.zeros_like(cosine)
    c, s = cosine, sine
    for i in range(len(k)):
        c, s = c * cosine - s * sine, s * cosine + c * sine
        total = total + weight[i] * (draws[0, i] * c + draws[1, i] * s)
    return total
