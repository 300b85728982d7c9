"""The command line of `python -m biasprop.audit`. Imports nothing heavy."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from biasprop.arguments import Parser
from biasprop.paths import user_path
from biasprop.terminal import quoted_option

SCORE_IS = ("probability", "percent", "log-odds", "ranking")
METHODS = ("formula", "bootstrap")


OF_TABLE = ("label", "score", "by", "person", "weight", "metadata", "on", "positive", "score_is", "bins", "split")
OF_TABLE += ("threshold", "gap", "threshold_from", "margin", "population", "net_benefit_at")
"""Options that say something of the columns of TABLE; those with defaults are not among them."""
OF_SCORES = ("score_is", "threshold", "threshold_from", "gap", "net_benefit_at")
"""Options that need --score."""


def arguments() -> argparse.ArgumentParser:
    """Every option, with its help."""
    parser = Parser(
        prog="python -m biasprop.audit",
        description="Measure a model's predictions by group of people, with intervals, and compare the groups. "
        "TABLE has one row per prediction (CSV or parquet); or, without --label, --score and --by, it is a table of "
        "results with the columns group, metric, mean and sd, which is drawn as it is.",
        epilog="exit codes: 0 finished, 1 bug, 2 bad input",
        allow_abbrev=False,
    )
    parser.add_argument("table", type=user_path, metavar="TABLE", help="predictions: CSV or parquet")
    add_options(parser)
    parser.add_argument(
        "--html", type=user_path, metavar="FILE", help="write verdicts, tables and figure as one HTML page"
    )
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an audit to the parser of a command that makes one."""
    add = parser.add_argument
    add("--label", metavar="COLUMN", help="disease: 0/1, yes/no, true/false and so on, or see --positive")
    add("--score", metavar="COLUMN", help="prediction; larger = disease is more likely")
    add(
        "--by", action="append", default=[], metavar="COLUMN[,COLUMN]", help="attributes that divide people into groups"
    )
    add("--person", "--patient", metavar="COLUMN", help="person; rows of one person are not taken as independent")
    add("--weight", metavar="COLUMN", help="sampling weight, 0 or more")
    add("--metadata", type=user_path, metavar="FILE", help="another table, with columns that TABLE lacks")
    add("--on", metavar="COLUMN", help="identifier by which rows of TABLE and --metadata are joined")
    add("--positive", metavar="VALUE", help="value of the label that stands for the disease; all others are without")
    add("--score-is", choices=SCORE_IS, help="default: probability if all scores are in [0, 1], else ranking")
    add(
        "--bins",
        action="append",
        default=[],
        metavar="COLUMN=A,B,C",
        help="cut numbers into the groups A to below B, B to below C, and C or more",
    )
    add("--split", metavar="COLUMN=VALUE", help="audit only these rows")
    add("--threshold", type=float, metavar="X", help="operating threshold, on the scale of the scores")
    add("--threshold-origin", metavar="TEXT", help="where --threshold comes from; kept with the result")
    add("--threshold-from", metavar="COLUMN=VALUE", help="set the threshold on these rows, which are not audited")
    add("--specificity", type=float, default=0.8, metavar="S", help="at which the threshold is set (default 0.8)")
    add("--net-benefit-at", type=float, metavar="P", help="threshold probability of net benefit (default: none)")
    add(
        "--gap",
        action="append",
        default=[],
        metavar="[COLUMN=]A,B",
        help="a gap that was stated in advance: A minus B, and no others (may be repeated)",
    )
    add("--margin", action="append", default=[], metavar="MEASURE=M", help="a gap of less than M does not matter")
    add(
        "--population",
        action="append",
        default=[],
        metavar="COLUMN=A:SHARE,B:SHARE",
        help="shares of groups in the population that the model is meant for",
    )
    add("--method", choices=METHODS, default="formula", help="variances: formula, or bootstrap (of people)")
    add("--resamples", type=int, default=2000, metavar="N", help="of a bootstrap (default 2000)")
    add("--seed", type=int, default=0, metavar="N", help="of a bootstrap (default 0)")
    add("--confidence", type=float, default=0.95, metavar="C", help="level of the intervals (default 0.95)")
    add("--json", action="store_true", help="print one JSON object on stdout instead of tables")
    add("--figure", type=user_path, metavar="FILE", help="draw the measures by group (.png, .svg or .pdf)")


def problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the options of the command, as far as it can be said before a table is read."""
    found = table_problems(options)
    if options.html:
        from biasprop.html import templates

        inputs = [file for file in (options.table, options.metadata) if file is not None]
        found += [f"--html {problem}" for problem in templates.unwritable(options.html, inputs)]
    return found


def table_problems(
    options: argparse.Namespace, needed: Sequence[str] = ("label", "score", "by"), keyed: bool = False
) -> list[str]:
    """What is wrong with the options of :func:`add_options`, as far as it can be said before a table is read.

    Args:
        options: of a parser with :func:`add_options`.
        needed: options that have to be given together, if any of :data:`OF_TABLE` is given.
        keyed: whether --on names the identifier of another file besides --metadata.
    """
    found = []
    given = {option(name): by(options) if name == "by" else getattr(options, name) for name in needed}
    missing = [name for name, value in given.items() if not value]
    if missing and len(missing) < len(given):
        found.append(f"{', '.join(missing)}: has to be given with {', '.join(n for n in given if n not in missing)}")
    if len(missing) == len(given):
        together = " and ".join([", ".join(list(given)[:-1]), list(given)[-1]])
        found += [f"{name}: needs {together}" for name in stated(options, OF_TABLE) if name not in given]
    if (options.metadata is None) != (options.on is None) and not (keyed and options.metadata is None):
        found.append("--metadata and --on: have to be given together")
    if options.threshold is not None and options.threshold_from:
        found.append("--threshold-from: cannot be combined with --threshold")
    if options.threshold_origin is not None and options.threshold is None:
        found.append("--threshold-origin: needs --threshold")
    for name, value in (("specificity", options.specificity), ("confidence", options.confidence)):
        if not (0.0 < value < 1.0 or (name == "specificity" and value == 1.0)):
            found.append(f"--{name} {value:g}: has to be a share above 0 and below 1")
    if options.net_benefit_at is not None and not 0.0 < options.net_benefit_at < 1.0:
        found.append(f"--net-benefit-at {options.net_benefit_at:g}: has to be a probability above 0 and below 1")
    if options.threshold is not None and not math.isfinite(options.threshold):
        found.append(f"--threshold {options.threshold}: has to be a finite number")
    if not 100 <= options.resamples <= 1_000_000:
        found.append(f"--resamples {options.resamples}: has to be 100 to 1000000")
    if not 0 <= options.seed < 2**32:
        found.append(f"--seed {options.seed}: has to be 0 to {2**32 - 1}")
    for name in ("bins", "population", "margin"):
        wrong = [text for text in getattr(options, name) if "=" not in text]
        found += [f"{quoted_option(option(name), text)}: has to be NAME=VALUES" for text in wrong]
        names = [text.rpartition("=")[0].strip() for text in getattr(options, name)]
        found += [
            f"{quoted_option(option(name), one)}: is given twice"
            for one in dict.fromkeys(names)
            if names.count(one) > 1
        ]
    for name in ("split", "threshold_from"):
        text = getattr(options, name)
        if text is not None and "=" not in text:
            found.append(f"{quoted_option(option(name), text)}: has to be COLUMN=VALUE, such as split=test")
    if options.figure:
        from biasprop.report.plotting import unwritable

        inputs = [file for file in (options.table, options.metadata) if file is not None]
        found += [f"--figure {problem}" for problem in unwritable(options.figure, inputs)]
    return found


def option(name: str) -> str:
    """The option whose value has this name: ``threshold_from`` -> ``--threshold-from``."""
    return f"--{name.replace('_', '-')}"


def stated(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Those of the options that have a value."""
    return [option(name) for name in names if getattr(options, name) not in (None, [])]


def by(options: argparse.Namespace) -> list[str]:
    """Names of the attributes, in order, each once."""
    names = [name.strip() for text in options.by for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def named_values(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUES`` options by name; names differ (see :func:`problems`)."""
    pairs = (text.rpartition("=") for text in texts)
    return {name.strip(): values.strip() for name, _, values in pairs}
