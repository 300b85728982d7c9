"""What became of an arm: the numbers that a store holds, and their words."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """What became of one draw of an arm; frozen, because stores hold the numbers. Only OK is valid data."""

    OPEN = 0
    OK = 1
    DIVERGED = 2
    FAILED = 3
    NOT_PLANNED = 4

    @property
    def words(self) -> str:
        """As messages say it."""
        return self.name.lower().replace("_", " ")


TO_DO = (Status.OPEN, Status.FAILED)
"""Of a draw that is still to be computed."""

LACKS = {Status.OPEN: "not run", Status.DIVERGED: "diverged", Status.FAILED: "failed"}
"""Why a draw has no result, for readers of tables; from the first on, a later reason outweighs an earlier one."""
