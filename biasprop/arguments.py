"""The command line of `python -m biasprop.run`. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from biasprop.paths import output_problems, user_path
from biasprop.terminal import clipped

ALIASES = {"--power": "--precision", "--ledger": "--difficulty"}
"""Former spelling of an option, still accepted but not shown -> its name."""


MAX_MESSAGE = 500
"""Characters of a message, which quotes values of any length."""


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, with the option that was probably meant, and exit with code 2."""
        from difflib import get_close_matches

        known = [option for action in self._actions for option in action.option_strings]
        unknown = [word.partition("=")[0].rstrip(":") for word in message.split() if word.startswith("--")]
        close = [match for word in unknown if word not in known for match in get_close_matches(word, known, n=1)]
        question = f"; did you mean {' '.join(ALIASES.get(option, option) for option in close)}?" if close else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {clipped(message, MAX_MESSAGE)}{question}\n")


def arguments() -> argparse.ArgumentParser:
    """Every option, with its help."""
    parser = Parser(
        prog="python -m biasprop.run",
        description="Run a study: compute what is missing, store it, and report estimates with intervals and verdicts.",
        epilog="exit codes: 0 finished, 1 bug, 2 bad input, 3 arms without a result, 4 --verify found a difference, "
        "130 interrupted",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("study", type=user_path, metavar="STUDY", help="study file (TOML)")
    add("--smoke", action="store_true", help="run a test version of the study (small images, few subjects), in seconds")
    add("--scale", metavar="NAME", help="apply the study's table [scale.NAME]")
    add("--plan", action="store_true", help="print what would run and how long it would take, and stop")
    add(
        "--list",
        action="store_true",
        help="print pretrained cells and their fine-tuning arms with status, and stop",
    )
    add(
        "--precision",
        type=float,
        metavar="W",
        help="print the number of replicates needed for 95 %% intervals of half-width W, and stop",
    )
    add(
        "--difficulty",
        action="store_true",
        help="print the AUC of ideal observers and of a trained network in each subgroup, and stop",
    )
    add(
        "--verify",
        nargs="?",
        const="5",
        metavar="SAMPLE",
        help="recompute SAMPLE finished arms (a number, default 5, or a fraction, such as 0.1), compare, and stop",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a study key, such as finetuning.labels=500",
    )
    add("--only", action="append", default=[], metavar="FACTOR=LEVEL", help="run only this level (may be repeated)")
    add("--replicates", type=int, metavar="N", help="number of replicates, instead of the study's")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes (default: one per core, none for a short run; 0: compute in this process)",
    )
    add("--scheduler", metavar="ADDRESS|FILE", help="compute on the workers of this dask scheduler")
    add(
        "--shard",
        type=_shard,
        metavar="K/N",
        help="compute only part K of N (K from 0), for array jobs; no report",
    )
    add(
        "--out",
        type=user_path,
        default=Path("results"),
        metavar="DIR",
        help="folder of result stores (default: results)",
    )
    add("--json", action="store_true", help="print one JSON object on stdout at the end")
    add("--netcdf", type=user_path, metavar="FILE", help="also export the results of all arms as NetCDF")
    add("--csv", type=user_path, metavar="FILE", help="also export all estimates as CSV, one row per estimate")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="print no progress")
    loudness.add_argument("-v", "--verbose", action="store_true", help="print one line per arm, and all tables")
    add("--power", dest="precision", type=float, help=argparse.SUPPRESS)
    add("--ledger", dest="difficulty", action="store_true", help=argparse.SUPPRESS)
    return parser


def problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the options, as far as it can be said before anything is loaded."""
    found = []
    if options.workers is not None and not 0 <= options.workers <= 4096:
        found.append(f"--workers {options.workers}: has to be 0 (in this process) to 4096")
    if options.scheduler is not None and options.workers is not None:
        found.append("--workers: cannot be combined with --scheduler, which has workers of its own")
    if options.scheduler is not None and options.shard is not None:
        found.append("--shard: cannot be combined with --scheduler, which distributes cells itself")
    if options.precision is not None and not 0 < options.precision < float("inf"):
        found.append(f"--precision {options.precision:g}: has to be a half-width above 0")
    if os.path.exists(options.out) and not os.path.isdir(options.out):
        found.append(f"--out {options.out}: is a file; has to be a folder")
    for option, file in (("--netcdf", options.netcdf), ("--csv", options.csv)):
        found += [f"{option} {file}: {problem}" for problem in output_problems(file, [options.study])] if file else []
    if options.netcdf and options.csv and os.path.realpath(options.netcdf) == os.path.realpath(options.csv):
        found.append(f"--csv {options.csv}: is also the file of --netcdf")
    if options.netcdf and not find_spec("h5netcdf"):
        found.append("--netcdf: needs h5netcdf; install it with: pip install 'biasprop[netcdf]'")
    return found


def _shard(text: str) -> tuple[int, int]:
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and int(k) < int(n) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 0 to N - 1, such as 0/16")
    return int(k), int(n)
