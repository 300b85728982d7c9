"""Whether two changes together do more than the sum of what each does alone, in one subgroup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from biasprop.estimands.one_subgroup import OneSubgroup
from biasprop.statistics import contrasts
from biasprop.statistics.estimand import MARGIN, Arm, FactorName, Inputs, LevelName, TwoLevels, Values


class JointEffect(OneSubgroup):
    """joint_effect: level of a subgroup with two skews - its levels with either one alone + its level with neither.

    0 if the two add up on the scale; negative, where high values are good, if together they cost more than the sum of
    what each costs.
    """

    kind: Literal["joint_effect"] = "joint_effect"
    """What is measured."""

    factor: FactorName
    """The factor the contrast runs over, usually the pretraining mix."""

    both: LevelName
    """Its level with both skews."""

    single: TwoLevels
    """Its two levels with one skew each."""

    neither: LevelName
    """Its level without a skew, usually the balanced mix."""

    runs_over = ("factor",)
    phrase = (
        "with {both}, {measure} in {subgroup}{place} [is higher by {number} than|is lower by {number} than|differs by "
        "{number} from] what the effects of {single[0]} and {single[1]} add up to"
    )
    default_margin: ClassVar[float | None] = MARGIN
    margin_reason: ClassVar[str] = (
        "what two skews do beyond their sum is a difference of levels of one subgroup on z, like the effect of one of "
        "them, so it matters from the same .10 on (about .016 AUC at an AUC of .85)"
    )

    def problems(self) -> Iterable[str]:
        """Return what is wrong with the fields taken together."""
        named = {"both": self.both, "single[0]": self.single[0], "single[1]": self.single[1], "neither": self.neither}
        keys: dict[object, list[str]] = {}
        for key, level in named.items():
            keys.setdefault(level, []).append(key)
        same = [f"{' and '.join(where)} are {level!r}" for level, where in keys.items() if len(where) > 1]
        if same:
            yield f"both, single and neither must be four different levels: {', '.join(same)}"

    def arms(self, inputs: Inputs) -> list[Arm]:
        """Return the arm at all four levels."""
        return [inputs.arm | {self.factor: level} for level in (self.both, *self.single, self.neither)]

    def values(self, inputs: Inputs) -> Values:
        """Return the joint effects of the arm."""
        joint = contrasts.joint_effect(inputs.values, self.factor, self.both, self.single, self.neither)
        return Values(joint.sel(inputs.arm))
