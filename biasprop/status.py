"""Status of an arm: the integers that a store holds, and their names."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Status of one draw of an arm; the integers are frozen, because stores hold them. Only OK is valid data."""

    OPEN = 0
    OK = 1
    DIVERGED = 2
    FAILED = 3
    NOT_PLANNED = 4

    @property
    def words(self) -> str:
        """The name as it is written in messages."""
        return self.name.lower().replace("_", " ")


TO_DO = (Status.OPEN, Status.FAILED)
"""Statuses of a draw that is still to be computed."""

LACKS = {Status.OPEN: "not run", Status.DIVERGED: "diverged", Status.FAILED: "failed"}
"""Why a draw has no result, as tables say it; where several apply to an arm, the last one is shown."""
