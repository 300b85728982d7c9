"""The same constants for every image."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import InputConstants


class Fixed(Component):
    """4 (x - 1/2): values from 0 to 1 become values from -2 to 2."""

    kind: Literal["fixed"] = "fixed"

    of_cohort: ClassVar[bool] = False

    def apply(self, images: Float[Array, "n h w c"], constants: InputConstants | None) -> Float[Array, "n h w c"]:
        """Scaled images."""
        return 4 * (images - 0.5)
