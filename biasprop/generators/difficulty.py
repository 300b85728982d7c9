"""How hard the task is in one subgroup against another: the difficulty modes, one setting of every generator.

A gap between subgroups can be physics: the task may be harder in one of them for any observer. A mode says how much of
that a study lets in. ``natural`` takes physics as it falls. The other three make the subgroups equally hard and differ
in what "equally" means:

- ``calibrated``: each subgroup's images are made noisier until the ideal observers' AUCs match (equal AUC at one task,
  not equal images, and not equal ease of learning);
- ``invertible``: noise comes before what makes the subgroup, and that is a bijection, which no likelihood ratio feels
  (equal for every observer who knows the subgroup, at any task);
- ``symmetric``: subgroups are mirror images of each other (equal for every observer and for every learner whose own law
  does not tell left from right).

Each has ``views`` (what it prescribes for the views of every stage), ``words`` (what a plan says of it) and
``unsolved`` (whether constants are still to be found). A generator has a field ``difficulty``, one of
:data:`DIFFICULTIES` with :class:`Natural` as default, calls :func:`check`, reads ``difficulty.kind``, and has
``solved()``, which returns it with the constants of an unsolved mode (:func:`matched` finds those of ``calibrated``;
:mod:`biasprop.difficulty.calibration_cache` keeps them).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from biasprop.component import Component

LEAST = 1e-4
"""Lowest dose that is sought, as a part of the natural one."""


class Natural(Component):
    """Physics as it falls."""

    kind: Literal["natural"] = "natural"
    needs_calibration: ClassVar[bool] = False
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "natural: physics as it falls"


class Calibrated(Component):
    """Doses lowered until ideal observers match: counterfactual, so always shown beside ``natural``."""

    kind: Literal["calibrated"] = "calibrated"
    dose: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Subgroup -> its dose (what noise variance is inverse to: light, say) as a part of the natural one; 1 where it is
    not named. Empty: solved for, with the hardest subgroup left at 1."""
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "calibrated: ideal observers' AUCs made equal by dose"

    @property
    def needs_calibration(self) -> bool:
        """Whether no dose is known yet."""
        return not self.dose


class Invertible(Component):
    """Noise first, then a bijection for each subgroup."""

    kind: Literal["invertible"] = "invertible"
    needs_calibration: ClassVar[bool] = False
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "invertible: noise first, then a bijection for each subgroup"


class Symmetric(Component):
    """Two subgroups that are left-right mirror images, by the slope of oriented structure."""

    kind: Literal["symmetric"] = "symmetric"
    needs_calibration: ClassVar[bool] = False
    angle: Annotated[float, Field(ge=0, le=45)] = 30.0
    """Slope of the first subgroup's structure, degrees; the second has the opposite one. 0 makes them one."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance of left-right and of up-down flips in every stage's views, in place of what the views say themselves: a
    flip turns one subgroup into the other. 0.5 merges them, which is the positive control: no effect may be left."""

    @property
    def views(self) -> Mapping[str, float]:
        """What the mode prescribes for every stage's views. Exchanging rows and columns is no merger, but mirrored it
        is another exchange, so that views with one and not the other would tell left from right."""
        return {"flip": self.flip, "transpose": 0.0}

    @property
    def words(self) -> str:
        """The mode and what it does to the views."""
        merged = "; flips make one subgroup the other" if self.flip else ""
        return (
            f"symmetric: mirror images at +-{self.angle:g} degrees; "
            f"in every stage's views flips are {self.flip:g} and transposition is 0{merged}"
        )


DIFFICULTIES: dict[str, type[Component]] = {
    "natural": Natural,
    "calibrated": Calibrated,
    "invertible": Invertible,
    "symmetric": Symmetric,
}


def check(difficulty: Component, subgroups: Mapping[str, Component]) -> None:
    """Whether a mode goes with these subgroups.

    Args:
        difficulty: one of :data:`DIFFICULTIES`.
        subgroups: name -> levers.

    Raises:
        ValueError: mirror images that have no partner or differ in something else, or a dose of nobody.
    """
    levels = list(subgroups.values())
    if isinstance(difficulty, Symmetric) and (len(levels) != 2 or levels[0] != levels[1]):
        raise ValueError("difficulty = symmetric needs two subgroups that are equal but for their slope")
    if isinstance(difficulty, Calibrated) and (unknown := sorted(set(difficulty.dose) - set(subgroups))):
        raise ValueError(f"difficulty.dose: no such subgroup: {', '.join(unknown)}; allowed: {', '.join(subgroups)}")


def matched(z: Callable[[str, float], float], subgroups: list[str]) -> dict[str, float]:
    """Doses at which every subgroup's ideal observer does as well as the hardest subgroup's at dose 1.

    A lower dose leaves the disease as it is, and lowering the easier subgroups' rather than raising the harder ones'
    needs no light that is not there.

    Args:
        z: (subgroup, dose in (0, 1]) -> sqrt(2) times the inverse normal CDF of the ideal observer's AUC; it rises with
            the dose.
        subgroups: their names.

    Returns:
        Subgroup -> dose, to four digits, so that machines which round differently agree.

    Raises:
        ValueError: even a dose of :data:`LEAST` leaves some subgroup easier than the hardest.
    """
    from scipy.optimize import root_scalar

    natural = {name: z(name, 1.0) for name in subgroups}
    target = min(natural.values())

    def dose(name: str) -> float:
        if natural[name] == target:
            return 1.0
        if z(name, LEAST) > target:
            raise ValueError(f"no dose of {LEAST:g} to 1 makes {name} as hard as the hardest subgroup")
        found = root_scalar(
            lambda log: z(name, math.exp(log)) - target, bracket=(math.log(LEAST), 0.0), method="brentq", xtol=1e-3
        )
        return float(f"{math.exp(found.root):.4g}")

    return {name: dose(name) for name in subgroups}
