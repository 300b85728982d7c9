"""Axial magnetic resonance images of the brain in four sequences, with three diseases as tasks.

Signals are :mod:`.brain_signal`, anatomy is :mod:`.brain_anatomy`, lesions are :mod:`.brain_lesions`. The sequence is a
property of a subgroup, so twins of subgroups that differ in it alone are one head with one lesion in two sequences.
Every disease has four cues, each an independent standard normal plus ``loading * severity``; severity is 0 (healthy) or
1 (diseased) with a spread. The diseases that the label does not state are present at random. An observer who knows the
cues of a disease has the closed-form AUC of :meth:`BrainMRI.informed_auc`.

Tissues are mixed by their fractions of a pixel. The signal is multiplied by the receiver's sensitivity; its magnitude
with noise in two channels is Rician; the unit of intensity is arbitrary and differs between images.
"""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

from biasprop import keys
from biasprop.component import Preset
from biasprop.generators import (
    brain_acquisition,
    brain_anatomy,
    brain_lesions,
    brain_patients,
    brain_readings,
    brain_signal,
    canvas,
)
from biasprop.generators.brain_anatomy import Brain, Head
from biasprop.generators.brain_lesions import Grid, Lesion
from biasprop.generators.brain_patients import PATIENTS, Patients
from biasprop.generators.brain_signal import TISSUES, Relaxation, Scan, Tissue
from biasprop.generators.canvas import normal, normals, uniforms
from biasprop.generators.laws import of_subgroup
from biasprop.generators.several_diseases import CUE_COUNT, SeveralDiseases
from biasprop.interfaces import Subjects
from biasprop.nn.xla_barriers import barrier, image_barrier

DISEASES = ("ms", "metastasis", "stroke")
LEVEL = 0.5
"""Value in the image, before the random factor, of the brightest tissue at 1.5 T."""
TEXTURE_MODES, TEXTURE_EXPONENT = 7, 2.5
"""Highest frequency of the texture of brain tissue, cycles per image, and exponent of its power law; conventions."""


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    AGE = 0
    SEX = 1
    HEAD = 2
    FOLDS = 3
    RELAXATION = 4
    INTENSITY = 5
    SENSITIVITY = 6
    SEVERITY = 7
    COMORBIDITY = 8
    MS = 9
    METASTASIS = 10
    STROKE = 11
    MS_PLACE = 12
    METASTASIS_PLACE = 13
    STROKE_PLACE = 14
    TEXTURE = 15
    OUTLINE = 16
    NOISE = 17


CUES = (Latent.MS, Latent.METASTASIS, Latent.STROKE)
"""Latents of the cues of each disease."""
SHORT = (Latent.HEAD, Latent.RELAXATION, Latent.INTENSITY, Latent.SEVERITY, *CUES)
"""Latents of at most eight normals, drawn in one call."""
UNIFORM = (Latent.AGE, Latent.SEX, Latent.COMORBIDITY, Latent.METASTASIS_PLACE, Latent.STROKE_PLACE)
"""Latents of at most four uniforms, drawn in one call."""


class Draws(NamedTuple):
    """All draws of an image except noise."""

    head: Float[Array, " 8"]
    folds: Float[Array, "k 2"]
    relaxation: Float[Array, " 8"]
    intensity: Float[Array, ""]
    sensitivity: Float[Array, "k k"]
    severity: Float[Array, " 3"]
    """one per disease"""
    cues: Float[Array, "3 4"]
    """by disease"""
    texture: Float[Array, "k k"]
    outline: Float[Array, "k k"]
    uniform: dict[Latent, Float[Array, "..."]]
    """Uniforms; all else are standard normals."""


