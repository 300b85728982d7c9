"""A problem of a study: a location and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass

from biasprop.component import suggestion as suggestion
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
