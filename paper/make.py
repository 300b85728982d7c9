"""`python -m paper.make`: figures, numbers, results and pages of every finished study under ``results/``.

Writes ``paper/output/<study>/`` (figures), ``paper/numbers.json`` (each number with its store, the arm it belongs to
and the function that made it), ``paper/numbers.tex`` (the same as macros, and the captions), and for each study whose
arms have all run ``paper/results/<study>.json`` with one figure beside it. From the JSON files alone it writes
``paper/results/<study>.md``, the score of the predictions (``predictions.md``), earlier answers beside the present ones
(``before_after.md``), published findings beside ours (``published.md``), what pretraining was worth in all studies
(``pretraining_worth.md``) and the gallery ``studies/README.md``; ``--pages`` does only that. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import command, terminal
from biasprop.paths import user_path

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.statistics.summary import Summary
    from biasprop.study.study import Study

HERE = Path(__file__).parent

PAGE_FIGURES = (
    "stability",
    "injected_skew",
    "contrast_by_level",
    "persistence",
    "learning_curves",
    "skew_against_auc",
    "forest",
)
"""Figures that may stand on a study's page: the first that could be drawn of the one called like the kind of the
primary estimand, and these."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make everything.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if there is nothing to make it from.
    """
    terminal.configure()
    parser = argparse.ArgumentParser(
        prog="python -m paper.make", description="Draw figures, collect numbers, and write results, pages and gallery."
    )
    parser.add_argument(
        "--results", type=user_path, default=Path("results"), metavar="DIR", help="folder of the stores"
    )
    parser.add_argument("--study", metavar="NAME", help="only this study, or the store with this folder name")
    parser.add_argument(
        "--out",
        type=user_path,
        default=HERE,
        metavar="DIR",
        help="folder to write to (default: paper/; another one gets no gallery)",
    )
    parser.add_argument("--pages", action="store_true", help="only pages and gallery, from paper/results/*.json")
    given = parser.parse_args(argv)
    from biasprop.hardware import environment

    environment.configure()

    def run() -> int:
        failed = [] if given.pages else make(given.results, given.study, given.out)
        write_pages(given.out)
        if failed:
            raise ExceptionGroup("some figures could not be drawn", failed)
        return 0

    return command.explained(run)


def make(results: Path, name: str | None = None, out: Path = HERE) -> list[Exception]:
    """Draw figures, collect numbers and write the JSON of every finished study.

    Args:
        results: folder of stores.
        name: a study's name, or a store's; None takes the newest store of every study.
        out: folder of ``output/``, ``results/``, ``numbers.json`` and ``numbers.tex``.

    Returns:
        What was raised by figures that could not be drawn; everything else is made.

    Raises:
        InputError: there is no such store, or a store cannot be read.
    """
    from biasprop.report.figures import draw_all, skipped
    from biasprop.report.figures import files as drawn
    from biasprop.report.results import study_of
    from biasprop.statistics.measures import measure
    from biasprop.statistics.summary import summary_of
    from paper import numbers, predictions, stores
    from paper.figures import FIGURES
    from paper.pages import replace

    failed: list[Exception] = []
    collected: list[numbers.Number] = []
    stated = predictions.read()
    drawing = {figure: draw for figure, (draw, _) in FIGURES.items()}
    for store, cube in stores.newest(results, name).items():
        study = study_of(cube, store)
        if study.digest != cube.attrs["digest"]:
            print(f"{store.name}: left out: this version of the package gives other numbers; run the study again")
            continue
        measures = measure(cube, **study.evaluation.decisions())
        summary = summary_of(measures, study.estimands)
        folder = out / "output" / study.stem
        try:
            files = draw_all(cube, summary.estimates, folder, study, drawing)
        except ExceptionGroup as errors:  # the numbers and the other figures are made all the same
            failed.append(errors)
            files = drawn(folder)
        print(f"{store.name}: {len(files)} files in {folder}")
        for figure, reason in skipped(folder).items():
            print(f"{store.name}: no {figure}: {reason}")
        collected += numbers.of_estimates(study.stem, store.name, summary.estimates)
        collected += numbers.of_levels(study.stem, store.name, measures)
        predicted = predictions.measured(stores.stem_of(store), measures, stated)
        print(f"{store.name}: {write_result(store, cube, summary, study, files, out / 'results', predicted)}")
    captions = {figure: caption for figure, (_, caption) in FIGURES.items()}
    entries = [number.entry(name) for number, name in zip(collected, numbers.macro_names(collected), strict=True)]
    replace(out / "numbers.json", json.dumps(entries, indent=1) + "\n")
    replace(out / "numbers.tex", numbers.macros(collected, captions))
    print(f"{len(collected)} numbers in {out / 'numbers.json'} and {out / 'numbers.tex'}")
    return failed


def write_result(
    store: Path,
    cube: xr.Dataset,
    summary: Summary,
    study: Study,
    figures: Sequence[Path],
    folder: Path,
    predicted: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write a study's JSON and the figure of its page, if all arms of the store have run as its study file says.

    Args:
        store: its folder; its name gives that of the study.
        cube: of the store.
        summary: of the cube.
        study: that the store was run with.
        figures: files that were drawn.
        folder: where the JSON goes.
        predicted: values of the predictions that are of the study.

    Returns:
        What was done, in words.
    """
    from biasprop.status import Status
    from biasprop.store import whole_files
    from paper import stores, study_result
    from paper.pages import replace

    if stores.overridden(cube):
        return "no result: a smoke run, or run with --set"
    if missing := int((cube["status"] == Status.OPEN).any("draw").sum()):
        return f"no result: {missing} arms have not run"
    name = stores.stem_of(store)
    pictures: Mapping[str, Path] = {file.stem: file for file in figures if file.suffix == ".png"}
    primary = [estimand.kind for estimand in study.estimands if estimand.primary]
    figure = next((each for each in (*primary, *PAGE_FIGURES) if each in pictures), None)
    value = study_result.result(name, cube, summary, study, stores.provenance(store, cube), figure, predicted)
    replace(folder / f"{name}.json", study_result.dumps(value))
    picture = folder / f"{name}.png"
    if figure:
        with whole_files.output(picture) as whole:
            shutil.copyfile(pictures[figure], whole)
    else:
        picture.unlink(missing_ok=True)
    return f"result in {folder / name}.json"


def write_pages(out: Path = HERE) -> None:
    """Write the page of every result in ``out/results`` and, for the default folder, the gallery of studies."""
    from paper import pages

    own = out.resolve() == HERE.resolve()
    for file in pages.write(out / "results", pages.GALLERY if own else None):
        print(file)


if __name__ == "__main__":
    command.start(main)
