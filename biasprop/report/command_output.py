"""What `python -m biasprop.run` prints: the JSON object, the line of a shard, ``--precision`` and ``--difficulty``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import terminal
from biasprop.study import arm_status

if TYPE_CHECKING:
    from biasprop.status import Status
    from biasprop.study.design import Cell
    from biasprop.study.study import Study


def json_object(
    study: Study,
    store: Path,
    cells: Sequence[Cell],
    status: Mapping[tuple[int, str], Status],
    report: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """The object of ``--json``, on one line.

    Args:
        study: that was run.
        store: folder of its cube.
        cells: of the run.
        status: of their arms, from :func:`biasprop.study.arm_status.arm_status`.
        report: from :meth:`biasprop.report.results.Report.text`; gives the estimates, and the stored levels and
            replicates that are left out.
        more: further keys.
    """
    from biasprop.report.tables import as_json

    done = arm_status.cells_done(cells, status)
    whole = as_json([], study=study.stem, digest=study.digest, store=store, done=done, total=len(cells))
    estimates = {name: report[name] for name in ("estimates", "left_out")} if report else {}
    return json.dumps(whole | estimates | more, allow_nan=False)


def shard_line(shard: tuple[int, int], cells: Sequence[Cell], status: Mapping[tuple[int, str], Status]) -> str:
    """What a shard prints instead of a report."""
    k, n = shard
    done = arm_status.cells_done(cells, status)
    return f"shard {k}/{n}: {done} of its {len(cells)} cells done; run without --shard for the report"


def figure_lines(folder: Path) -> list[str]:
    """The folder of the figures, why some were not drawn, and which characters their fonts lack."""
    from biasprop.report import figures, plotting

    lines = [f"figures: {folder}" if figures.files(folder) else "no figures"]
    lines += [f"no figure {name}: {why}" for name, why in figures.skipped(folder).items()]
    lacking = figures.missing_glyphs(folder)
    return [terminal.printable(line) for line in (*lines, *([plotting.note_on_glyphs(lacking)] if lacking else []))]


def precision_text(study: Study, store: Path, half_width: float) -> str:
    """The table of ``--precision``, by the replicates in the store, if it exists."""
    from biasprop.report import results, tables
    from biasprop.statistics.measures import measure
    from biasprop.statistics.precision import precision

    cube = results.stored_study_cube(study, store)
    measures = None if cube is None else measure(cube, **study.evaluation.decisions())
    return tables.precision_text(precision(measures, study.estimands, half_width), half_width, tables.TABLE_WIDTH)


def difficulty_text(study: Study, store: Path, *, as_json: bool, report: Callable[[str], None]) -> str:
    """The tables, or the JSON object, of ``--difficulty``.

    Trains a network where none was trained before; the store, if it exists, keeps the ledger.

    Args:
        study: whose generators.
        store: folder of its cube.
        as_json: one JSON object on one line instead of tables.
        report: called with lines of progress.

    Raises:
        InputError: subjects are people of a table.
    """
    from biasprop.component import InputError
    from biasprop.interfaces import has_people
    from biasprop.observers import ledger
    from biasprop.report import difficulty, results, tables

    if has_people(study.generator):
        raise InputError(
            f"{study.origin.name}: generator {study.generator.kind}: how hard its images are is not known: they are of "
            "people of a table, and no observer can be told how they were made"
        )
    cube = results.stored_study_cube(study, store)  # first, because a store of other levels is refused
    stored = store.exists()
    entries = ledger.load_or_compute(study, store if stored else None, learn=True, report=report)
    if stored:
        ledger.save(store, entries)
    if as_json:
        content = {"study": study.stem, "digest": study.digest, "ledger": ledger.as_json(entries)}
        return json.dumps(content, allow_nan=False) + "\n"
    summary = None if cube is None else results.summarise(study, cube, entries)
    return tables.text(difficulty.tables(study, entries, summary), tables.TABLE_WIDTH)
