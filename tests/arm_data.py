"""Data of an arm made from the table of stored variables, for tests that need no training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from biasprop.store.variables import DATA, Variable


def random_data(sizes: Mapping[str, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    """Random values of every variable.

    Args:
        sizes: of the dims of an arm; ``draw``, ``selection`` and ``calibration`` may be shorter than the store's.
        random: normal values for floats, 0 or 1 for integers, which are labels and subgroups.
    """
    return {name: _values(variable, sizes, random) for name, variable in DATA.items()}


def _values(variable: Variable, sizes: Mapping[str, int], random: np.random.Generator) -> np.ndarray:
    shape = variable.shape(dict(sizes))
    if np.dtype(variable.dtype).kind == "f":
        return random.normal(size=shape).astype(variable.dtype)
    return random.integers(0, 2, shape).astype(variable.dtype)
