"""`python -m biasprop.coverage`: coverage of intervals, and zones by true effect, on simulated studies.

The package offers an interval at a number of replicates only if the share of studies in which it contains the truth is
95 % within Monte Carlo error, and a verdict only if it is wrong in at most 5 % of them. Others, some of them wrong on
purpose, go through the same check. The power of verdicts (the share of studies in which the right zone is given) is
printed beside them. The last table has the operating characteristics of an adoption card.

Exit codes: 0 everything that the package offers passes; 2 bad input; 3 something fails (it is named).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from biasprop import command, terminal
from biasprop.paths import user_path

SEED = 20_262
STUDIES = 10_000
REPLICATES = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
WIDE = 80
"""Width of the column of names, in characters."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    terminal.configure()
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.coverage",
        description="Coverage of intervals and error rates of verdicts on simulated studies; takes about a minute.",
        epilog="exit codes: 0 everything that the package offers passes, 2 bad input, 3 something fails",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--studies", type=int, default=STUDIES, metavar="N", help=f"number of simulated studies ({STUDIES})")
    add("--seed", type=int, default=SEED, metavar="N", help=f"seed of the simulated studies ({SEED})")
    add("--normal", action="store_true", help="simulate normal results instead of skewed ones")
    add("--json", action="store_true", help="one JSON object on stdout instead of tables")
    add("--figure", type=user_path, metavar="FILE", help="draw coverage against replicates (.png, .svg or .pdf)")
    given = parser.parse_args(argv)
    return command.explained(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    _check(given)
    from biasprop.coverage import cards, stability
    from biasprop.coverage.intervals import rows
    from biasprop.coverage.verdicts import rates

    skew: dict[str, Any] = {"skew": 0.0} if given.normal else {}
    covered = rows(given.seed, given.studies, REPLICATES, **skew)
    wrong, zones = rates(given.seed, given.studies, REPLICATES, **skew)
    stable = stability.rows(given.seed, given.studies, **skew)
    said = cards.rates(given.seed, given.studies)
    if given.json:
        found = {"intervals": covered, "verdicts": wrong, "stability": stable, "cards": said}
        shares = {name: [asdict(row) | {"passes": row.passes} for row in table] for name, table in found.items()}
        shares["zones"] = [asdict(row) for row in zones]
        print(json.dumps(_finite({"seed": given.seed, "studies": given.studies} | shares), allow_nan=False))
    else:
        last = *stability.lines(stable), "", *cards.lines(said)
        print(*_tables(covered, wrong, given.studies), *_zones(zones), "", *last, sep="\n")
    if given.figure:
        from biasprop.coverage import ERRORS, TOLERANCE
        from biasprop.report.figures.coverage import draw
        from biasprop.report.plotting import save_as

        save_as(draw(covered, TOLERANCE, ERRORS), given.figure)
    failed = [row for row in (*covered, *wrong, *stable, *said) if row.offered and not row.passes]
    if failed:
        print("offered by the package, but fails the check:", *failed, sep="\n", file=sys.stderr)
    return 3 if failed else 0


def _check(given: argparse.Namespace) -> None:
    from biasprop.component import InputError
    from biasprop.report.plotting import unwritable

    problems = []
    if not 100 <= given.studies <= 100_000:
        problems.append(f"--studies {given.studies}: has to be 100 to 100000")
    if not 0 <= given.seed < 2**32:
        problems.append(f"--seed {given.seed}: has to be 0 to {2**32 - 1}")
    problems += [f"--figure {problem}" for problem in (unwritable(given.figure) if given.figure else ())]
    if problems:
        raise InputError(problems)


def _tables(covered: Sequence[Any], wrong: Sequence[Any], studies: int) -> list[str]:
    from biasprop.coverage import ERRORS, TOLERANCE

    head = f"{'replicates':<{WIDE}}" + "".join(f"{n:>10}" for n in REPLICATES)
    error = 100 * min(row.error for row in covered)
    lines = [
        f"Coverage of 95 % intervals in {studies} simulated studies, %, and below it their median width. Monte Carlo",
        f"standard error {error:.2f}; ! = off by more than {100 * TOLERANCE:g} and {ERRORS:g} errors (Bonferroni: "
        "below 95);",
        "/n = defined in n % of the studies; in brackets: not offered by the package.",
        head,
    ]
    for key in dict.fromkeys((row.interval, row.estimand) for row in covered):
        group = [row for row in covered if (row.interval, row.estimand) == key]
        lines.append(f"{f'{key[0]}: {key[1]}':<{WIDE}}" + "".join(f"{_share(row):>10}" for row in group))
        lines.append(" " * WIDE + "".join(f"{row.width:>10.3f}" for row in group))
    lines += [
        "",
        f"Wrong verdicts, % of the studies; allowed: {100 * wrong[0].limit:g}; in brackets: not offered by the package",
        head,
    ]
    for name in dict.fromkeys(rate.error for rate in wrong):
        group = [rate for rate in wrong if rate.error == name]
        lines.append(f"{name:<{WIDE}}" + "".join(f"{_marked(100 * r.rate, r.offered, r.passes):>10}" for r in group))
    return lines


def _zones(zones: Sequence[Any]) -> list[str]:
    """Lines of the power of primary verdicts, and of how often each zone is given."""
    head = f"{'replicates':<{WIDE}}" + "".join(f"{n:>10}" for n in REPLICATES)
    lines = ["", "Zones of the primary estimate, % of the studies; * = the right zone, whose share is the power", head]
    for estimand, effect in dict.fromkeys((row.estimand, row.effect) for row in zones):
        group = [row for row in zones if (row.estimand, row.effect) == (estimand, effect)]
        for word in group[0].shares:
            name = f"{estimand}, true effect {effect:g} margins: {word}{'*' * (word == group[0].right)}"
            lines.append(f"{name:<{WIDE}}" + "".join(f"{100 * row.shares[word]:>10.1f}" for row in group))
    return lines


def _share(row: Any) -> str:
    text = _marked(100 * row.coverage, row.offered, row.passes)
    return text if row.given > 0.995 else f"{text}/{100 * row.given:.0f}"


def _marked(share: float, offered: bool, passes: bool) -> str:
    text = f"{share:.1f}{'' if passes else '!'}"
    return text if offered else f"({text})"


def _finite(value: Any) -> Any:
    from biasprop.statistics.summary import plain

    return plain(value)


if __name__ == "__main__":
    command.start(main)
