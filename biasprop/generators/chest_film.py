"""Chest films: projection radiographs from birth to old age, with four diseases as tasks.

Anatomy is :mod:`.chest_anatomy`, lesions are :mod:`.chest_lesions`. Every disease has four cues, each an independent
standard normal plus ``loading * severity``; severity is 0 (healthy) or 1 (diseased) with a spread. The diseases that the
label does not state are present at random. An observer who knows the cues of a disease has the closed-form AUC of
:meth:`ChestFilm.informed_auc`.

A film is made in the domain of log intensity: primary radiation ``exp(-attenuation)``, scatter as a fraction of blurred
primary radiation, blur of the detector, noise, and at last a look-up table. Scatter is computed without the lesions, so
that it lowers the contrast of a lesion in linear intensity by exactly ``1 - scatter`` and changes nothing elsewhere.
"""

from __future__ import annotations

import enum
import functools
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.component import Component, Preset
from biasprop.generators import canvas, chest_anatomy, chest_lesions, chest_readings
from biasprop.generators.canvas import normal, normals, uniforms
from biasprop.generators.chest_anatomy import Anatomy, Body
from biasprop.generators.chest_lesions import Lesion, Place
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import Subjects
from biasprop.nn.xla_barriers import barrier

DISEASES = ("pneumonia", "cardiomegaly", "nodule", "effusion")
CUE_COUNT = 4
"""Cues of every disease."""

SCATTER_SD = 0.20
"""Sd of the blur of scattered radiation, units of :mod:`.chest_anatomy`: .15 of the width of the thorax."""
SCATTER_MODES = 8
"""Cosines along each axis by which scatter is blurred."""
SUPINE_BELOW_3_YEARS = 0.95
"""Least P(anteroposterior) below three years."""
CENTRE = 0.25
"""Attenuation, relative to the mean over the chest, that the look-up table maps to mid grey."""

DEPRIVED_SUPINE, DEPRIVED_SCATTER, DEPRIVED_NOISE, DEPRIVED_SEVERITY = 0.4, 0.10, 0.4, 0.5
"""At a deprivation of 1: added P(anteroposterior), added scatter fraction, relative increase in the noise's sd and in the
severity of the diseased. Conventions: the last two are the presets ``acquisition_confounded`` and ``late_presentation``
of :mod:`biasprop.population.shifts`."""

PATIENTS: dict[str, dict[str, float]] = {
    "infant": {"age_mean": 0.7, "age_sd": 0.5, "bmi_mean": 21.0},
    "child": {"age_mean": 3.0, "age_sd": 1.2, "bmi_mean": 21.0},
    "adult": {"age_mean": 50.0, "age_sd": 14.0},
    "woman": {"age_mean": 50.0, "age_sd": 14.0, "female": 1.0},
    "man": {"age_mean": 50.0, "age_sd": 14.0, "female": 0.0},
}
"""Preset -> levers; ``child`` is 1 to 5 years, the ages of the public paediatric set (Kermany et al. 2018)."""


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    AGE = 0
    SEX = 1
    PROJECTION = 2
    THYMUS = 3
    BODY = 4
    EXPOSURE = 5
    SEVERITY = 6
    COMORBIDITY = 7
    PNEUMONIA = 8
    CARDIOMEGALY = 9
    NODULE = 10
    EFFUSION = 11
    PNEUMONIA_PLACE = 12
    NODULE_PLACE = 13
    EFFUSION_PLACE = 14
    ROUND = 15
    TEXTURE = 16
    OUTLINE = 17
    NOISE = 18
    DRAIN = 19
    SIDE_MARKER = 20


SHORT = (
    *(Latent.BODY, Latent.EXPOSURE, Latent.SEVERITY),
    *(Latent.PNEUMONIA, Latent.CARDIOMEGALY, Latent.NODULE, Latent.EFFUSION),
)
"""Latents of at most eight normals, drawn in one call."""
UNIFORM = (
    *(Latent.AGE, Latent.SEX, Latent.PROJECTION, Latent.THYMUS, Latent.COMORBIDITY),
    *(Latent.PNEUMONIA_PLACE, Latent.NODULE_PLACE, Latent.EFFUSION_PLACE, Latent.ROUND),
)
"""Latents of at most four uniforms, drawn in one call."""


