"""Constants of the pretraining cohort, as of a published model."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import InputConstants


class OfCohort(Component):
    """Each channel minus its mean, by its standard deviation, over all pixels of the pretraining cohort.

    The cohort's mix decides the constants, so that a rarer subgroup's images may lie off centre. An encoder that is
    pretrained on nothing or on other images takes those of a balanced cohort of the study.
    """

    kind: Literal["cohort"] = "cohort"

    of_cohort: ClassVar[bool] = True

    def apply(self, images: Float[Array, "n h w c"], constants: InputConstants | None) -> Float[Array, "n h w c"]:
        """Scaled images."""
        assert constants is not None, "an encoder with this normalisation has constants"
        return (images - constants["mean"]) / constants["sd"]
