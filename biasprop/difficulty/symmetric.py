"""Mode ``symmetric``: subgroups are mirror images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from jaxtyping import Array, Float
from pydantic import Field

from biasprop.difficulty.mode import Mode
from biasprop.interfaces import HasSlope, Subjects


class Symmetric(Mode):
    """Two subgroups that are left-right mirror images, by the slope of oriented structure."""

    kind: Literal["symmetric"] = "symmetric"
    angle: Annotated[float, Field(ge=0, le=45)] = 30.0
    """Slope of the first subgroup's structure, degrees; the second subgroup has the opposite slope. At 0 the subgroups
    are identical."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of left-right and of up-down flips in the augmentation of every stage, overriding its own ``flip``. A
    flip turns one subgroup into the other. 0.5 makes them indistinguishable: a control with no subgroup effect."""

    requires = HasSlope, "oriented structure, whose slope can be set"

    @property
    def words(self) -> str:
        """The mode and its augmentation."""
        merged = "; a flip turns one subgroup into the other" if self.flip else ""
        return (
            f"symmetric: subgroups are mirror images, sloping at +-{self.angle:g} degrees; "
            f"in the augmentation of every stage flip = {self.flip:g} and transpose = 0{merged}"
        )

    @property
    def views(self) -> Mapping[str, float]:
        """Prescribed augmentation of every stage. Transposition is off: it does not exchange the subgroups, but a
        mirrored transposition is a different operation, so it would break the mirror symmetry of the augmentation."""
        return {"flip": self.flip, "transpose": 0.0}

    def incompatibility(self, generator: Any) -> str | None:
        """Why the subgroups cannot be mirror images, or None."""
        levers = list(generator.subgroups.values())
        if len(levers) != 2 or levers[0] != levers[1]:
            return "symmetric needs exactly two subgroups with equal levers"
        why = generator.slope_incompatibility()
        return f"symmetric needs {why}" if why else None

    def shift_incompatibility(self, shift: Any) -> str | None:
        """Why a marker breaks the symmetry, or None if there is none."""
        if shift.marker_healthy or shift.marker_diseased:
            return "adds a marker in one corner, so that images are not symmetric"
        return None

    def subject(self, generator: Any, subject: Subjects) -> Subjects:
        """The subject with the slope of its subgroup."""
        return subject._replace(slope=self.angle * (1 - 2 * subject.subgroup))

    def measure(
        self, generator: Any, image: Float[Array, "h w c"], mask: Float[Array, "h w"]
    ) -> dict[str, Float[Array, ""]]:
        """The generator's measurements, and the ``slope`` of its oriented structure, degrees."""
        return {"slope": generator.measure_slope(image, mask)} | generator.measure(image, mask)
