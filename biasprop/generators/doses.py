"""Doses at which the ideal observers of all subgroups have one AUC, by root finding."""

from __future__ import annotations

import math
from collections.abc import Callable

MIN_DOSE = 1e-4
"""Lowest dose considered, as a fraction of the natural one."""


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
