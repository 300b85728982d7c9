"""The command line of `python -m biasprop.run`. Imports nothing heavy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """argparse that asks whether another option was meant."""

    def error(self, message: str) -> NoReturn:
        from difflib import get_close_matches

        known = [option for action in self._actions for option in action.option_strings]
        wrong = [word.partition("=")[0].rstrip(":") for word in message.split() if word.startswith("--")]
        close = [match for word in wrong if word not in known for match in get_close_matches(word, known, n=1)]
        asked = f"; did you mean {' '.join(close)}?" if close else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}{asked}\n")


def arguments() -> argparse.ArgumentParser:
    """Every option, with its help."""
    parser = _Parser(
        prog="python -m biasprop.run",
        description="Run a study: compute what is missing, save it, and report estimates with intervals and verdicts.",
        epilog="exit codes: 0 finished, 1 bug, 2 bad input, 3 arms went wrong, 4 --verify differs, 130 interrupted",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("study", type=Path, metavar="STUDY", help="study file (TOML)")
    add("--smoke", action="store_true", help="the same study with small numbers, in seconds")
    add("--scale", metavar="NAME", help="apply the study's table [scale.NAME]")
    add("--plan", action="store_true", help="say what would be run and how long it takes, and stop")
    add("--list", action="store_true", help="list cells and arms with their status, and stop")
    add("--power", type=float, metavar="W", help="say how many replicates intervals of half-width W need, and stop")
    add("--ledger", action="store_true", help="say how hard each subgroup is, with a network from scratch, and stop")
    add("--verify", nargs="?", const="5", metavar="SAMPLE", help="compute finished arms again (5), compare, and stop")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, such as finetuning.labels=500")
    add("--only", action="append", default=[], metavar="FACTOR=LEVEL", help="run only this level (may be repeated)")
    add("--replicates", type=int, metavar="N", help="instead of the study's number")
    add("--workers", type=int, metavar="N", help="processes (one per core, none for a short run; 0: none)")
    add("--scheduler", metavar="ADDRESS|FILE", help="compute on the workers of this dask scheduler")
    add("--shard", type=_shard, metavar="K/N", help="compute only part K of N (K from 0), for array jobs; no report")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder of stores (results)")
    add("--json", action="store_true", help="one JSON object on stdout at the end")
    add("--netcdf", type=Path, metavar="FILE", help="export the cube as well")
    add("--csv", type=Path, metavar="FILE", help="export all estimates as well, a row each")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="no progress")
    loudness.add_argument("-v", "--verbose", action="store_true", help="a line for every arm")
    return parser


def _shard(text: str) -> tuple[int, int]:
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and int(k) < int(n) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no K/N with K from 0 to N - 1, such as 0/16")
    return int(k), int(n)
