"""Estimates of a store for Python: ``biasprop.estimates``."""

from __future__ import annotations

from pathlib import Path

from biasprop.statistics.summary import Estimate

MAX_SHOWN = 40
"""Most estimates that a notebook shows."""


class Estimates(tuple[Estimate, ...]):
    """Estimates in the order of the study's estimands; a notebook shows the first 40, by role, with bars."""

    def _repr_html_(self) -> str:
        from biasprop.html.blocks import Paragraphs
        from biasprop.html.templates import fragment
        from biasprop.report.interval_bars import bar_tables, ordered

        shown = ordered(self, MAX_SHOWN)
        more = [f"{len(self) - len(shown):,} more estimates."] if len(shown) < len(self) else []
        return fragment([*bar_tables(shown), Paragraphs(more)])


def estimates(store: str | Path) -> Estimates:
    """Return the estimates of a store.

    Args:
        store: the folder of the store, which may be partly filled; ``~`` is the home folder.

    Returns:
        One :class:`biasprop.statistics.summary.Estimate` per estimand and arm, NaN where arms are missing.

    Raises:
        InputError: there is no such store, it is damaged, or its study is no longer valid.
    """
    from biasprop.report import results

    return Estimates(results.stored_summary(store)[0].estimates)
