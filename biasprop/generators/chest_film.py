"""Chest films: projection radiographs from birth to old age, with four diseases as tasks.

Anatomy is :mod:`.chest_anatomy`, lesions are :mod:`.chest_lesions`. Every disease has four cues, each an independent
standard normal plus ``loading * severity``; severity is 0 (healthy) or 1 (diseased) with a spread. The diseases that
the label does not state are present at random. An observer who knows the cues of a disease has the closed-form AUC of
:meth:`ChestFilm.informed_auc`.

A film is made in the domain of log intensity: primary radiation ``exp(-attenuation)``, scatter as a fraction of blurred
primary radiation, blur of the detector, noise, and at last a look-up table. Scatter is computed without the lesions, so
that it lowers the contrast of a lesion in linear intensity by exactly ``1 - scatter`` and changes nothing elsewhere.
"""

from __future__ import annotations

import enum
import functools
from typing import Annotated, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jaxtyping import Array, Float
from pydantic import Field

from biasprop.component import Preset
from biasprop.generators import (
    canvas,
    chest_acquisition,
    chest_anatomy,
    chest_lesions,
    chest_patients,
    chest_readings,
)
from biasprop.generators.canvas import normal, normals, uniforms
from biasprop.generators.chest_anatomy import Anatomy, Body
from biasprop.generators.chest_lesions import Lesion, Place
from biasprop.generators.chest_patients import PATIENTS, Patients
from biasprop.generators.cues import informed_auc
from biasprop.generators.laws import of_subgroup
from biasprop.generators.several_diseases import CUE_COUNT, SeveralDiseases
from biasprop.interfaces import Subjects
from biasprop.nn.xla_barriers import barrier

DISEASES = ("pneumonia", "cardiomegaly", "nodule", "effusion")
OPACITIES = (0, 2, 3)
"""Those of the diseases that are opacities, not anatomy."""
CENTRE = -0.6
"""Attenuation, relative to the mean over the chest, that the look-up table maps to mid grey."""


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


CUES = (Latent.PNEUMONIA, Latent.CARDIOMEGALY, Latent.NODULE, Latent.EFFUSION)
"""Latents of the cues of each disease."""
SHORT = (Latent.BODY, Latent.EXPOSURE, Latent.SEVERITY, *CUES)
"""Latents of at most eight normals, drawn in one call."""
UNIFORM = (
    *(Latent.AGE, Latent.SEX, Latent.PROJECTION, Latent.THYMUS, Latent.COMORBIDITY),
    *(Latent.PNEUMONIA_PLACE, Latent.NODULE_PLACE, Latent.EFFUSION_PLACE, Latent.ROUND),
)
"""Latents of at most four uniforms, drawn in one call."""


BODY_CHANCES = (Latent.AGE, Latent.SEX, Latent.PROJECTION, Latent.THYMUS)
"""Latents of the uniforms of a body."""


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


