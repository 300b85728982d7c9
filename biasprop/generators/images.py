"""Base class of generators whose examples are one square image."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import ArraySpec, Example, Spec, Subjects


class ImageGenerator(Component):
    """An example is the array ``image``, which ``render`` draws."""

    channels: ClassVar[int]
    """Number of colour channels."""
    symmetries: ClassVar[tuple[str, ...]] = ("flip", "transpose")

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Pixels along a side."""

    @property
    def spec(self) -> Spec:
        """The shape of the image: ``pixels``, ``pixels`` and ``channels``."""
        return {"image": ArraySpec((self.pixels, self.pixels, self.channels))}

    def observe(self, subject: Subjects) -> Example:
        """The image of a subject."""
        return {"image": self.render(subject)}

    @abstractmethod
    def render(self, subject: Subjects) -> Float[Array, "h w c"]:
        """The image, in [0, 1]."""