class BrainMRI(SeveralDiseases):
    """Grey axial slice of one brain at the level of the lateral ventricles."""

    kind: Literal["brain_mri"] = "brain_mri"
    size: Annotated[int, Field(ge=8, le=512)] = 64
    """Pixels along a side; must be a multiple of the encoder's patch."""
    field_of_view: Annotated[int, Field(ge=80, le=300)] = 96
    """Width of the image, mm; below 176 it shows the hemisphere on the patient's left, up to the scalp, and every
    lesion is there. With fewer than one pixel per 2 mm plaques can hardly be seen."""
    subgroups: Annotated[dict[str, Annotated[Patients, Preset(PATIENTS)]], Field(min_length=2)]
    """Name -> patients and their scanner, or the name of a preset."""
    comorbidity: Annotated[float, Field(ge=0, le=1)] = 0.05
    """P(each disease that the label is not of)."""
    texture: Annotated[float, Field(ge=0, le=0.5)] = 0.04
    """Relative sd of the signal of brain tissue, as a random field."""
    relaxation_sd: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Sd of the logs of T1, T2 and proton density of grey and white matter between subjects."""
    intensity_sd: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Sd of the log of the factor on all intensities between images, whose unit is arbitrary."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = DISEASES
    comorbidity_latent: ClassVar[int] = Latent.COMORBIDITY
    latent_names: ClassVar[tuple[str, ...]] = (
        *("age", "female", "intracranial_volume", "ventricles", "hyperintensity", "severity"),
    )
    attribute_names: ClassVar[tuple[str, ...]] = ("volume", "atrophy", "across", "down")
    follows_up: ClassVar[bool] = False
    symmetries: ClassVar[tuple[str, ...]] = ()
    anatomy_differs: ClassVar[bool] = True

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def latents(self, subject: Subjects) -> Float[Array, " 6"]:
        """Age in years, sex (1 female), intracranial volume in cm^3, width of the ventricles and weight of
        hyperintensities (:class:`biasprop.generators.brain_anatomy.Head`), and severity of the disease that the label
        states."""
        head = self._head(subject, self._draws(subject))
        own = (head.age, head.female, head.volume, head.ventricles, head.hyperintensity)
        return jnp.stack([*own, self.severity(subject)])

    def attributes(self, subject: Subjects) -> Float[Array, " 4"]:
        """Ranks of intracranial volume and of atrophy, and position in the image (to the right, down), each
        standardised."""
        ranks = normal(subject.key, Latent.HEAD, (8,))
        return jnp.stack([ranks[0], ranks[1], ranks[5], ranks[6]])

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The magnitude image in [0, 1]; what is brighter is clipped."""
        signal, noise, gain = self._signal(subject, self._draws(subject))
        grain = jax.random.bits(keys.at(subject.key, Latent.NOISE), signal.shape)
        image = jnp.minimum(gain * brain_acquisition.magnitude(signal, noise, grain), 1)
        if subject.marker is not None:
            image = canvas.draw_marker(image, subject.marker, 0.95)
        return image[..., None]

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the disease of the label, in [0, 1]; that of a metastasis includes its
        oedema."""
        lesions = self._lesions(subject, self._draws(subject))
        cover = jnp.stack([lesion.cover for lesion in lesions[2]])[self._disease(subject)]
        return jnp.clip(cover, 0, 1)

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Estimate the levers from pixels (:func:`biasprop.generators.brain_readings.measure`)."""
        return brain_readings.measure(image[..., 0], mask, self.field_of_view)

    def fractions(self, subject: Subjects) -> Brain:
        """Fractions of tissues of every pixel, without disease."""
        draws = self._draws(subject)
        return brain_anatomy.draw(self._head(subject, draws), draws.folds, self.size, self.field_of_view)

    def _draws(self, subject: Subjects) -> Draws:
        key = subject.key
        few = dict(zip(SHORT, normals(key, SHORT, 8), strict=True))
        uniform: dict[Latent, Array] = dict(zip(UNIFORM, uniforms(key, UNIFORM, 4), strict=True))
        modes = brain_acquisition.SENSITIVITY_MODES
        return Draws(
            head=few[Latent.HEAD],
            folds=normal(key, Latent.FOLDS, (len(brain_anatomy.FOLD_ORDERS), 2)),
            relaxation=few[Latent.RELAXATION],
            intensity=few[Latent.INTENSITY][0],
            sensitivity=normal(key, Latent.SENSITIVITY, (modes, modes)),
            severity=few[Latent.SEVERITY][: len(DISEASES)],
            cues=jnp.stack([few[latent][:CUE_COUNT] for latent in CUES]),
            texture=normal(key, Latent.TEXTURE, canvas.field_draws_shape(TEXTURE_MODES)),
            outline=normal(key, Latent.OUTLINE, canvas.field_draws_shape(brain_lesions.FIELD_MODES)),
            uniform=uniform | {Latent.MS_PLACE: canvas.uniform(key, Latent.MS_PLACE, (brain_lesions.PLAQUES, 4))},
        )

    def _patients(self, subject: Subjects) -> Patients:
        """Levers of the subject's subgroup."""
        return of_subgroup(list(self.subgroups.values()), subject.subgroup)

    def _head(self, subject: Subjects, draws: Draws) -> Head:
        chances = jnp.stack([draws.uniform[latent][0] for latent in (Latent.AGE, Latent.SEX)])
        return brain_patients.head(self._patients(subject), draws.head, chances)

    def _lesions(self, subject: Subjects, draws: Draws) -> tuple[Brain, Float[Array, "3 4"], list[Lesion]]:
        """The healthy slice, the cues, and the lesions of every disease."""
        head, cues = self._head(subject, draws), self._cues(subject, draws)
        brain = brain_anatomy.draw(head, draws.folds, self.size, self.field_of_view)
        both = self.field_of_view >= 2 * brain_anatomy.HEAD_MM
        grid = Grid(brain, head.width, head.length, self.field_of_view / self.size, both)
        lesions = [
            brain_lesions.sclerosis(grid, draws.uniform[Latent.MS_PLACE], cues[0], head.ventricles),
            brain_lesions.metastasis(grid, draws.uniform[Latent.METASTASIS_PLACE], cues[1]),
            brain_lesions.infarct(grid, draws.uniform[Latent.STROKE_PLACE], cues[2], draws.outline),
        ]
        return brain, cues, lesions

    def _relaxation(self, patients: Patients, draws: Draws) -> Relaxation:
        """Factors of the subject, and of the site, on the properties of grey and white matter."""
        places = np.zeros((2, len(TISSUES)), np.float32)
        places[0, Tissue.GREY] = places[1, Tissue.WHITE] = 1
        t1, t2, density = jnp.exp(self.relaxation_sd * draws.relaxation[:6].reshape(3, 2) @ places)
        return Relaxation(t1 * jnp.exp(jnp.log(patients.white_matter_t1) * places[1]), t2, density)

    def _signal(
        self, subject: Subjects, draws: Draws
    ) -> tuple[Float[Array, "h w"], Float[Array, ""], Float[Array, ""]]:
        """Signal without noise and sd of the noise of a channel, both relative to fully relaxed water, and the factor
        on both in the image."""
        patients, names = self._patients(subject), tuple(level.sequence for level in self.subgroups.values())
        brain, cues, lesions = self._lesions(subject, draws)
        sequence = brain_signal.sequence(names, subject.subgroup, patients.echo_time)
        scan = Scan(sequence, patients.field_strength)
        agent = brain_lesions.contrast_agent(cues[1])
        signals = barrier(brain_signal.signals(scan, self._relaxation(patients, draws), agent))
        signal = (
            signals[Tissue.CSF] * brain.fluid
            + signals[Tissue.FAT] * brain.fat
            + signals[Tissue.GREY] * brain.grey
            + signals[Tissue.WHITE] * brain.white
            + signals[Tissue.PLAQUE] * brain.hyperintense
        )
        for lesion, contrast in zip(lesions, self._contrasts(subject), strict=True):
            signal = brain_lesions.mixed(signal, lesion, signals, contrast)
        uneven = canvas.gaussian_field(draws.texture, self.size, exponent=TEXTURE_EXPONENT)
        signal = signal * (1 + self.texture * uneven * brain.parenchyma)
        signal = signal * brain_acquisition.sensitivity(draws.sensitivity, self.size, patients.nonuniformity)
        if subject.exposure is not None:
            signal = signal * subject.exposure
        noise = patients.noise * 1.5 / patients.field_strength
        if subject.noise is not None:
            noise = noise * subject.noise
        gain = (
            LEVEL
            / brain_signal.brightest(names, subject.subgroup)
            * jnp.exp(patients.gain + self.intensity_sd * draws.intensity)
        )
        return image_barrier(signal), jnp.asarray(noise), gain

    def _without_noise(self, subject: Subjects, draws: Draws) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
        """The image without noise, and the sd of its noise."""
        signal, noise, gain = self._signal(subject, draws)
        return gain * signal, gain * noise * jnp.ones_like(signal)
