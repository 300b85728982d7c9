"""The base class of difficulty modes, and with its defaults a mode that changes nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import Subjects


class Mode(Component):
    """A difficulty mode. ``generator`` is always the generator without a mode."""

    if TYPE_CHECKING:
        kind: str = ""

    requires: ClassVar[tuple[type | UnionType, str] | None] = None
    """Capability protocol that a generator must satisfy, and in words what it must be able to do; None if every
    generator supports the mode."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The mode's line in a plan."""

    @property
    def views(self) -> Mapping[str, float]:
        """Values that the mode prescribes for the augmentation of every stage."""
        return {}

    @property
    def needs_calibration(self) -> bool:
        """Whether constants still have to be solved for."""
        return False

    def incompatibility(self, generator: Any) -> str | None:
        """Why a generator that satisfies ``requires`` cannot have this mode with its present values, or None."""
        return None

    def shift_incompatibility(self, shift: Any) -> str | None:
        """Why a :class:`biasprop.population.shifts.Shift` would break what the mode promises, or None."""
        return None

    def calibrated(self, generator: Any) -> Self:
        """A copy whose constants have been solved for.

        Raises:
            ValueError: there is no solution.
        """
        return self

    def subject(self, generator: Any, subject: Subjects) -> Subjects:
        """One subject in the circumstances of the mode; only optional fields change."""
        return subject

    def measure(
        self, generator: Any, image: Float[Array, "h w c"], mask: Float[Array, "h w"]
    ) -> dict[str, Float[Array, ""]]:
        """The generator's measurements, and those of what the mode adds."""
        return generator.measure(image, mask)