class Patients(Component):
    """Patients of one subgroup and how they are imaged: laws of age, sex and body mass, deprivation, and site."""

    age_mean: Annotated[float, Field(ge=0, le=90)] = 35.0
    """Mean age in years, before truncation to 0 to 90."""
    age_sd: Annotated[float, Field(ge=0, le=40)] = 20.0
    """Sd of age in years, before truncation."""
    female: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of females."""
    bmi_mean: Annotated[float, Field(ge=15, le=45)] = 25.0
    """Mean body mass index, kg / m^2; a child has the fat, relative to its width, of an adult of the same rank."""
    bmi_sd: Annotated[float, Field(ge=0, le=10)] = 4.0
    """Sd of the body mass index."""
    deprivation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Socioeconomic deprivation: more anteroposterior films, scatter and noise, and later presentation."""
    anteroposterior: Annotated[float, Field(ge=0, le=1)] = 0.2
    """P(the film is anteroposterior and supine), from three years of age; below it is at least .95."""
    scatter: Annotated[float, Field(ge=0, le=0.9)] = 0.45
    """Fraction of detected radiation that is scattered (lung without a grid: .3 to .6)."""
    contrast: Annotated[float, Field(ge=0.5, le=4)] = 1.8
    """Slope of the site's look-up table."""
    brightness: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Shift of the site's look-up table, log units of intensity; higher is whiter."""


class Draws(NamedTuple):
    """All draws of a film except noise, drain and side marker."""

    body: Float[Array, " 8"]
    exposure: Float[Array, ""]
    severity: Float[Array, " 4"]
    """one per disease"""
    cues: Float[Array, "4 4"]
    """by disease"""
    texture: Float[Array, "k k"]
    outline: Float[Array, "k k"]
    uniform: dict[Latent, Float[Array, " 4"]]
    """Uniforms; all else are standard normals."""


