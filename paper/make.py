"""`python -m paper.make`: figures and numbers of every finished study under ``results/``.

Writes ``paper/output/<study>/`` (figures), ``paper/numbers.json`` (each number with its store, the arm it belongs to
and the function that made it) and ``paper/numbers.tex`` (the same as macros, and the captions). Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Make everything.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        0, or 2 if there is nothing to make it from.
    """
    parser = argparse.ArgumentParser(prog="python -m paper.make", description="Draw figures and collect numbers.")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="where the stores lie")
    parser.add_argument("--study", metavar="NAME", help="one study, or one store by its folder's name, and no other")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (paper/)")
    given = parser.parse_args(argv)

    from biasprop.component import InputError

    try:
        make(given.results, given.study, given.out)
    except InputError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    return 0


def make(results: Path, name: str | None = None, out: Path = HERE) -> None:
    """Draw figures and collect numbers.

    Args:
        results: folder of stores.
        name: a study's name, or a store's; None takes the newest store of every study.
        out: folder of ``output/``, ``numbers.json`` and ``numbers.tex``.

    Raises:
        InputError: there is no such store, or a store cannot be read.
    """
    from biasprop.report.figures import draw_all, skipped
    from biasprop.report.results import study_of
    from biasprop.statistics.estimate import estimates
    from biasprop.statistics.measures import measure
    from paper import numbers
    from paper.figures import FIGURES

    collected: list[numbers.Number] = []
    for store, cube in stores(results, name).items():
        study = study_of(cube, store)
        if study.digest != cube.attrs["digest"]:
            print(f"{store.name}: left out: this version of the package would give it other numbers; run it again")
            continue
        measures = measure(cube, study.evaluation.target_specificity)
        found = estimates(measures, study.estimands)
        folder = out / "output" / study.stem
        files = draw_all(cube, found, folder, study, {figure: draw for figure, (draw, _) in FIGURES.items()})
        print(f"{store.name}: {len(files)} files in {folder}")
        for figure, reason in skipped(folder).items():
            print(f"{store.name}: no {figure}: {reason}")
        collected += numbers.of_estimates(study.stem, store.name, found)
        collected += numbers.of_levels(study.stem, store.name, measures)
    captions = {figure: caption for figure, (_, caption) in FIGURES.items()}
    _write(out / "numbers.json", json.dumps([number.entry() for number in collected], indent=1) + "\n")
    _write(out / "numbers.tex", numbers.macros(collected, captions))
    print(f"{len(collected)} numbers in {out / 'numbers.json'} and {out / 'numbers.tex'}")


def stores(results: Path, name: str | None) -> dict[Path, xr.Dataset]:
    """The newest store of each study, by name, with its cube.

    Unless a store is named outright, only those count that were run as their study file says: no smoke runs, nothing
    overridden (a named scale of the file is part of it).

    Raises:
        InputError: there is none, or the one that is named cannot be read.
    """
    from biasprop.component import InputError
    from biasprop.report.results import overrides
    from biasprop.store.view import open_cube

    newest: dict[str, tuple[Path, xr.Dataset]] = {}
    found = {file.relative_to(results).parts[0]: file.stat().st_mtime for file in _metadata(results)}
    for store in sorted(map(results.joinpath, found), key=lambda store: found[store.name]):
        stem = store.name.rpartition("-")[0]
        if name not in (None, stem, store.name):
            continue
        try:
            cube = open_cube(store)
        except InputError as error:  # such as a store of an earlier format
            if name is not None:
                raise
            print(f"left out: {error}", file=sys.stderr)
            continue
        recorded = overrides(cube) or {}
        if name == store.name or not (recorded.get("smoke") or recorded.get("set")):
            newest[stem] = store, cube
    if not newest:
        what = f"of {name!r}" if name else "of any study"
        raise InputError(f"{results}: there is no store {what}; run `python -m biasprop.run STUDY` first")
    return dict(newest[stem] for stem in sorted(newest))


def _metadata(results: Path) -> list[Path]:
    """Of every store, those of earlier formats included, which then are named as left out."""
    return [*results.glob("*-*/zarr.json"), *results.glob("*-*/cube.zarr/zarr.json")]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


if __name__ == "__main__":
    sys.exit(main())
