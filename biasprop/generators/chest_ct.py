"""Chest CT: one slice of lung around a nodule, benign or malignant, in a lung window.

Patients are :mod:`.ct_patients`, their lung is :mod:`.ct_anatomy`, the nodule is :mod:`.ct_nodule`, and
:mod:`.ct_scanner` has dose, slice, kernel and window. A nodule has four cues: size, density, lobulation, spiculation.
Each is an independent standard normal plus ``loading * severity``; severity is 0 (benign) or 1 (malignant) with a
spread. An observer who knows all four has the closed-form AUC of :meth:`ChestCT.informed_auc`.

A slice is in Hounsfield units (HU) until the window: anatomy, share of the slice's thickness that each structure fills,
point spread function, noise with the kernel's power spectrum, window. Twins have one nodule of one size in mm. In a
later scan of the same patient a malignant nodule has grown by its volume doubling time; a benign one has not (the
tenth to quarter of nodules that resolve are left out).
"""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from pydantic import Field

from biasprop import keys
from biasprop.component import Preset
from biasprop.generators import (
    canvas,
    channelised_observer,
    ct_anatomy,
    ct_nodule,
    ct_patients,
    ct_readings,
    ct_scanner,
)
from biasprop.generators.canvas import normal, normals, uniform, uniforms
from biasprop.generators.ct_anatomy import Anatomy, AnatomyDraws
from biasprop.generators.ct_nodule import NoduleDraws
from biasprop.generators.ct_patients import PATIENTS, Body, CTPatients
from biasprop.generators.cues import informed_auc
from biasprop.generators.images import ImageGenerator
from biasprop.generators.laws import of_subgroup
from biasprop.interfaces import Subjects

CUES = ("size", "density", "lobulation", "spiculation")


class Latent(enum.IntEnum):
    """Frozen integers of this generator's latents; never renumber."""

    AGE = 0
    SEX = 1
    SMOKING = 2
    BODY = 3
    BREATH = 4
    SEVERITY = 5
    CUES = 6
    PLACE = 7
    SHAPE = 8
    DIRECTION = 9
    OUTLINE = 10
    SPICULES = 11
    DOUBLING = 12
    TEXTURE = 13
    EMPHYSEMA = 14
    VESSELS = 15
    WALL = 16
    NOISE = 17


SHORT = (Latent.BODY, Latent.SEVERITY, Latent.CUES, Latent.SHAPE, Latent.OUTLINE, Latent.DOUBLING)
"""Latents of at most eight normals, drawn in one call."""
UNIFORM = (Latent.AGE, Latent.SEX, Latent.SMOKING, Latent.PLACE, Latent.DIRECTION, Latent.WALL)
"""Latents of at most eight uniforms, drawn in one call."""
FIELDS = (Latent.TEXTURE, Latent.EMPHYSEMA)
"""Latents of random fields."""


class Normals(NamedTuple):
    """All standard normals of a slice except its noise."""

    body: Float[Array, " 8"]
    breath: Float[Array, ""]
    severity: Float[Array, ""]
    cues: Float[Array, " 4"]
    shape: Float[Array, " 2"]
    outline: Float[Array, "2 k"]
    doubling: Float[Array, ""]
    texture: Float[Array, "k k"]
    emphysema: Float[Array, "k k"]


class Draws(NamedTuple):
    """All draws of a slice except its noise."""

    normal: Normals
    uniform: dict[Latent, Float[Array, "..."]]