class ChestFilm(ImageGenerator):
    """Grey film of one chest; white is what attenuates."""

    kind: Literal["chest_film"] = "chest_film"
    size: Annotated[int, Field(ge=8, le=512)] = 48
    """Pixels along a side; must be a multiple of the encoder's patch."""
    subgroups: Annotated[dict[str, Annotated[Patients, Preset(PATIENTS)]], Field(min_length=2)]
    """Name -> patients, or the name of a preset."""
    severity_sd: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Sd of severity within a class; the class means are 1 apart."""
    loading: Annotated[float, Field(ge=0, le=3)] = 1.15
    """Change of each cue of a disease per unit of severity, in standard deviations of the cue."""
    comorbidity: Annotated[float, Field(ge=0, le=1)] = 0.1
    """P(each disease that the label is not of)."""
    texture: Annotated[float, Field(ge=0, le=0.5)] = 0.10
    """Relative sd of the lung's attenuation: vessels, as a random field."""
    distance: Annotated[float, Field(ge=60, le=200)] = 100.0
    """Distance of focus and film for anteroposterior films, cm."""
    photons: Annotated[float, Field(gt=0, le=1e9)] = 20_000.0
    """Effective photons per pixel of the unattenuated beam, which set the noise. A real pixel of this size collects some
    10^6, so that noise would be invisible: this is a stress, not a dose."""
    blur: Annotated[float, Field(ge=0, le=3)] = 0.5
    """Sd of the detector's blur, pixels."""
    auto_exposure: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0 is a fixed exposure; 1 gives every chest the same mean."""
    exposure_sd: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Sd of the log exposure between films."""
    drain: bool = False
    """Draw a chest drain."""
    drain_density: Annotated[float, Field(ge=0, le=1)] = 0.2
    """P(a film shows a drain)."""
    side_marker: bool = False
    """Draw the lead letter L beside the patient's left shoulder."""
    side_marker_density: Annotated[float, Field(ge=0, le=1)] = 0.5
    """P(a film shows the letter)."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = DISEASES
    latent_names: ClassVar[tuple[str, ...]] = (
        *("age", "female", "bmi", "anteroposterior", "cardiothoracic_ratio"),
        *("severity", "left", "lobe"),
    )
    attribute_names: ClassVar[tuple[str, ...]] = ("width", "inspiration", "across", "down")
    follows_up: ClassVar[bool] = False
    symmetries: ClassVar[tuple[str, ...]] = ()
    anatomy_differs: ClassVar[bool] = True

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def severity(self, subject: Subjects) -> Float[Array, ""]:
        """Severity of the disease that the label states, without what deprivation adds: mean 0 healthy, 1 diseased."""
        return self._severities(subject, self._draws(subject), 0.0)[self._disease(subject)]

    def latents(self, subject: Subjects) -> Float[Array, " 8"]:
        """Age in years, sex (1 female), body mass index, projection (1 anteroposterior), cardiothoracic ratio on the
        film, severity, and side (1 left) and lobe (0 upper, 1 middle, 2 lower) of the disease that the label states.
        Cardiomegaly has the side and lobe of pneumonia's place, which it does not use; effusion uses the side alone."""
        draws = self._draws(subject)
        body, places = self._body(subject, draws), self._places(draws)
        order = jnp.asarray([0, 0, 1, 2])[self._disease(subject)]
        left, lobe = (jnp.stack([getattr(place, name) for place in places])[order] for name in ("left", "lobe"))
        severity = self.severity(subject)
        return jnp.stack([body.age, body.female, body.bmi, body.supine, body.ratio, severity, left, lobe])

    def attributes(self, subject: Subjects) -> Float[Array, " 4"]:
        """Ranks of thoracic width and depth of inspiration, and position on the film (to the right, down), each
        standardised."""
        body = normal(subject.key, Latent.BODY, (8,))
        return jnp.stack([body[1], body[2], body[3], body[4]])

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows the four cues of a disease and nothing else about severity.

        Given the label the cues are normal with covariance ``I + (loading sd)^2 11'`` and means ``m = loading (1 + late
        presentation)`` apart, so ``d'^2 = k m^2 / (1 + k loading^2 sd^2)`` for ``k`` cues and ``AUC = Phi(d' / sqrt 2)``.
        """
        from scipy.special import ndtr

        late = float(list(self.subgroups.values())[int(subject.subgroup)].deprivation) * DEPRIVED_SEVERITY
        energy = CUE_COUNT * self.loading**2
        return float(ndtr(np.sqrt(energy * (1 + late) ** 2 / (1 + energy * self.severity_sd**2) / 2)))

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The film as code values in (0, 1)."""
        draws = self._draws(subject)
        grain = barrier(normal(subject.key, Latent.NOISE, (self.size**2,))).reshape(self.size, self.size)
        density, noise_sd, reference = self._density(subject, draws)
        site = self._site(subject)
        table = barrier(site.contrast * (density + noise_sd * grain + site.brightness - reference - CENTRE))
        film = sigmoid(table)
        if subject.marker is not None:
            film = canvas.draw_marker(film, subject.marker, 0.95)
        return film[..., None]

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the disease that the label states, in [0, 1]: the heart for cardiomegaly."""
        draws = self._draws(subject)
        anatomy, lesions = self._scene(subject, draws)
        pneumonia, nodule, effusion = (lesion.cover for lesion in lesions)
        if subject.disease is None:
            return pneumonia
        return jnp.stack([pneumonia, anatomy.heart, nodule, effusion])[subject.disease]

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Estimate the levers from pixels (:func:`biasprop.generators.chest_readings.measure`)."""
        return chest_readings.measure(image[..., 0], mask)

    def _disease(self, subject: Subjects) -> int | Int[Array, ""]:
        """Index of the disease that the label is of."""
        return 0 if subject.disease is None else subject.disease

    def _draws(self, subject: Subjects) -> Draws:
        few = dict(zip(SHORT, normals(subject.key, SHORT, 8), strict=True))
        shape = canvas.field_draws_shape(chest_anatomy.TEXTURE_MODES)
        outline_shape = canvas.field_draws_shape(chest_lesions.FIELD_MODES)
        cues = jnp.stack([few[Latent.PNEUMONIA + d][:CUE_COUNT] for d in range(len(DISEASES))])
        return Draws(
            body=few[Latent.BODY],
            exposure=few[Latent.EXPOSURE][0],
            severity=few[Latent.SEVERITY][: len(DISEASES)],
            cues=cues,
            texture=normal(subject.key, Latent.TEXTURE, shape),
            outline=normal(subject.key, Latent.OUTLINE, outline_shape),
            uniform=dict(zip(UNIFORM, uniforms(subject.key, UNIFORM, 4), strict=True)),
        )

    def _site(self, subject: Subjects) -> Any:
        """Levers of the subject's subgroup."""
        levels = list(self.subgroups.values())
        values = {n: jnp.stack([jnp.asarray(getattr(p, n), jnp.float32) for p in levels]) for n in Patients.model_fields}
        return Patients.model_construct(**{name: value[subject.subgroup] for name, value in values.items()})

    def _severities(
        self, subject: Subjects, draws: Draws, late: float | Float[Array, ""]
    ) -> Float[Array, " 4"]:
        """Severity of every disease; in the diseased it is greater by the fraction ``late``."""
        own = jnp.asarray(subject.mean_severity, jnp.float32)
        others = (draws.uniform[Latent.COMORBIDITY] < self.comorbidity).astype(jnp.float32)
        stated = jnp.arange(len(DISEASES)) == self._disease(subject)
        return (1 + late) * jnp.where(stated, own, others) + self.severity_sd * draws.severity

    def cues(self, subject: Subjects) -> Float[Array, "4 4"]:
        """The cues of every disease, in units of their sd at fixed severity."""
        return self._cues(subject, self._draws(subject))

    def _cues(self, subject: Subjects, draws: Draws) -> Float[Array, "4 4"]:
        late = DEPRIVED_SEVERITY * self._site(subject).deprivation
        return draws.cues + self.loading * self._severities(subject, draws, late)[:, None]

    def _body(self, subject: Subjects, draws: Draws) -> Body:
        site, of = self._site(subject), draws.uniform
        age = chest_anatomy.truncated_normal(site.age_mean, site.age_sd, 0.0, 90.0, of[Latent.AGE][0])
        female = (of[Latent.SEX][0] < site.female).astype(jnp.float32)
        frontal = site.anteroposterior + DEPRIVED_SUPINE * site.deprivation
        frontal = jnp.maximum(frontal, SUPINE_BELOW_3_YEARS * (age < 3))
        supine = (of[Latent.PROJECTION][0] < frontal).astype(jnp.float32)
        width, globular, pedicle, vessels = self._contrast(subject) * self._cues(subject, draws)[1]
        ratio = chest_anatomy.cardiothoracic_ratio(age, female) + chest_anatomy.RATIO_SD * width
        ratio = ratio * (1 + supine * (chest_anatomy.magnification(self.distance) - 1))
        bmi, width_rank, inspiration, right, down, breast = draws.body[:6]
        mean_width = chest_anatomy.thoracic_width(age)
        body = Body(
            age=age,
            female=female,
            bmi=site.bmi_mean + site.bmi_sd * bmi,
            width=mean_width * (1 + chest_anatomy.WIDTH_SD / chest_anatomy.ADULT_WIDTH * width_rank),
            ratio=ratio,
            breast=4 * jnp.exp(0.35 * breast) * female * jnp.clip((age - 11) / 3, 0, 1),
            thymus=(of[Latent.THYMUS][0] < 0.6) * jnp.exp(-((age / 2.2) ** 2)),
            supine=supine,
            inspiration=inspiration,
            shift=0.02 * jnp.stack([right, down]),
            short_axis=jnp.exp(0.04 * globular),
            pedicle=jnp.exp(0.07 * pedicle) * (1 + 0.15 * supine),
            vessels=jnp.exp(0.25 * vessels),
        )
        shift = canvas.materialise(*body.shift)
        flat = canvas.materialise(*(value for name, value in body._asdict().items() if name != "shift"))
        names = [name for name in Body._fields if name != "shift"]
        return Body(**dict(zip(names, flat, strict=True)), shift=shift)

    def _contrast(self, subject: Subjects) -> float | Float[Array, ""]:
        return 1.0 if subject.contrast is None else subject.contrast

    def _places(self, draws: Draws) -> list[Place]:
        """Places of pneumonia, nodule and effusion."""
        latents = (Latent.PNEUMONIA_PLACE, Latent.NODULE_PLACE, Latent.EFFUSION_PLACE)
        return [chest_lesions.place(draws.uniform[latent]) for latent in latents]

    def _scene(self, subject: Subjects, draws: Draws) -> tuple[Anatomy, list[Lesion]]:
        """The chest, and its consolidation, nodule and effusion."""
        body, cues = self._body(subject, draws), self._cues(subject, draws)
        anatomy = chest_anatomy.draw(body, draws.texture, self.size, self.texture)
        lungs, (pneumonia, nodule, effusion) = anatomy.lungs, self._places(draws)
        is_round = draws.uniform[Latent.ROUND][0]
        return anatomy, [
            chest_lesions.consolidation(lungs, pneumonia, cues[0], draws.outline, body.age, is_round),
            chest_lesions.nodule(lungs, nodule, cues[2]),
            chest_lesions.effusion(lungs, effusion, cues[3], body.supine),
        ]

    def _density(
        self, subject: Subjects, draws: Draws
    ) -> tuple[Float[Array, "h w"], Float[Array, "h w"], Float[Array, ""]]:
        """Log of incident over detected intensity, sd of its noise, and the exposure control's reference."""
        anatomy, lesions = self._scene(subject, draws)
        site = self._site(subject)
        added = self._contrast(subject) * sum(lesion.attenuation for lesion in lesions)
        attenuation = anatomy.attenuation + self._foreign(subject)
        fraction = jnp.minimum(site.scatter + DEPRIVED_SCATTER * site.deprivation, 0.95)
        primary = jnp.exp(-barrier(jnp.stack([attenuation, attenuation + added])))
        modes = jnp.asarray(_scatter_modes(self.size))
        scattered = modes @ (_scatter_gains()[:, None] * (modes.T @ primary[0] @ modes) * _scatter_gains()) @ modes.T
        detected = barrier((1 - fraction) * primary[1] + fraction * scattered)
        blurred = self._blur() @ detected @ self._blur()
        exposure = jnp.exp(self.exposure_sd * draws.exposure)
        if subject.exposure is not None:
            exposure = exposure * subject.exposure
        photons = self.photons * exposure
        noise = (1 + DEPRIVED_NOISE * site.deprivation) / jnp.sqrt(photons)
        if subject.noise is not None:
            noise = noise * subject.noise
        density = -jnp.log(barrier(jnp.maximum(blurred, 1e-6)))
        reference = jnp.sum(_chest_window(self.size) * anatomy.attenuation)
        reference = self.auto_exposure * reference + (1 - self.auto_exposure) * 2.0
        return density - jnp.log(exposure), noise * jnp.exp(0.5 * density), reference

    def _blur(self) -> Float[Array, "s s"]:
        """Matrix that blurs along an axis as the detector does; edge pixels are weighted to sum to 1."""
        apart = np.arange(self.size)[:, None] - np.arange(self.size)[None, :]
        kernel = jnp.exp(-(apart**2) / (2 * jnp.maximum(self.blur, 0.05) ** 2))
        return kernel / jnp.sum(kernel, axis=1, keepdims=True)

    def _foreign(self, subject: Subjects) -> float | Float[Array, "h w"]:
        """Attenuation of drain and lead letter."""
        added: float | Float[Array, "h w"] = 0.0
        x, y = canvas.grid(self.size, 2.0)
        u, v = x, y[:, None]
        if self.drain:
            present, side, high = canvas.uniform(subject.key, Latent.DRAIN, (3,))
            along = jnp.clip((0.45 - v) / 0.8, 0, 1)
            course = jnp.sign(side - 0.5) * (0.85 - 0.55 * along + 0.25 * along**2)
            tube = jnp.exp(-(((u - course) / 0.03) ** 2)) * sigmoid(30 * (0.45 - v)) * sigmoid(30 * (v + 0.2 + 0.3 * high))
            added = added + 0.8 * (present < self.drain_density) * tube
        if self.side_marker:
            present, right, down = canvas.uniform(subject.key, Latent.SIDE_MARKER, (3,))
            left, top, stroke = 0.72 + 0.06 * right, -0.92 + 0.06 * down, 0.035
            stem = _bar(u, left, left + stroke) * _bar(v, top, top + 0.2)
            foot = _bar(u, left, left + 0.12) * _bar(v, top + 0.2 - stroke, top + 0.2)
            added = added + 4.0 * (present < self.side_marker_density) * jnp.maximum(stem, foot)
        return added


