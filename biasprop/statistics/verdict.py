"""Zones: the verdict on an effect from one interval and the margin below which the effect does not matter."""

from __future__ import annotations

MATERIAL, NEGLIGIBLE = "material", "negligible"
UNCLEAR, NOT_RESOLVED = "present, size unclear", "not resolved"
REACHED, NOT_REACHED = "reached", "not reached"
"""Whether a learning curve gets to a height within its budgets, for the kinds that read labels off one."""

ZONES = (MATERIAL, NEGLIGIBLE, UNCLEAR, NOT_RESOLVED)
"""All zones, in the order in which they are tried."""

FLAG, CLEAR, CANNOT_TELL = "flag", "clear", "cannot tell"
"""What a card says of a gap; see :func:`decision`."""


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


def decision(low: float, high: float, margin: float, resolvable: float) -> str:
    """Return what a card says of a gap between two groups of people.

    An interval inside the margin is not enough to clear a model: it may be there by luck in a test that would have
    missed a gap as large as the margin.

    Args:
        low, high: bounds of the interval that decides; NaN = there is none.
        margin: > 0, in the units of the gap.
        resolvable: the size of a true gap that the test would have found with a probability of 80 %; NaN = unknown.

    Returns:
        "flag" if the gap is material; "clear" if it is negligible and ``resolvable`` is at most the margin; otherwise,
        and without an interval, "cannot tell".
    """
    found = zone(low, high, margin)
    if found == MATERIAL:
        return FLAG
    return CLEAR if found == NEGLIGIBLE and resolvable <= margin else CANNOT_TELL


def leaves_out_zero(low: float, high: float) -> bool:
    """Whether an interval lies wholly above or wholly below 0; False without one."""
    return low > 0 or high < 0
