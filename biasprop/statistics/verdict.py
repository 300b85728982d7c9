"""Verdicts on estimates."""

from __future__ import annotations

ERASED, PERSISTS, REVERSED, NOT_RESOLVED = "erased", "persists", "reversed", "not resolved"
REACHED, NOT_REACHED = "reached", "not reached"
"""Verdicts of a halving budget and a label efficiency, which have no test."""


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
