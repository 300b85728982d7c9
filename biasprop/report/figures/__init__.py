"""Figures of one study, one file per figure.

A figure is a function ``draw(cube, estimates, study) -> matplotlib.figure.Figure``, decorated with
``plotting.style()``, that raises ``plotting.NotApplicable`` with a reason if the study lacks what it shows. ``cube`` is
as ``biasprop.open_cube`` gives it, with measures added where :func:`draw_all` calls it; ``estimates`` are
those of the study. The same arguments give the same bytes. Beside it the file has a ``CAPTION`` that can be read
without the text. A figure with one panel also has ``draw_on(axes, cube, estimates, study) -> axes``; one with several
panels only returns its figure. ``curves.draw_on``, which is ``biasprop.plot``, draws any measure on axes.

To add one, write a file with both here and one line in :data:`FIGURES`; for the manuscript also a file in
``paper/figures``. ``curves`` and ``coverage`` have other arguments and are not in the table.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.paths import named
from biasprop.report.figures import (
    contact_sheet,
    contrast_by_level,
    forest,
    injected_skew,
    learning_curves,
    persistence,
    phase_diagram,
    share_curves,
    skew_against_auc,
    stability,
    test_mix,
    worth,
)
from biasprop.report.figures.facets import measured
from biasprop.report.plotting import FORMATS, NotApplicable, save, without_glyph
from biasprop.store import json_cache
from biasprop.terminal import first_line

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.summary import Estimate
    from biasprop.study.study import Study

FIGURES: dict[str, Callable[..., Any]] = {
    "contact_sheet": contact_sheet.draw,
    "share_curves": share_curves.draw,
    "learning_curves": learning_curves.draw,
    "persistence": persistence.draw,
    "phase_diagram": phase_diagram.draw,
    "skew_against_auc": skew_against_auc.draw,
    "test_mix": test_mix.draw,
    "contrast_by_level": contrast_by_level.draw,
    "worth": worth.draw,
    "forest": forest.draw,
    "injected_skew": injected_skew.draw,
    "stability": stability.draw,
}
RECORD = "drawn.json"
"""File beside the figures: a digest of what they were drawn from, the reasons why some are missing, and characters that
the fonts lack."""


def draw_all(
    cube: xr.Dataset,
    estimates: Sequence[Estimate],
    folder: Path,
    study: Study,
    table: Mapping[str, Callable[..., Any]] = FIGURES,
) -> list[Path]:
    """Draw every figure that applies to the study, unless they exist and are up to date.

    Args:
        cube: as ``biasprop.open_cube`` gives it.
        estimates: from ``statistics.estimate.estimates``.
        folder: made if missing; also holds :data:`RECORD`.
        study: the loaded study.
        table: name -> function that draws it.

    Returns:
        All files, drawn now or before. :func:`skipped` gives the figures that are missing and why, and
        :func:`missing_glyphs` the characters that the fonts lack.

    Raises:
        OSError: the folder cannot be written.
        ExceptionGroup: some figures raised an error, each with a note that names it; all others are drawn, and the
            next call draws again.
    """
    folder = Path(folder)
    source = drawn_from(cube, study, table, estimates)
    known = _record(folder)
    if intact(folder, source):
        return [folder / name for name in known["files"]]
    cube = measured(cube, study)
    drawn: list[Path] = []
    reasons: dict[str, str] = {}
    lacking = ""
    errors: list[Exception] = []
    for name, draw in table.items():
        try:
            figure = draw(cube, estimates, study)
            drawn += save(figure, folder / name)
            lacking += without_glyph(figure)
            continue
        except NotApplicable as reason:
            reasons[name] = str(reason)
        except OSError:
            raise
        except Exception as error:
            reasons[name] = first_line(error)
            error.add_note(f"in the figure {name}")
            errors.append(error)
        for suffix in FORMATS:  # drawn when the study was different
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"files": {f.name: _hash(f) for f in drawn}, "skipped": reasons, "boxes": "".join(dict.fromkeys(lacking))}
    json_cache.write_or_raise(folder / RECORD, {"source": None if errors else source} | record)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(table)} figures could not be drawn", errors)
    return drawn


def caption(name: str) -> str:
    """Return the caption of a figure of :data:`FIGURES`."""
    return sys.modules[FIGURES[name].__module__].CAPTION


def intact(folder: Path, source: str) -> bool:
    """Return whether the folder has the figures drawn from a source (:func:`drawn_from`), byte for byte."""
    record = _record(folder)
    return record.get("source") == source and all(_hash(folder / n) == known for n, known in record["files"].items())


def skipped(folder: Path) -> dict[str, str]:
    """Return the figures that :func:`draw_all` left out, each with the reason."""
    return dict(_record(Path(folder)).get("skipped", {}))


def files(folder: Path) -> list[Path]:
    """Return the files that :func:`draw_all` drew last."""
    return [Path(folder) / name for name in _record(Path(folder)).get("files", {})]


def belongs_to(folder: Path, report: str) -> bool:
    """Return whether the figures are complete and those of the report that :func:`record_report` was given last."""
    record = _record(folder)
    return record.get("report") == report and intact(folder, record.get("source", ""))


def record_report(folder: Path, report: str) -> None:
    """Note which report the figures belong to, by its key, where the folder can be written."""
    if record := _record(folder):
        json_cache.write(folder / RECORD, record | {"report": report})


def missing_glyphs(folder: Path) -> str:
    """Return the characters that are drawn as boxes in the figures, because the fonts lack them."""
    return str(_record(Path(folder)).get("boxes", ""))


def drawn_from(
    cube: xr.Dataset, study: Study, table: Mapping[str, Any] = FIGURES, estimates: Sequence[Estimate] = ()
) -> str:
    """Return a digest of what figures depend on: checksums and status of arms, levels, estimates, study, code of
    figures."""
    digest = hashlib.blake2b(",".join(table).encode(), digest_size=16)
    for name in ("checksum", "status"):
        digest.update(cube[name].values.tobytes())
    for name, coord in sorted(cube.coords.items(), key=str):
        if coord.size < 10_000:
            digest.update(f"{name}={coord.values.tolist()}".encode())
    digest.update(repr(list(estimates)).encode())
    digest.update(study.model_dump_json().encode())
    room = Path(__file__).parent
    drawing = {str(getattr(sys.modules.get(draw.__module__), "__file__", "")) for draw in table.values()}
    elsewhere = [Path(file) for file in sorted(drawing - {""}) if Path(file).parent != room]
    for file in [room.parent / "plotting.py", *sorted(room.glob("*.py")), *elsewhere]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of a folder; empty if it is missing or damaged."""
    record = json_cache.read(folder / RECORD)
    return record if isinstance(record, dict) and isinstance(record.get("files"), dict) else {}


def _hash(file: Path) -> str:
    """Return the hash of a file's bytes; empty if there is no file."""
    with named(file):
        return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() if file.is_file() else ""
