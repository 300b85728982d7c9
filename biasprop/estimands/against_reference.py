"""What kinds of estimands share that compare the levels of a factor with one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from biasprop.statistics.estimand import Arm, Estimand, FactorName, Level, LevelName


class AgainstReference(Estimand):
    """An estimand of each level of a factor against one of them."""

    factor: FactorName
    """The factor that has the reference level, usually the pretraining mix."""

    reference: LevelName
    """Its level that the others are compared with."""

    of_reference: ClassVar[int] = 0
    """The value of the reference level against itself."""

    @property
    def compared_with(self) -> tuple[str, Level]:
        """The factor and its reference level."""
        return self.factor, self.reference

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        yield from super().problems()
        if self.at.get(self.factor) == self.reference:
            value = f"compared with itself it is {self.of_reference} by definition"
            yield f"at must not fix {self.factor} to the reference: {value}"

    def is_reference(self, arm: Arm, levels: Mapping[str, Sequence[Level]]) -> bool:
        """Return whether an arm is at the reference level."""
        return arm.get(self.factor) == self.reference
