"""Mode ``calibrated``: noise is added to the easier subgroups."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import jax.numpy as jnp
from pydantic import Field

from biasprop.difficulty.mode import Mode
from biasprop.interfaces import HasDose, Subjects


class Calibrated(Mode):
    """Doses lowered until ideal observers match; a counterfactual, to be reported beside ``natural``."""

    kind: Literal["calibrated"] = "calibrated"
    dose: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Subgroup -> dose as a fraction of the natural one; noise variance is inversely proportional to it (as to light).
    Unnamed subgroups have 1. If empty, doses are solved for, and the hardest subgroup keeps 1."""

    requires = HasDose, "images at a lower dose"

    @property
    def words(self) -> str:
        """The mode's line in a plan."""
        return "calibrated: doses lowered until the ideal observers' AUCs are equal"

    @property
    def needs_calibration(self) -> bool:
        """Whether doses still have to be solved for."""
        return not self.dose

    def incompatibility(self, generator: Any) -> str | None:
        """Why there is a dose that no subgroup has, or None."""
        unknown = sorted(set(self.dose) - set(generator.subgroups))
        allowed = ", ".join(generator.subgroups)
        return f"dose: no such subgroup: {', '.join(unknown)}; allowed: {allowed}" if unknown else None

    def calibrated(self, generator: HasDose) -> Self:
        """A copy with the doses at which the generator's ideal observers match."""
        return self if self.dose else self.model_copy(update={"dose": generator.matching_doses()})

    def subject(self, generator: Any, subject: Subjects) -> Subjects:
        """The subject imaged at the dose of its subgroup."""
        doses = [jnp.asarray(self.dose.get(name, 1.0), jnp.float32) for name in generator.subgroups]
        return subject._replace(dose=jnp.stack(doses)[subject.subgroup])
