"""Doses, or contrasts of the disease, at which the observers of all subgroups have one AUC, by root finding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

MIN_FACTOR = 1e-4
"""Lowest dose or contrast considered, as a fraction of the natural one."""


def matching_factors(
    z: Callable[[str, float], float], subgroups: list[str], what: Literal["dose", "contrast"]
) -> dict[str, float]:
    """Doses or contrasts at which every subgroup's observer has the AUC of the hardest subgroup's at 1.

    Those of the easier subgroups are lowered, rather than those of the harder ones raised, because none can exceed the
    natural one.

    Args:
        z: (subgroup, factor in (0, 1]) -> sqrt(2) times the inverse normal CDF of the observer's AUC; increasing in the
            factor.
        subgroups: names.
        what: what the factor multiplies.

    Returns:
        Subgroup -> factor, rounded to four digits so that machines with different rounding agree.

    Raises:
        ValueError: at a factor of :data:`MIN_FACTOR` some subgroup is still easier than the hardest.
    """
    from scipy.optimize import root_scalar

    natural = {name: z(name, 1.0) for name in subgroups}
    target = min(natural.values())

    def factor(name: str) -> float:
        if natural[name] == target:
            return 1.0
        if z(name, MIN_FACTOR) > target:
            raise ValueError(f"no {what} of {MIN_FACTOR:g} to 1 makes {name} as hard as the hardest subgroup")
        found = root_scalar(
            lambda log: z(name, math.exp(log)) - target, bracket=(math.log(MIN_FACTOR), 0.0), method="brentq", xtol=1e-3
        )
        return float(f"{math.exp(found.root):.4g}")

    return {name: factor(name) for name in subgroups}
