"""Verdicts on estimates."""

from __future__ import annotations

ERASED, PERSISTS, REVERSED, NOT_RESOLVED = "erased", "persists", "reversed", "not resolved"
REACHED, NOT_REACHED = "reached", "not reached"
"""Whether a learning curve gets to a height within its budgets, for the kinds that read labels off one."""

MATERIAL, NEGLIGIBLE, UNCLEAR = "material", "negligible", "present, size unclear"
"""Verdicts of a difference between groups of people, from one interval; beside "not resolved"."""


def zone(low: float, high: float, margin: float) -> str:
    """Return the verdict on a difference from its interval and the margin below which it does not matter.

    Args:
        low, high: bounds of the interval; NaN = there is none.
        margin: > 0, in the units of the difference.

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
    return UNCLEAR if low > 0 or high < 0 else NOT_RESOLVED


def verdict(value: float, p_difference: float, p_equivalence: float, expected: int, alpha: float) -> tuple[str, str]:
    """Return the verdict from the two tests of an estimate, equivalence first.

    Args:
        value: of the estimate.
        p_difference: adjusted p value of the test against 0; NaN = no test.
        p_equivalence: adjusted p value of the equivalence test; NaN = no test.
        expected: the expected sign, 1 or -1; 0 for either.
        alpha: level of both tests.

    Returns:
        "erased" (inside the margin, also where 0 is excluded), "persists" (differs from 0 with the expected sign),
        "reversed" (differs from 0 with the other sign) or "not resolved"; and a remark, often empty.
    """
    differs = p_difference < alpha  # False for NaN
    if p_equivalence < alpha:
        return ERASED, "not zero, but inside the margin" if differs else ""
    if differs:
        return (REVERSED if expected * value < 0 else PERSISTS), ""
    return NOT_RESOLVED, ""
