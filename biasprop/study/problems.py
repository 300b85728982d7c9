"""A problem of a study: a location and what is wrong there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from biasprop.study.location import Location

MAX_PROBLEMS = 100
"""Problems that are listed."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study."""

    location: Location
    """The key, part by part."""
    what: str
    """What is wrong and what is allowed."""

    def below(self, prefix: Location, drop: int = 0) -> Problem:
        """The same problem at ``prefix`` followed by its location without the first ``drop`` parts."""
        return Problem((*prefix, *self.location[drop:]), self.what)


def suggestion(wrong: Any, allowed: Iterable[Any]) -> str:
    """``allowed: a, b, c; did you mean a?``, the question only where one of them is close to ``wrong``."""
    names = [str(name) for name in allowed][:1_000]
    by_lower = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower, n=1, cutoff=0.5)
    listed = ", ".join(names[:40]) if names else "none"
    return f"allowed: {listed}" + (f"; did you mean {by_lower[close[0]]}?" if close else "")