def _bar(x: Float[Array, "..."], low: float | Float[Array, ""], high: float | Float[Array, ""]) -> Float[Array, "..."]:
    """1 between two coordinates, else 0, with soft edges."""
    return sigmoid(80 * (x - low)) * sigmoid(80 * (high - x))


@functools.cache
def _scatter_modes(size: int) -> np.ndarray:
    """The lowest cosines on ``size`` pixels, orthonormal: [size, modes]."""
    k = np.arange(min(SCATTER_MODES, size))
    modes = np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, k)) * np.sqrt(2 / size)
    modes[:, 0] /= np.sqrt(2)
    return modes.astype(np.float32)


@functools.cache
def _scatter_gains() -> np.ndarray:
    """Factor of a Gaussian blur of :data:`SCATTER_SD` on each cosine."""
    return np.exp(-((np.pi / 2 * SCATTER_SD * np.arange(SCATTER_MODES)) ** 2) / 2).astype(np.float32)


@functools.cache
def _chest_window(size: int) -> np.ndarray:
    """Weights of the pixels of which automatic exposure holds the mean: the thorax, which sums to 1."""
    axis = 2 * (np.arange(size) + 0.5) / size - 1
    window = np.outer(np.abs(axis) < 0.65, np.abs(axis) < 0.75).astype(np.float32)
    return window / window.sum()
