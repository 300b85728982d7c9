"""The report of a store: tables, estimates and figures, cached there until scores, study, ledger or code change."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from biasprop import terminal
from biasprop.observers import ledger
from biasprop.report import difficulty
from biasprop.store import json_cache
from biasprop.store.ledger import read as read_ledger
from biasprop.store.metadata import table
from biasprop.store.store import Store

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.observers.ledger import Entry
    from biasprop.statistics.summary import Summary
    from biasprop.study.study import Study

TABLE_WIDTH = 200
"""Columns of tables that do not go to a terminal."""


class Report:
    """What a store says: text first, then figures, so that no figure that fails costs a number.

    Both are cached in the store while scores, ledger, study and code are the same.
    """

    def __init__(self, study: Study, store: Path, entries: Sequence[Entry]):
        self.study, self.store, self.entries = study, store, entries
        self.width = _table_width()
        self.key = _key(study, store, ledger.as_json(entries), self.width)

    @cached_property
    def cube(self) -> xr.Dataset:
        """The cube, loaded."""
        return open_study_cube(self.study, self.store).load()

    @cached_property
    def summary(self) -> Summary:
        """All numbers of the cube."""
        return summarise(self.study, self.cube, self.entries)

    def text(self) -> dict[str, Any]:
        """Return ``tables``, a text that ends with the answer in words, and ``estimates``, as ``--json`` has them."""
        report = json_cache.cached(self.store, self.key, self._text)
        # Someone else may have written the cache.
        return report | {"tables": terminal.printable(report["tables"], keep="\n")}

    def draw(self) -> None:
        """Draw the figures that are missing or out of date.

        Raises:
            OSError, ExceptionGroup: see :func:`biasprop.report.figures.draw_all`.
        """
        from biasprop.report import figures

        folder = self.store / "figures"
        if not figures.are_of(folder, self.key):
            figures.draw_all(self.cube, self.summary.estimates, folder, self.study)
            figures.mark(folder, self.key)

    def _text(self) -> dict[str, Any]:
        from biasprop.report import tables, text_summary

        found = tables.tables(self.summary, difficulty.tables(self.study, self.entries, self.summary))
        shown = f"{tables.text(found, self.width)}\n{text_summary.paragraph(self.summary)}"
        return {"tables": shown, "estimates": self.summary.to_json()["estimates"]}


def cached_estimates(study: Study, store: Path) -> list[dict[str, Any]]:
    """Estimates of the last report if study, scores, ledger and code have not changed since, else an empty list.

    Computes nothing. A report printed to a terminal is found only from a terminal of the same width.
    """
    stored_ledger = read_ledger(store)
    for width in dict.fromkeys((_table_width(), TABLE_WIDTH)) if stored_ledger else ():
        key = _key(study, store, stored_ledger, width)
        report = json_cache.read(store / "cache" / f"{key}.json", key)
        if report is not None:
            return report["estimates"]
    return []


def summarise(study: Study, cube: xr.Dataset, entries: Sequence[Entry]) -> Summary:
    """Return all numbers of a study: its estimates, levels, and gaps decomposed with the difficulty ledger."""
    from biasprop.statistics.measures import measure
    from biasprop.statistics.summary import summary_of

    measures = measure(cube, **study.evaluation.decisions())
    return summary_of(measures, study.estimands, ledger.places(study, entries))


def study_of(cube: xr.Dataset, store: Path) -> Study:
    """Return the study that a store was made from, with the overrides it was run with.

    Raises:
        InputError: the stored text is missing or no longer a valid study.
    """
    from biasprop.component import InputError
    from biasprop.study.load import remake
    from biasprop.study.study import Origin

    recorded = table(cube.attrs, "overrides") if "overrides" in cube.attrs else {}
    overrides: dict[str, Any] = recorded if isinstance(recorded, dict) else {"set": None}  # damaged
    text, assignments, scale = cube.attrs.get("study"), overrides.get("set", []), overrides.get("scale")
    texts: list[Any] = [text, *assignments, scale or ""] if isinstance(assignments, list) else [None]
    if not all(isinstance(part, str) for part in texts):
        raise InputError(f"{store}: the store does not say what study it was made from")
    return remake(
        Origin(
            name=f"{store.name.rpartition('-')[0]}.toml",
            text=str(text),
            set=tuple(assignments),
            scale=scale,
            smoke=bool(overrides.get("smoke")),
        )
    )


def open_study_cube(study: Study, store: Path) -> xr.Dataset:
    """Open the cube with the study's levels and replicates, in the study's order."""
    from biasprop.store.view import open_cube

    labels = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return open_cube(store, labels, study.replicates)


def _table_width() -> int:
    """Columns of the terminal, or :data:`TABLE_WIDTH`."""
    return max(get_terminal_size().columns, 100) if sys.stdout.isatty() else TABLE_WIDTH


def _key(study: Study, store: Path, ledger_json: Any, width: int) -> str:
    root = Path(__file__).parents[1]
    files = [root / "observers" / "ledger.py"]
    for package in ("metrics", "statistics", "report"):
        files += sorted((root / package).rglob("*.py"))
    code = hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()
    scores = Store.open(store, writable=False).scores_digest()
    parts = [scores, code, study.model_dump(mode="json"), ledger_json, width, str(store.resolve())]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
