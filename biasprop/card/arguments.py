"""The command line of `python -m biasprop.card`: options of an audit and its own. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from biasprop.arguments import Parser
from biasprop.audit import arguments as audit_arguments
from biasprop.paths import output_problems, user_path

FORMATS = (".md", ".html", ".json")
"""Endings of --out."""


def arguments() -> argparse.ArgumentParser:
    """Every option, with its help."""
    parser = Parser(
        prog="python -m biasprop.card",
        description="Answer four questions before a model is adopted: its scope, whose data it has seen, how it does "
        "in subgroups, and how many labels it needs. TABLE has one row per prediction (CSV or parquet), and is audited "
        "as by python -m biasprop.audit; fields that are left out are printed as not stated.",
        epilog="exit codes: 0 finished, 1 bug, 2 bad input",
        allow_abbrev=False,
    )
    parser.add_argument("table", nargs="?", type=user_path, metavar="TABLE", help="predictions: CSV or parquet")
    audit_arguments.add_options(parser)
    add = parser.add_argument
    add("--facts", type=user_path, metavar="FILE", help="what the vendor or others state (TOML)")
    add(
        "--embeddings",
        type=user_path,
        metavar="FILE[:NAME]",
        help="features for each row of TABLE (.npz, .npy, .zarr, CSV or parquet), in order or joined by --on; NAME of "
        "several arrays; TABLE then needs no --score",
    )
    add("--study", type=user_path, metavar="FOLDER", help="store of a study of this package, results/NAME-DIGEST")
    add(
        "--out",
        action="append",
        default=[],
        type=user_path,
        metavar="FILE",
        help="write the card as .md, .html or .json (may be repeated; default: Markdown on stdout)",
    )
    return parser


def problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the options, as far as it can be said before a file is read."""
    needed = ("label", "by") if options.embeddings else ("label", "score", "by")
    found = []
    if options.table is None:
        wanted = (*audit_arguments.OF_TABLE, "embeddings", "figure")
        found += [f"{name}: needs TABLE" for name in audit_arguments.stated(options, wanted)]
        if not (options.facts or options.study or found):
            found.append("give TABLE, --facts or --study; a card needs something to read")
    else:
        if not any(getattr(options, name) for name in needed):
            names = ", ".join(map(audit_arguments.option, needed))
            found.append(f"TABLE {options.table}: needs {names}")
        found += audit_arguments.table_problems(options, needed, keyed=options.embeddings is not None)
        if not options.score:
            of_scores = audit_arguments.stated(options, (*audit_arguments.OF_SCORES, "figure"))
            found += [f"{name}: needs --score" for name in of_scores if options.embeddings]
    inputs = [file for file in (options.table, options.metadata, options.facts) if file]
    if options.embeddings:
        from biasprop.datasets.arrays import array_name

        inputs.append(array_name(str(options.embeddings))[0])
    for file in options.out:
        if file.suffix.lower() not in FORMATS:
            found.append(f"--out {file}: ends in {file.suffix or 'nothing'}; allowed: {', '.join(FORMATS)}")
        else:
            found += [f"--out {file}: {problem}" for problem in output_problems(file, inputs)]
    places = [os.path.realpath(file) for file in _written(options)]
    found += [f"{place}: is written twice" for place in dict.fromkeys(places) if places.count(place) > 1]
    return found


def _written(options: argparse.Namespace) -> list[Path]:
    return [*options.out, *([options.figure] if options.figure else [])]
