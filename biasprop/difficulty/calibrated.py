"""Mode ``calibrated``: noise is added to the easier subgroups, or their disease is made fainter."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import jax.numpy as jnp
from jaxtyping import Array, Float
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
    contrast: dict[str, Factors] = Field(default_factory=dict, exclude_if=operator.not_)
    """Disease -> subgroup -> factor on what the disease adds to the image, for generators such as ``chest_film``.
    Diseases and subgroups that are not named have 1. If empty, contrasts of every disease are solved for, and the
    subgroup in which it is hardest keeps 1."""

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
        """Why there is a factor of no disease or subgroup, or None."""
        used = _factor(generator)
        other = "contrast" if used == "dose" else "dose"
        if getattr(self, other):
            return f"{other}: {generator.kind} is calibrated by its {used}; allowed: {used}"
        for disease, factors in self.contrast.items():
            if why := _unknown("contrast", "disease", {disease}, generator.diseases):
                return why
            if why := _unknown(f"contrast.{disease}", "subgroup", factors, generator.subgroups):
                return why
        return _unknown("dose", "subgroup", self.dose, generator.subgroups)

    def calibrated(self, generator: HasDose | HasContrast) -> Self:
        """A copy with the doses or contrasts at which the generator's observers match."""
        if not self.needs_calibration:
            return self
        if isinstance(generator, HasDose):
            return self.model_copy(update={"dose": generator.matching_doses()})
        return self.model_copy(update={"contrast": generator.matching_contrasts()})

    def subject(self, generator: Any, subject: Subjects) -> Subjects:
        """The subject imaged at the dose, or with the contrast, of its subgroup."""
        names = list(generator.subgroups)
        if isinstance(generator, HasDose):
            return subject._replace(dose=_by_subgroup(self.dose, names)[subject.subgroup])
        columns = [_by_subgroup(self.contrast.get(disease, {}), names) for disease in generator.diseases]
        return subject._replace(contrast=jnp.stack(columns, axis=-1)[subject.subgroup])


def _factor(generator: Any) -> Literal["dose", "contrast"]:
    """What of a generator is calibrated."""
    return "dose" if isinstance(generator, HasDose) else "contrast"


def _by_subgroup(factors: Factors, subgroups: Iterable[str]) -> Float[Array, " g"]:
    """Factors in the order of subgroups, 1 if not named."""
    return jnp.stack([jnp.asarray(factors.get(name, 1.0), jnp.float32) for name in subgroups])


def _unknown(field: str, noun: str, names: Iterable[str], allowed: Iterable[str]) -> str | None:
    """Which names are not allowed, or None."""
    unknown = sorted(set(names) - set(allowed))
    return f"{field}: no such {noun}: {', '.join(unknown)}; allowed: {', '.join(allowed)}" if unknown else None
