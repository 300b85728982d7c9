"""Single estimates of the results, which pages on several studies set beside something else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from biasprop.component import Definition


class Place(Definition):
    """Which estimate of a study is meant."""

    name: str
    """Name of the estimand."""
    arm: dict[str, str | int | float]
    """Factor -> level."""

    def find(self, estimates: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Return the estimate; None if it is not among these.

        Args:
            estimates: of the study's JSON.
        """
        return next((one for one in estimates if one["name"] == self.name and one["arm"] == dict(self.arm)), None)


def kept(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page on several studies keeps of an estimate."""
    return {name: found[name] for name in ("name", "kind", "scale", "value", "low", "high", "verdict")}


def shown(found: Mapping[str, Any]) -> str:
    """Return value, interval and, unless it is z, scale of an estimate.

    Args:
        found: ``value``, ``low``, ``high`` (None where undefined) and ``scale``.
    """
    from biasprop.report.tables import bounds, number

    numbers = (found[name] for name in ("value", "low", "high"))
    value, low, high = (math.nan if one is None else float(one) for one in numbers)
    interval = "" if math.isnan(low) else f" {bounds(low, high, signed=True)}"
    scale = "" if found["scale"] == "z" else f" ({found['scale']})"
    return number(value, 3, signed=True) + interval + scale
