"""Generators with the constants that their difficulty asks for, which are solved for once on a machine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from biasprop import NUMERICS
from biasprop.hardware import device
from biasprop.store import json_cache

if TYPE_CHECKING:
    from biasprop.study.conditions import PretrainingCondition


def calibrated(generator: Any) -> Any:
    """A generator that is ready to render.

    Args:
        generator: as the study has it.

    Returns:
        Itself where nothing is left to solve for; otherwise with a difficulty whose constants were found in the user's
        cache folder, or are solved for now and kept there under everything they depend on.
    """
    if not generator.difficulty.needs_calibration:
        return generator
    # Subgroups keep their order: constants are the same whatever it is, but so is the digest of everything else.
    whole = [generator.model_dump(mode="json"), list(generator.subgroups), NUMERICS]
    name = hashlib.blake2b(json.dumps(whole).encode(), digest_size=16).hexdigest()
    told = json_cache.cached(
        device.cache_folder(), f"difficulty-{name}", lambda: generator.calibrated().difficulty.model_dump(mode="json")
    )
    return generator.model_copy(update={"difficulty": type(generator.difficulty).model_validate(told)})


def with_calibration(condition: PretrainingCondition) -> PretrainingCondition:
    """A condition with whatever its generator's difficulty has to solve for first."""
    return condition.model_copy(update={"generator": calibrated(condition.generator)})
