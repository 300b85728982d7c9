"""Mode ``invertible``: subgroups differ by a bijection of their images, noise included."""

from __future__ import annotations

from typing import Literal

from biasprop.difficulty.mode import Mode
from biasprop.interfaces import HasBijection, Subjects


class Invertible(Mode):
    """Noise first, then a bijection per subgroup."""

    kind: Literal["invertible"] = "invertible"

    requires = HasBijection, "a bijection between the images of subgroups"

    @property
    def words(self) -> str:
        """The mode's line in a plan."""
        return "invertible: noise first, then a bijection per subgroup, so all are equally hard"

    def subject(self, generator: HasBijection, subject: Subjects) -> Subjects:
        """The subject, whose image is made in the reference subgroup and then mapped to its own."""
        return subject._replace(reference=generator.reference_subgroup())
