"""Zones: the verdict on an effect from one interval and the margin below which the effect does not matter."""

from __future__ import annotations

MATERIAL, NEGLIGIBLE = "material", "negligible"
UNCLEAR, NOT_RESOLVED = "present, size unclear", "not resolved"

ZONES = (MATERIAL, NEGLIGIBLE, UNCLEAR, NOT_RESOLVED)
"""All zones, in the order in which they are tried."""

REACHED, NOT_REACHED = "reached", "not reached"
"""Verdicts of a halving budget and a label efficiency, which have no zone."""


def zone(low: float, high: float, margin: float) -> str:
    """Return the zone of an effect.

    Args:
        low, high: bounds of the interval that decides; NaN = there is none.
        margin: > 0, in the units of the effect.

    Returns:
        The first that holds: "material" (wholly beyond the margin on one side), "negligible" (wholly inside it),
        "present, size unclear" (0 is left out) or "not resolved"; empty without an interval.
    """
    if not (low <= high):
        return ""
    if low > margin or high < -margin:
        return MATERIAL
    if -margin < low and high < margin:
        return NEGLIGIBLE
    return UNCLEAR if leaves_out_zero(low, high) else NOT_RESOLVED


def leaves_out_zero(low: float, high: float) -> bool:
    """Whether an interval lies wholly above or wholly below 0; False without one."""
    return low > 0 or high < 0
