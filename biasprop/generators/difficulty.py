"""Difficulty modes: how hard the task is in one subgroup relative to another.

The task may be harder in one subgroup for any observer, because of physics alone. ``natural`` leaves that unadjusted.
The other modes make the subgroups equally hard, in three senses:

- ``calibrated``: noise is added to the easier subgroups until the ideal observers' AUCs match (equal AUC at one task,
  not equal images, and not equal ease of learning);
- ``invertible``: noise is added first and subgroups then differ by a bijection, under which likelihood ratios are
  invariant (equal for every observer who knows the subgroup, at any task);
- ``symmetric``: subgroups are mirror images of each other (equal for every observer, and for every learner whose
  training distribution is invariant to mirroring).

A mode has ``views`` (values it prescribes for the augmentation of every stage), ``words`` (its line in a plan) and
``needs_calibration`` (whether constants still have to be solved for). A generator has a field ``difficulty``, one of
:data:`DIFFICULTIES` with default :class:`Natural`, calls :func:`check_subgroups`, reads ``difficulty.kind``, and has
``calibrated()``, a copy with all constants (:func:`matching_doses` solves for those of ``calibrated``;
:mod:`biasprop.observers.calibration_cache` caches them).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from biasprop.component import Component

MIN_DOSE = 1e-4
"""Lowest dose considered, as a fraction of the natural one."""


class Natural(Component):
    """Unadjusted difficulty: subgroups differ as the physics makes them differ."""

    kind: Literal["natural"] = "natural"
    needs_calibration: ClassVar[bool] = False
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "natural: unadjusted, so image physics may make one subgroup harder than another"


class Calibrated(Component):
    """Doses lowered until ideal observers match; a counterfactual, to be reported beside ``natural``."""

    kind: Literal["calibrated"] = "calibrated"
    dose: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Subgroup -> dose as a fraction of the natural one; noise variance is inversely proportional to it (as to light).
    Unnamed subgroups have 1. If empty, doses are solved for, and the hardest subgroup keeps 1."""
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "calibrated: doses lowered until the ideal observers' AUCs are equal"

    @property
    def needs_calibration(self) -> bool:
        """Whether doses still have to be solved for."""
        return not self.dose


class Invertible(Component):
    """Noise first, then a bijection per subgroup."""

    kind: Literal["invertible"] = "invertible"
    needs_calibration: ClassVar[bool] = False
    views: ClassVar[Mapping[str, float]] = {}
    words: ClassVar[str] = "invertible: noise first, then a bijection per subgroup, so all are equally hard"


class Symmetric(Component):
    """Two subgroups that are left-right mirror images, by the slope of oriented structure."""

    kind: Literal["symmetric"] = "symmetric"
    needs_calibration: ClassVar[bool] = False
    angle: Annotated[float, Field(ge=0, le=45)] = 30.0
    """Slope of the first subgroup's structure, degrees; the second subgroup has the opposite slope. At 0 the subgroups
    are identical."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of left-right and of up-down flips in the augmentation of every stage, overriding its own ``flip``. A
    flip turns one subgroup into the other. 0.5 makes them indistinguishable: a control with no subgroup effect."""

    @property
    def views(self) -> Mapping[str, float]:
        """Prescribed augmentation of every stage. Transposition is off: it does not exchange the subgroups, but a
        mirrored transposition is a different operation, so it would break the mirror symmetry of the augmentation."""
        return {"flip": self.flip, "transpose": 0.0}

    @property
    def words(self) -> str:
        """The mode and its augmentation."""
        merged = "; a flip turns one subgroup into the other" if self.flip else ""
        return (
            f"symmetric: subgroups are mirror images, sloping at +-{self.angle:g} degrees; "
            f"in the augmentation of every stage flip = {self.flip:g} and transpose = 0{merged}"
        )


DIFFICULTIES: dict[str, type[Component]] = {
    "natural": Natural,
    "calibrated": Calibrated,
    "invertible": Invertible,
    "symmetric": Symmetric,
}


def check_subgroups(difficulty: Component, subgroups: Mapping[str, Component]) -> None:
    """Check that a mode can be used with these subgroups.

    Args:
        difficulty: one of :data:`DIFFICULTIES`.
        subgroups: name -> levers.

    Raises:
        ValueError: ``symmetric`` without exactly two equal subgroups, or a dose of an unknown subgroup.
    """
    levels = list(subgroups.values())
    if isinstance(difficulty, Symmetric) and (len(levels) != 2 or levels[0] != levels[1]):
        raise ValueError("difficulty = symmetric needs exactly two subgroups with equal levers")
    if isinstance(difficulty, Calibrated) and (unknown := sorted(set(difficulty.dose) - set(subgroups))):
        raise ValueError(f"difficulty.dose: no such subgroup: {', '.join(unknown)}; allowed: {', '.join(subgroups)}")


def matching_doses(z: Callable[[str, float], float], subgroups: list[str]) -> dict[str, float]:
    """Doses at which every subgroup's ideal observer has the AUC of the hardest subgroup's at dose 1.

    A lower dose does not change the disease. The easier subgroups' doses are lowered, rather than the harder ones'
    raised, because no dose can exceed the natural one.

    Args:
        z: (subgroup, dose in (0, 1]) -> sqrt(2) times the inverse normal CDF of the ideal observer's AUC; increasing in
            the dose.
        subgroups: names.

    Returns:
        Subgroup -> dose, rounded to four digits so that machines with different rounding agree.

    Raises:
        ValueError: at a dose of :data:`MIN_DOSE` some subgroup is still easier than the hardest.
    """
    from scipy.optimize import root_scalar

    natural = {name: z(name, 1.0) for name in subgroups}
    target = min(natural.values())

    def dose(name: str) -> float:
        if natural[name] == target:
            return 1.0
        if z(name, MIN_DOSE) > target:
            raise ValueError(f"no dose of {MIN_DOSE:g} to 1 makes {name} as hard as the hardest subgroup")
        found = root_scalar(
            lambda log: z(name, math.exp(log)) - target, bracket=(math.log(MIN_DOSE), 0.0), method="brentq", xtol=1e-3
        )
        return float(f"{math.exp(found.root):.4g}")

    return {name: dose(name) for name in subgroups}
