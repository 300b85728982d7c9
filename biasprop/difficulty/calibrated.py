"""Mode ``calibrated``: noise is added to the easier subgroups, or their disease is made fainter."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal, Self

import jax.numpy as jnp
from pydantic import Field

from biasprop.difficulty.mode import Mode
from biasprop.interfaces import HasContrast, HasDose, Subjects

Factors = dict[str, Annotated[float, Field(gt=0, le=1)]]


class Calibrated(Mode):
    """Doses lowered until ideal observers match; a counterfactual, to be reported beside ``natural``. A generator in
    which noise does not limit what can be seen has the contrast of the disease lowered instead."""

    kind: Literal["calibrated"] = "calibrated"
    dose: Factors = Field(default_factory=dict)
    """Subgroup -> dose as a fraction of the natural one; noise variance is inversely proportional to it (as to light).
    Unnamed subgroups have 1. If empty, doses are solved for, and the hardest subgroup keeps 1."""
    # left out of dumps if empty, so that digests of generators with a dose do not know of it
    contrast: Factors = Field(default_factory=dict, exclude_if=operator.not_)
    """Subgroup -> factor on what the disease adds to the image, for generators such as ``chest_film``; as ``dose``."""

    requires = HasDose | HasContrast, "images at a lower dose, or with a fainter disease"

    @property
    def words(self) -> str:
        """The mode's line in a plan."""
        return "calibrated: doses, or the contrast of the disease, lowered until the observers' AUCs are equal"

    @property
    def needs_calibration(self) -> bool:
        """Whether doses or contrasts still have to be solved for."""
        return not (self.dose or self.contrast)

    def incompatibility(self, generator: Any) -> str | None:
        """Why there is a factor that no subgroup has, or None."""
        used = _factor(generator)
        other = "contrast" if used == "dose" else "dose"
        if getattr(self, other):
            return f"{other}: {generator.kind} is calibrated by its {used}; allowed: {used}"
        unknown = sorted(set(getattr(self, used)) - set(generator.subgroups))
        allowed = ", ".join(generator.subgroups)
        return f"{used}: no such subgroup: {', '.join(unknown)}; allowed: {allowed}" if unknown else None

    def calibrated(self, generator: HasDose | HasContrast) -> Self:
        """A copy with the doses or contrasts at which the generator's observers match."""
        if not self.needs_calibration:
            return self
        if isinstance(generator, HasDose):
            return self.model_copy(update={"dose": generator.matching_doses()})
        return self.model_copy(update={"contrast": generator.matching_contrasts()})

    def subject(self, generator: Any, subject: Subjects) -> Subjects:
        """The subject imaged at the dose, or with the contrast, of its subgroup."""
        used = _factor(generator)
        factors = [jnp.asarray(getattr(self, used).get(name, 1.0), jnp.float32) for name in generator.subgroups]
        return subject._replace(**{used: jnp.stack(factors)[subject.subgroup]})


def _factor(generator: Any) -> Literal["dose", "contrast"]:
    """What of a generator is calibrated."""
    return "dose" if isinstance(generator, HasDose) else "contrast"
