"""The digest: a hash of everything that a study's numbers depend on, which names its store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from biasprop import NUMERICS
from biasprop.population.coupling import COUPLING
from biasprop.study.location import Location, dotted


def digest(
    base: Mapping[str, Any],
    *,
    seed: int,
    subgroups: Sequence[str],
    factors: Sequence[str],
    settings: Sequence[Mapping[Location, Any]],
    smoke: bool,
    scale: str | None,
    assigned: Mapping[str, Any],
) -> str:
    """The blake2b digest of a study.

    It leaves out levels, replicates, title, question, estimands and the weights of subgroups in groups, so that levels
    and replicates can be added to a store, and estimands and weights can be changed. It includes every ``--set``, so
    that a study changed on the command line never shares a store with the study in the file.

    Args:
        base: tables of the base condition with defaults filled in, evaluation included.
        seed: of the study.
        subgroups: their names in order, which is the order of a dim.
        factors: names of the factors, which are dims.
        settings: what each sampled setting sets; they cannot be added to, because another size has other settings.
        smoke: whether the numbers were made small.
        scale: name of the scale, if one was applied.
        assigned: the overrides of the command line, dotted key -> value.

    Returns:
        64 hexadecimal digits.
    """
    population = {name: value for name, value in base.get("population", {}).items() if name != "weights"}
    content = {
        "base": {**base, "population": population} if "population" in base else base,
        "seed": seed,
        "subgroups": list(subgroups),
        "factors": list(factors),
        "smoke": smoke,
        "scale": scale,
        "set": dict(assigned),
        "numerics": NUMERICS,
    }
    if settings:
        content["settings"] = [{dotted(key): value for key, value in setting.items()} for setting in settings]
    if len(subgroups) > 2:
        content["coupling"] = COUPLING
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
