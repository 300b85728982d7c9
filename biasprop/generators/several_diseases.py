"""Base class of generators of images with several diseases, each with cues of its own.

Every disease has :data:`CUE_COUNT` cues (:mod:`.cues`). Severity is 0 (healthy) or 1 (diseased) with a spread; the
diseases that the label does not state are present at random.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field

from biasprop.generators import channelised_observer
from biasprop.generators.cues import informed_auc
from biasprop.generators.images import ImageGenerator
from biasprop.interfaces import Subjects

CUE_COUNT = 4
"""Cues of every disease."""


class SeveralDiseases(ImageGenerator):
    """A subject is healthy or has the disease that its label states, and perhaps others."""

    severity_sd: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Sd of severity within a class; the class means are 1 apart."""
    loading: Annotated[float, Field(ge=0, le=3)] = 1.15
    """Change of each cue of a disease per unit of severity, in standard deviations of the cue."""
    comorbidity: Annotated[float, Field(ge=0, le=1)] = 0.1
    """P(each disease that the label is not of)."""

    if TYPE_CHECKING:
        subgroups: dict[str, Any]

    diseases: ClassVar[tuple[str, ...]]
    """Names, in the order of severities, cues and contrasts."""
    comorbidity_latent: ClassVar[int]
    """Frozen integer of the uniforms that decide which other diseases are present."""

    @abstractmethod
    def _draws(self, subject: Subjects) -> Any:
        """All draws of an image except noise: a named tuple of standard normals, of which ``severity`` [disease] and
        ``cues`` [disease, cue] are used here, and ``uniform``, latent -> uniforms."""

    @abstractmethod
    def _without_noise(self, subject: Subjects, draws: Any) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
        """The mean image, on the scale in which the linear model is made, and the sd of its noise."""

    def severity(self, subject: Subjects) -> Float[Array, ""]:
        """Severity of the disease that the label states: mean 0 healthy, 1 diseased."""
        return self._severities(subject, self._draws(subject))[self._disease(subject)]

    def cues(self, subject: Subjects) -> Float[Array, "d 4"]:
        """The cues of every disease, in units of their sd at fixed severity."""
        return self._cues(subject, self._draws(subject))

    def informed_auc(self, subject: Subjects) -> float:
        """AUC of an observer who knows the four cues of the disease that the label states
        (:func:`biasprop.generators.cues.informed_auc`)."""
        return informed_auc(CUE_COUNT, self.loading, self.severity_sd)

    def linear_auc(self, subject: Subjects) -> float:
        """AUC of a channelised observer of the disease that the label states, in a linear model of the image
        (:mod:`biasprop.generators.channelised_observer`).

        The observer knows what uniforms decide: age, sex and projection, and where the lesions are.
        """
        full = subject._replace(disease=jnp.int32(self._disease(subject)), contrast=self._contrasts(subject))
        return channelised_observer.mean_auc(self, full)

    def linear_model(self, subject: Subjects) -> tuple[Any, channelised_observer.Image]:
        """See :class:`biasprop.generators.channelised_observer.HasLinearModel`."""
        draws = self._draws(subject)

        def image(latents: Any, severity: Float[Array, ""]) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
            return self._without_noise(subject._replace(label=severity), latents._replace(uniform=draws.uniform))

        return draws._replace(uniform={}), image

    def matching_contrasts(self) -> dict[str, dict[str, float]]:
        """Contrasts at which channelised observers match, for every disease.

        Raises:
            ValueError: no contrasts make the subgroups equally hard.
        """
        return channelised_observer.matching_contrasts(self)

    def _disease(self, subject: Subjects) -> int | Int[Array, ""]:
        """Index of the disease that the label is of."""
        return 0 if subject.disease is None else subject.disease

    def _contrasts(self, subject: Subjects) -> Float[Array, " d"]:
        return jnp.ones(len(self.diseases)) if subject.contrast is None else subject.contrast

    def _severities(self, subject: Subjects, draws: Any, late: float | Float[Array, ""] = 0.0) -> Float[Array, " d"]:
        """Severity of every disease; in the diseased it is greater by the fraction ``late``."""
        own = jnp.asarray(subject.mean_severity, jnp.float32)
        chances = draws.uniform[self.comorbidity_latent][: len(self.diseases)]
        others = (chances < self.comorbidity).astype(jnp.float32)
        stated = jnp.arange(len(self.diseases)) == self._disease(subject)
        return (1 + late) * jnp.where(stated, own, others) + self.severity_sd * draws.severity

    def _cues(self, subject: Subjects, draws: Any) -> Float[Array, "d 4"]:
        return draws.cues + (self.loading * self._severities(subject, draws))[:, None]