class ChestFilm(SeveralDiseases):
    """Grey film of one chest; white is what attenuates."""

    kind: Literal["chest_film"] = "chest_film"
    size: Annotated[int, Field(ge=8, le=512)] = 48
    """Pixels along a side; must be a multiple of the encoder's patch."""
    subgroups: Annotated[dict[str, Annotated[Patients, Preset(PATIENTS)]], Field(min_length=2)]
    """Name -> patients, or the name of a preset."""
    texture: Annotated[float, Field(ge=0, le=0.5)] = 0.10
    """Relative sd of the lung's attenuation: vessels, as a random field."""
    distance: Annotated[float, Field(ge=60, le=200)] = 100.0
    """Distance of focus and film for anteroposterior films, cm."""
    photons: Annotated[float, Field(gt=0, le=1e9)] = 2_500.0
    """Effective photons per pixel of the unattenuated beam, which set the noise. A real pixel of this size collects
    some 10^6, so that noise would be invisible: this is a stress, not a dose."""
    blur: Annotated[float, Field(ge=0, le=3)] = 0.4
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
    comorbidity_latent: ClassVar[int] = Latent.COMORBIDITY
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
        """AUC of an observer who knows the four cues of the disease that the label states
        (:func:`biasprop.generators.cues.informed_auc`); the classes are further apart where the diseased present late.
        A contrast is a factor on the loading of cardiomegaly; that of an opacity leaves its cues as they are.
        """
        late = float(list(self.subgroups.values())[int(subject.subgroup)].late())
        loading = self.loading * float(self._loading_factors(subject)[self._disease(subject)])
        return informed_auc(CUE_COUNT, loading, self.severity_sd, 1 + late)

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
        """Fraction of each pixel covered by the disease of the label, as blurred as the film, in [0, 1]; for
        cardiomegaly, by the heart."""
        draws = self._draws(subject)
        anatomy, lesions = self._scene(subject, draws)
        pneumonia, nodule, effusion = (lesion.cover for lesion in lesions)
        cover = pneumonia
        if subject.disease is not None:
            cover = jnp.stack([pneumonia, anatomy.heart, nodule, effusion])[subject.disease]
        return jnp.clip(canvas.blurred(cover, self.blur), 0, 1)

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Estimate the levers from pixels (:func:`biasprop.generators.chest_readings.measure`)."""
        return chest_readings.measure(image[..., 0], mask)

    def _draws(self, subject: Subjects) -> Draws:
        few = dict(zip(SHORT, normals(subject.key, SHORT, 8), strict=True))
        shape = canvas.field_draws_shape(chest_anatomy.TEXTURE_MODES)
        outline_shape = canvas.field_draws_shape(chest_lesions.FIELD_MODES)
        cues = jnp.stack([few[latent][:CUE_COUNT] for latent in CUES])
        return Draws(
            body=few[Latent.BODY],
            exposure=few[Latent.EXPOSURE][0],
            severity=few[Latent.SEVERITY][: len(DISEASES)],
            cues=cues,
            texture=normal(subject.key, Latent.TEXTURE, shape),
            outline=normal(subject.key, Latent.OUTLINE, outline_shape),
            uniform=dict(zip(UNIFORM, uniforms(subject.key, UNIFORM, 4), strict=True)),
        )

    def _without_noise(self, subject: Subjects, draws: Draws) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
        """Log of incident over detected intensity relative to the exposure control's reference, and sd of its noise."""
        density, noise_sd, reference = self._density(subject, draws)
        return density - reference, noise_sd

    def _site(self, subject: Subjects) -> Patients:
        """Levers of the subject's subgroup."""
        return of_subgroup(list(self.subgroups.values()), subject.subgroup)

    def _cues(self, subject: Subjects, draws: Draws) -> Float[Array, "4 4"]:
        late = self._site(subject).late()
        loadings = self.loading * self._loading_factors(subject)
        return draws.cues + (loadings * self._severities(subject, draws, late))[:, None]

    def _body(self, subject: Subjects, draws: Draws) -> Body:
        cues = self._cues(subject, draws)[DISEASES.index("cardiomegaly")]
        chances = jnp.stack([draws.uniform[latent][0] for latent in BODY_CHANCES])
        magnified = chest_anatomy.magnification(self.distance)
        return chest_patients.body(self._site(subject), draws.body, chances, cues, magnified)

    def _loading_factors(self, subject: Subjects) -> Float[Array, " 4"]:
        """Factor on the loading of every disease: the contrast of cardiomegaly, which is anatomy: no
        opacity of it could be fainter."""
        return jnp.where(np.array(DISEASES) == "cardiomegaly", self._contrasts(subject), 1.0)

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
        drawn = [
            chest_lesions.consolidation(lungs, pneumonia, cues[0], draws.outline, body.age, is_round),
            chest_lesions.nodule(lungs, nodule, cues[2]),
            chest_lesions.effusion(lungs, effusion, cues[3], body.supine),
        ]
        softer = chest_anatomy.softer(body.energy, chest_anatomy.SOFT_EXPONENT)
        factors = canvas.materialise(*(softer * self._contrasts(subject)[index] for index in OPACITIES))
        return anatomy, [
            Lesion(lesion.cover, factor * lesion.attenuation) for lesion, factor in zip(drawn, factors, strict=True)
        ]

    def _density(
        self, subject: Subjects, draws: Draws
    ) -> tuple[Float[Array, "h w"], Float[Array, "h w"], Float[Array, ""]]:
        """Log of incident over detected intensity, sd of its noise, and the exposure control's reference."""
        anatomy, lesions = self._scene(subject, draws)
        patients = self._site(subject)
        exposure = jnp.exp(self.exposure_sd * draws.exposure)
        if subject.exposure is not None:
            exposure = exposure * subject.exposure
        detected = chest_acquisition.detected(
            anatomy.attenuation + self._drain(subject),
            functools.reduce(jnp.add, [lesion.attenuation for lesion in lesions]),
            patients.scattered(),
            self.blur,
        )
        density = -jnp.log(detected) + self._letter(subject)
        noise = patients.noise() / jnp.sqrt(self.photons * exposure)
        if subject.noise is not None:
            noise = noise * subject.noise
        reference = chest_acquisition.reference(anatomy.attenuation, self.auto_exposure)
        return density - jnp.log(exposure), noise * jnp.exp(0.5 * density), reference

    def _drain(self, subject: Subjects) -> float | Float[Array, "h w"]:
        if not self.drain:
            return 0.0
        draws = canvas.uniform(subject.key, Latent.DRAIN, (3,))
        return chest_acquisition.drain(self.size, draws, self.drain_density)

    def _letter(self, subject: Subjects) -> float | Float[Array, "h w"]:
        """Attenuation of the lead letter, which lies on the detector and keeps scatter off as well."""
        if not self.side_marker:
            return 0.0
        draws = canvas.uniform(subject.key, Latent.SIDE_MARKER, (3,))
        return chest_acquisition.side_marker(self.size, draws, self.side_marker_density)