class ChestCT(ImageGenerator):
    """Grey slice of lung with one nodule; white is dense."""

    kind: Literal["chest_ct"] = "chest_ct"
    size: Annotated[int, Field(ge=8, le=512)] = 64
    """Pixels along a side; must be a multiple of the encoder's patch."""
    field_of_view: Annotated[float, Field(ge=30, le=120)] = 45.0
    """Width of the view, mm."""
    subgroups: Annotated[dict[str, Annotated[CTPatients, Preset(PATIENTS)]], Field(min_length=2)]
    """Name -> patients and their scanner, or the name of a preset; a table with ``kind`` is a preset of which some keys
    are set."""
    severity_sd: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Sd of severity within a class; the class means are 1 apart."""
    loading: Annotated[float, Field(ge=0, le=3)] = 1.15
    """Change of each cue per unit of severity, in standard deviations of the cue."""
    texture: Annotated[float, Field(ge=0, le=100)] = 30.0
    """Sd of the parenchyma, HU."""

    channels: ClassVar[int] = 1
    diseases: ClassVar[tuple[str, ...]] = ("malignancy",)
    latent_names: ClassVar[tuple[str, ...]] = (
        *("age", "female", "bmi", "pack_years", "water_equivalent_diameter", "low_attenuation"),
        *("severity", "nodule_diameter", "density_class"),
    )
    attribute_names: ClassVar[tuple[str, ...]] = ("inspiration", "across", "down")
    follows_up: ClassVar[bool] = True

    @property
    def pixels(self) -> int:
        """Pixels along a side."""
        return self.size

    def severity(self, subject: Subjects) -> Float[Array, ""]:
        """Severity of the nodule: mean 0 benign, 1 malignant."""
        return self._severity(subject, self._draws(subject).normal)

    def cues(self, subject: Subjects) -> Float[Array, " 4"]:
        """The cues in the order of :data:`CUES`, in units of their sd at fixed severity."""
        return self._cues(subject, self._draws(subject).normal)

    def latents(self, subject: Subjects) -> Float[Array, " 9"]:
        """Age in years, sex (1 female), body mass index, pack-years, water-equivalent diameter of the chest in cm,
        percentage of lung below -950 HU before noise, severity, diameter of the nodule at the first scan in mm, and its
        density (0 solid, 1 ground glass, 2 part-solid)."""
        draws = self._draws(subject)
        body, (size, density, *_) = self._body(subject, draws), self._cues(subject, draws.normal)
        return jnp.stack(
            [
                *(body.age, body.female, body.bmi, body.pack_years, body.diameter, body.low_attenuation),
                *(self._severity(subject, draws.normal), ct_nodule.diameter(size), ct_nodule.density_class(density)),
            ]
        )

    def attributes(self, subject: Subjects) -> Float[Array, " 3"]:
        """Depth of inspiration in the first scan, and position of the nodule (to the right, down), standardised."""
        position = (uniform(subject.key, Latent.PLACE, (8,))[:2] - 0.5) * 12**0.5
        return jnp.stack([normal(subject.key, Latent.BREATH), *position])

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows the four cues (:func:`biasprop.generators.cues.informed_auc`); the same in every
        subgroup."""
        return informed_auc(len(CUES), self.loading, self.severity_sd)

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of a channelised observer in a linear model of the slice in HU
        (:mod:`biasprop.generators.channelised_observer`).

        The observer knows age, sex and smoking, and where nodule, vessels and chest wall are. The AUC may exceed
        :meth:`informed_auc`, so it is a scale and no bound.
        """
        return channelised_observer.mean_auc(self, subject)

    def linear_model(self, subject: Subjects) -> tuple[Any, channelised_observer.Image]:
        """See :class:`biasprop.generators.channelised_observer.HasLinearModel`; noise is among the latents, because it
        is not white."""
        draws = self._draws(subject)
        grain = normal(self._scan_key(subject), Latent.NOISE, (self.size, self.size))

        def image(
            latents: tuple[Normals, Float[Array, "h w"]], severity: Float[Array, ""]
        ) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
            varied, noise = latents
            hu = self._scan(subject._replace(label=severity), draws._replace(normal=varied), noise)
            return hu, jnp.zeros_like(hu)

        return (draws.normal, grain), image

    def matching_contrasts(self) -> dict[str, dict[str, float]]:
        """Contrasts of the nodule at which channelised observers match, for the only disease.

        Raises:
            ValueError: no contrasts make the subgroups equally hard.
        """
        return channelised_observer.matching_contrasts(self)

    def render(self, subject: Subjects) -> Float[Array, "h w 1"]:
        """The slice in its window as code values in [0, 1]."""
        image = self._patients(subject).windowed(self.hounsfield(subject))
        if subject.marker is not None:
            image = canvas.draw_marker(image, subject.marker, 0.95)
        return image[..., None]

    def hounsfield(self, subject: Subjects) -> Float[Array, "h w"]:
        """The slice in HU, before the window."""
        grain = normal(self._scan_key(subject), Latent.NOISE, (self.size, self.size))
        return self._scan(subject, self._draws(subject), grain)

    def anatomy(self, subject: Subjects) -> Anatomy:
        """The lung without its nodule, before the scanner's blur and noise."""
        draws = self._draws(subject)
        return self._anatomy(subject, draws, self._body(subject, draws))

    def mask(self, subject: Subjects) -> Float[Array, "h w"]:
        """Fraction of each pixel covered by the nodule and its spicules inside the pleura, in [0, 1], in a thin slice
        blurred as by the soft kernel, whatever the scanner."""
        draws = self._draws(subject)
        nodule = self._nodule(subject, draws, ct_nodule.MASK_THICKNESS)
        blur = ct_scanner.sd_of_fwhm(ct_scanner.SOFT_FWHM) * self.size / self.field_of_view
        inside = self._anatomy(subject, draws, self._body(subject, draws)).inside
        return jnp.clip(canvas.blurred(nodule.cover * inside, blur), 0, 1)

    def measure(self, image: Float[Array, "h w 1"], mask: Float[Array, "h w"]) -> dict[str, Float[Array, ""]]:
        """Estimate the levers from pixels (:func:`biasprop.generators.ct_readings.measure`)."""
        return ct_readings.measure(image[..., 0], mask)

    def _scan_key(self, subject: Subjects) -> Key[Array, ""]:
        """Key of what differs between scans of one subject: depth of inspiration and noise."""
        return subject.key if subject.months is None else keys.at(subject.key, keys.Subject.FOLLOW_UP)

    def _draws(self, subject: Subjects) -> Draws:
        key = subject.key
        few = dict(zip(SHORT, normals(key, SHORT, 8), strict=True))
        shape = canvas.field_draws_shape(ct_anatomy.TEXTURE_MODES)
        texture, emphysema = normals(key, FIELDS, math.prod(shape))
        chances: dict[Latent, Float[Array, "..."]] = dict(zip(UNIFORM, uniforms(key, UNIFORM, 8), strict=True))
        chances[Latent.VESSELS] = uniform(key, Latent.VESSELS, (ct_anatomy.TREES, ct_anatomy.TREE_DRAWS))
        chances[Latent.SPICULES] = uniform(key, Latent.SPICULES, (2, ct_nodule.SPICULES))
        return Draws(
            Normals(
                body=few[Latent.BODY],
                breath=normal(self._scan_key(subject), Latent.BREATH),
                severity=few[Latent.SEVERITY][0],
                cues=few[Latent.CUES][: len(CUES)],
                shape=few[Latent.SHAPE][:2],
                outline=few[Latent.OUTLINE][: 2 * ct_nodule.OUTLINE_ORDERS].reshape(2, ct_nodule.OUTLINE_ORDERS),
                doubling=few[Latent.DOUBLING][0],
                texture=texture.reshape(shape),
                emphysema=emphysema.reshape(shape),
            ),
            chances,
        )

    def _patients(self, subject: Subjects) -> CTPatients:
        """Levers of the subject's subgroup."""
        return of_subgroup(list(self.subgroups.values()), subject.subgroup)

    def _severity(self, subject: Subjects, draws: Normals) -> Float[Array, ""]:
        return jnp.asarray(subject.mean_severity, jnp.float32) + self.severity_sd * draws.severity

    def _cues(self, subject: Subjects, draws: Normals) -> Float[Array, " 4"]:
        return draws.cues + self.loading * self._severity(subject, draws)

    def _body(self, subject: Subjects, draws: Draws) -> Body:
        chances = jnp.stack([draws.uniform[latent][0] for latent in (Latent.AGE, Latent.SEX, Latent.SMOKING)])
        return ct_patients.body(self._patients(subject), draws.normal.body, chances, draws.normal.breath)

    def _nodule_draws(self, draws: Draws) -> NoduleDraws:
        few, chances = draws.normal, draws.uniform
        return NoduleDraws(
            place=chances[Latent.PLACE][:2],
            shape=few.shape,
            direction=chances[Latent.DIRECTION][0],
            outline=few.outline,
            spicules=chances[Latent.SPICULES],
            doubling=few.doubling,
        )

    def _anatomy(self, subject: Subjects, draws: Draws, body: Body) -> Anatomy:
        few, chances = draws.normal, draws.uniform
        return ct_anatomy.draw(
            body,
            AnatomyDraws(few.texture, few.emphysema, chances[Latent.VESSELS], chances[Latent.WALL]),
            ct_nodule.place(self._nodule_draws(draws)),
            jnp.asarray(self._patients(subject).slice_thickness),
            size=self.size,
            field_of_view=self.field_of_view,
            texture=self.texture,
        )

    def _nodule(self, subject: Subjects, draws: Draws, thickness: float | Float[Array, ""]) -> ct_nodule.Nodule:
        own, cues = self._nodule_draws(draws), self._cues(subject, draws.normal)
        grown: float | Float[Array, ""] = 1.0
        if subject.months is not None:
            severity = self._severity(subject, draws.normal)
            grown = ct_nodule.growth(cues[1], severity, own.doubling, subject.months)
        return ct_nodule.draw(own, cues, grown, thickness, size=self.size, field_of_view=self.field_of_view)

    def _scan(self, subject: Subjects, draws: Draws, grain: Float[Array, "h w"]) -> Float[Array, "h w"]:
        """The slice in HU.

        A nodule replaces lung that is less dense, so vessels stay visible within ground glass.
        """
        patients, body = self._patients(subject), self._body(subject, draws)
        anatomy, nodule = self._anatomy(subject, draws, body), self._nodule(subject, draws, patients.slice_thickness)
        contrast = 1.0 if subject.contrast is None else subject.contrast[0]
        added = contrast * nodule.cover * anatomy.inside * jnp.maximum(nodule.hu - anatomy.hu, 0)
        per_mm = self.size / self.field_of_view
        exposure = 1.0 if subject.exposure is None else subject.exposure
        sd = patients.noise(body.diameter, exposure)
        if subject.noise is not None:
            sd = subject.noise * sd
        sd, blur, cutoff = canvas.materialise(sd, patients.blur() * per_mm, patients.cutoff() / per_mm)
        slice_hu = canvas.blurred(anatomy.hu + added, blur)
        return slice_hu + sd * ct_scanner.shaped_noise(grain, cutoff)
