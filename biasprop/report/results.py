"""The report of a store: tables, estimates and figures, cached there until scores, study, ledger or code change."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import terminal
from biasprop.observers import ledger
from biasprop.paths import user_path
from biasprop.report import difficulty
from biasprop.report.tables import table_width
from biasprop.store import json_cache
from biasprop.store.ledger import read as read_ledger
from biasprop.store.metadata import as_attribute, table
from biasprop.store.store import Store
from biasprop.store.view import LEFT_OUT

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.observers.ledger import Entry
    from biasprop.statistics.summary import Summary
    from biasprop.study.study import Study

BRIEF_WIDTH = 140
"""Most columns of the answer and of the table below it."""


PAGE = "report.html"
"""File of the report page in a store."""
SEAL = b"<!-- checksum "
"""Begins the last line of that file."""


class Report:
    """What a store says: text first, then figures, so that no figure that fails costs a number, and a page of both.

    All are cached in the store while scores, ledger, study and code are the same.
    """

    def __init__(self, study: Study, store: Path, entries: Sequence[Entry]):
        self.study, self.store, self.entries = study, store, entries
        self.width = table_width()
        self.key = _key(study, store, ledger.as_json(entries))

    @cached_property
    def cube(self) -> xr.Dataset:
        """The cube, loaded."""
        return open_study_cube(self.study, self.store).load()

    @cached_property
    def summary(self) -> Summary:
        """All numbers of the cube."""
        return summarise(self.study, self.cube, self.entries)

    def text(self) -> dict[str, Any]:
        """Return ``brief``, the answer and a table of estimates; ``tables``, which begins with what a label budget
        counts, has all tables and ends with the answer; ``estimates`` and ``left_out``, as ``--json`` has them."""
        cache, width = _cache(self.store, self.key), str(self.width)
        report = json_cache.read(cache, self.key)
        if report is None or width not in report["texts"]:
            earlier = report["texts"] if report else {}
            report = self._text()
            report |= {"texts": earlier | {width: report["texts"]}}  # those of every width that was asked for
            json_cache.write(cache, report, self.key)
        texts = report.pop("texts")[width]
        # Another user may have written the cache.
        return report | {name: terminal.printable(text, keep="\n") for name, text in texts.items()}

    def draw(self) -> None:
        """Draw the figures that are missing or out of date.

        Raises:
            OSError, ExceptionGroup: see :func:`biasprop.report.figures.draw_all`.
        """
        from biasprop.report import figures

        folder = self.store / "figures"
        if not figures.belongs_to(folder, self.key):
            figures.draw_all(self.cube, self.summary.estimates, folder, self.study)
            figures.record_report(folder, self.key)

    @property
    def left_out(self) -> dict[str, list[Any]]:
        """Stored levels and replicates of which nothing is shown."""
        return left_out(self.cube)

    def write_page(self) -> Path:
        """Write the report page into the store, unless it is there and up to date; the figures have been drawn.

        Returns:
            The file.

        Raises:
            OSError: it cannot be written.
        """
        from biasprop.html.templates import source_files

        file = self.store / PAGE
        key = _digest([self.key.encode(), *(source.read_bytes() for source in source_files())])
        if not _is_current(file, key):
            body = self.page(self.store / "figures").encode()
            json_cache.write_bytes(file, body + _seal(body, key))
        return file

    def page(self, folder: Path) -> str:
        """Return the report page.

        Args:
            folder: of the figures.
        """
        from biasprop.report.study_page import study_page

        return str(study_page(self, folder))

    def _text(self) -> dict[str, Any]:
        from biasprop.report import answer, tables

        found = tables.tables(self.summary, difficulty.tables(self.study, self.entries, self.summary))
        beyond = self.left_out
        said = answer.answer(self.summary, self.study)
        dropped = answer.left_out(beyond) + answer.limits(self.cube, min(self.width, BRIEF_WIDTH))
        parts = [*answer.label_budgets(self.study), tables.text(found, self.width), *said.lines(most=None), *dropped]
        most = answer.BRIEF_LINES - len(dropped)
        brief = answer.brief(self.summary, self.study, min(self.width, BRIEF_WIDTH), most) + "\n".join(dropped)
        texts = {"brief": brief.rstrip("\n"), "tables": "\n".join(parts)}
        return {"texts": texts, "estimates": self.summary.to_json()["estimates"], "left_out": beyond}


def cached_estimates(study: Study, store: Path) -> list[dict[str, Any]]:
    """Estimates of the last report if study, scores, ledger and code have not changed since, else an empty list.

    Computes nothing.
    """
    if not (stored_ledger := read_ledger(store)):
        return []
    key = _key(study, store, stored_ledger)
    report = json_cache.read(_cache(store, key), key)
    return [] if report is None else report["estimates"]


def summarise(study: Study, cube: xr.Dataset, entries: Sequence[Entry]) -> Summary:
    """Return all numbers of a study: its estimates, levels, and gaps decomposed with the difficulty ledger."""
    from biasprop.statistics.measures import measure
    from biasprop.statistics.summary import summary_of

    # The store may have no ledger yet.
    cube = cube.assign_attrs(ledger=as_attribute(ledger.as_json(entries))) if entries else cube
    measures = measure(cube, **study.evaluation.decisions())
    return summary_of(measures, study.estimands, ledger.places(study, entries))


def stored_summary(store: str | Path) -> tuple[Summary, xr.Dataset]:
    """Return all numbers of a store, of the study as it was last run, and its loaded cube.

    Raises:
        InputError: see :func:`stored`.
    """
    study, cube, path = stored(store)
    return summarise(study, cube, ledger.load_or_compute(study, path)), cube


def stored(store: str | Path) -> tuple[Study, xr.Dataset, Path]:
    """Return the study that a store was last run with, its loaded cube, and its folder without links.

    Args:
        store: its folder; ``~`` is the home folder.

    Raises:
        InputError: there is no such store, it is damaged, its study is no longer valid, or this version of the package
            takes the study's levels for others than the version that has written the store.
    """
    from biasprop import __version__
    from biasprop.component import InputError
    from biasprop.store.layout import fixed_differences, level_differences
    from biasprop.store.view import open_cube
    from biasprop.study import design

    path = Path(os.path.realpath(user_path(store)))  # Path.resolve raises of a loop of links
    cube = open_cube(path).load()
    study = study_of(cube, path)
    layouts = Store.open(path, writable=False).layout, design.layout(study)
    if found := fixed_differences(*layouts) or level_differences(*layouts):
        more = f" (and {len(found) - 1:,} more differences)" if len(found) > 1 else ""
        raise InputError(
            f"{path}: biasprop {__version__} reads the study in this store otherwise than {_writer(cube)}, which has "
            f"written it: {found[0]}{more}; use that version, or run the study again"
        )
    return study, cube, path


def study_of(cube: xr.Dataset, store: Path) -> Study:
    """Return the study that a store was last run with, with its overrides and the cube's number of replicates.

    Raises:
        InputError: the stored text is missing or no longer a valid study.
    """
    from biasprop import __version__
    from biasprop.component import InputError
    from biasprop.study.load import remake
    from biasprop.study.study import Origin

    recorded = table(cube.attrs, "overrides") if "overrides" in cube.attrs else {}
    overrides: dict[str, Any] = recorded if isinstance(recorded, dict) else {"set": None}  # damaged
    text, assignments, scale = cube.attrs.get("study"), overrides.get("set", []), overrides.get("scale")
    texts: list[Any] = [text, *assignments, scale or ""] if isinstance(assignments, list) else [None]
    if not all(isinstance(part, str) for part in texts):
        raise InputError(f"{store}: the store does not say what study it was made from")
    origin = Origin(
        name=f"{store.name.rpartition('-')[0]}.toml",
        text=str(text),
        set=tuple(assignments),
        scale=scale,
        smoke=bool(overrides.get("smoke")),
        replicates=cube.sizes["replicate"],
    )
    try:
        return remake(origin)
    except InputError as error:
        what = f"{store}: biasprop {__version__} cannot use the study in this store, which {_writer(cube)} has written"
        raise InputError([f"{what}:", *error.problems]) from error


def stored_report(store: str | Path) -> Report:
    """Return the report of a store, of the study as it was last run.

    Raises:
        InputError: see :func:`stored`.
    """
    study, _, path = stored(store)
    return Report(study, path, ledger.load_or_compute(study, path))


def _writer(cube: xr.Dataset) -> str:
    """The version of the package that has written a store."""
    version = table(cube.attrs, "versions", {}).get("biasprop", "of an unknown version")
    commit = cube.attrs.get("commit")
    return f"biasprop {version}" + (f" (commit {commit})" if commit else "")


def open_study_cube(study: Study, store: Path) -> xr.Dataset:
    """Open the cube with what the store has of the study's levels and replicates, in the study's order.

    A store that holds the last run of the study gives the same by :func:`biasprop.open_cube`, without the study.

    Raises:
        InputError: a level of the study has another content in the store, or the store cannot be read.
    """
    from biasprop.store.layout import shared
    from biasprop.store.view import open_cube
    from biasprop.study import design

    levels, replicates = shared(Store.open(store, writable=False).layout, design.layout(study), store)
    cube = open_cube(store, levels, replicates)
    if study.population is None:
        return cube
    return cube.assign_attrs(population=as_attribute(study.population.composition()))


def stored_study_cube(study: Study, store: Path) -> xr.Dataset | None:
    """Load :func:`open_study_cube`; None if there is no store, or it has no arm of the study."""
    cube = open_study_cube(study, store) if store.exists() else None
    return cube.load() if cube is not None and cube["status"].size else None


def left_out(cube: xr.Dataset) -> dict[str, list[Any]]:
    """Return the stored levels and replicates that a cube does not show, see :func:`biasprop.open_cube`."""
    return table(cube.attrs, LEFT_OUT, {})


def _cache(store: Path, key: str) -> Path:
    """File of the cached report with this key."""
    return store / "cache" / f"{key}.json"


def _key(study: Study, store: Path, ledger_json: Any) -> str:
    """Digest of everything that the numbers of a report depend on."""
    root = Path(__file__).parents[1]
    files = [root / "observers" / "ledger.py"]
    for package in ("metrics", "statistics", "estimands", "store", "study", "report"):
        files += sorted((root / package).rglob("*.py"))
    code = _digest(file.read_bytes() for file in files)
    scores = Store.open(store, writable=False).scores_digest()
    parts = [scores, code, study.model_dump(mode="json"), ledger_json]
    return _digest([json.dumps(parts).encode()])


def _is_current(page: Path, key: str) -> bool:
    """Whether a page is as it was written with this key."""
    content = page.read_bytes() if page.is_file() else b""
    body, mark, _ = content.rpartition(SEAL)
    return bool(mark) and content == body + _seal(body, key)


def _seal(body: bytes, key: str) -> bytes:
    """The last line of a page: a comment with the checksum of the page and of what it was made from."""
    return SEAL + f"{_digest([key.encode(), body])} -->\n".encode()


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()
