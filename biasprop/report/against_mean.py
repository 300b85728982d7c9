"""Table of all subgroups against their mean, with intervals that hold at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from biasprop.report.tables import DASH, empty_table, with_interval
from biasprop.statistics.summary import AgainstMean, where

if TYPE_CHECKING:
    from rich.table import Table


def against_mean_table(rows: Sequence[AgainstMean]) -> Table:
    """Return one row per estimand, arm and subgroup.

    Args:
        rows: of a summary, at least one.
    """
    from biasprop.metrics import SCALES

    table = empty_table(
        "All subgroups, simultaneous: each minus the mean of all, positive if\n"
        "better [95 % intervals, which hold for all subgroups of an arm at once]"
    )
    for name in ("estimand", "arm", "subgroup"):
        table.add_column(name, overflow="fold")
    table.add_column("scale")
    for name in ("difference", "reps"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        difference = with_interval(row.mean, signed=True)
        scale = SCALES[row.scale].long_name
        table.add_row(row.name, where(row.arm) or DASH, row.subgroup, scale, difference, str(row.mean.replicates))
    return table
