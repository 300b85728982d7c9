"""What an estimate says about its claim, in words."""

from __future__ import annotations

ERASED, PERSISTS, REVERSED, NOT_RESOLVED = "erased", "persists", "reversed", "not resolved"
REACHED, NOT_REACHED = "reached", "not reached"
"""Answers of a halving budget and a label efficiency, which have no test."""


def verdict(value: float, p_difference: float, p_equivalence: float, expected: int, alpha: float) -> tuple[str, str]:
    """Judge an estimate by its two tests, equivalence first.

    Args:
        value: of the estimate.
        p_difference: adjusted p that it is 0; NaN = no test.
        p_equivalence: adjusted p that it lies outside the margin; NaN = no test.
        expected: the sign the claim states, 1 or -1; 0 for either.
        alpha: level of both tests.

    Returns:
        "erased" (inside the margin, also where 0 is excluded), "persists" (differs from 0 with the stated sign),
        "reversed" (differs from 0 with the other sign) or "not resolved"; and a remark, often empty.
    """
    differs = p_difference < alpha  # False for NaN
    if p_equivalence < alpha:
        return ERASED, "not zero, but inside the margin" if differs else ""
    if differs:
        return (REVERSED if expected * value < 0 else PERSISTS), ""
    return NOT_RESOLVED, ""
