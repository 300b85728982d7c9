"""Generators with the constants of their difficulty mode, which are solved for once per machine and cached."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from biasprop import NUMERICS
from biasprop.component import replace_nested
from biasprop.difficulty import InMode
from biasprop.hardware import device
from biasprop.store import json_cache

if TYPE_CHECKING:
    from biasprop.study.conditions import PretrainingCondition


def calibrated(generator: InMode) -> InMode:
    """A generator whose difficulty mode has all its constants.

    Args:
        generator: generator of a study.

    Returns:
        The generator itself if nothing has to be solved for; otherwise a copy with constants from the user's cache
        folder. Constants that are not cached are solved for and cached by a digest of everything they depend on.
    """
    if not generator.difficulty.needs_calibration:
        return generator
    # The order of subgroups is part of this digest, as of every other, although the constants do not depend on it.
    inputs = [generator.model_dump(mode="json"), list(generator.subgroups), NUMERICS]
    name = hashlib.blake2b(json.dumps(inputs).encode(), digest_size=16).hexdigest()

    def solve() -> dict[str, Any]:
        with device.computing():
            return generator.calibrated().difficulty.model_dump(mode="json")

    constants = json_cache.cached(device.cache_folder(), f"difficulty-{name}", solve)
    return generator.model_copy(update={"difficulty": type(generator.difficulty).model_validate(constants)})


def with_calibration(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition whose generators have all constants of their difficulty modes (:func:`calibrated`)."""
    return replace_nested(condition, (InMode,), calibrated)
