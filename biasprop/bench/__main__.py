"""`python -m biasprop.bench STUDY`: how fast this machine runs a study, and how far that is from its own ceiling.

The ceiling of a stage is the time its matrix products take on their own: each is compiled separately with the shapes
of the stage, in the faster of two orders of axes, and writes into the memory of the previous result. What a stage
achieves is that time divided by its own. Products are counted in the traced functions. Networks are untrained, which
takes as long as trained, and no results are written.

Exit codes: 0 done, 1 a bug, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from biasprop import command, terminal
from biasprop.paths import user_path

PARTS = ("ceilings", "stages", "compile", "scaling")
"""What can be measured, in this order."""


def arguments() -> argparse.ArgumentParser:
    """The command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="python -m biasprop.bench",
        description="How fast this machine runs a study, compared with its matrix products on their own.",
        epilog="exit codes: 0 done, 1 bug, 2 bad input, 130 interrupted",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("study", type=user_path, metavar="STUDY", help="study file (TOML)")
    add(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help=f"only measure: {', '.join(PARTS)} (repeatable)",
    )
    add("--quick", action="store_true", help="fewer timings, and no compilation without the cache")
    add("--repeats", type=int, metavar="N", help="timings per item (default 7; with --quick 3)")
    add("--width", type=int, default=0, metavar="N", help="cells per batch (default: as many as fit; 1 on a CPU)")
    add("--smoke", action="store_true", help="use a miniature of the study")
    add("--scale", metavar="NAME", help="apply the study's table [scale.NAME]")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the study")
    add("--json", action="store_true", help="one JSON object on stdout instead of tables")
    add("-q", "--quiet", action="store_true", help="no progress")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    terminal.configure()
    given = arguments().parse_args(argv)
    from biasprop.hardware import environment

    environment.configure()
    try:
        return command.explained(lambda: _run(given))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    _check(given)
    from biasprop.hardware import device

    with device.computing():
        found = measure(given)
    if given.json:
        print(json.dumps(found, allow_nan=False))
    else:
        from biasprop.bench.tables import text

        print(text(found), end="")
    return 0


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure what is asked for, as one JSON object.

    Raises:
        InputError: the study cannot be used.
    """
    from biasprop.bench import programs, scaling
    from biasprop.bench.ceilings import ProductTimer, rate_by_role
    from biasprop.bench.operations import flops
    from biasprop.bench.stages import Workload
    from biasprop.bench.timing import load, timed
    from biasprop.hardware import device
    from biasprop.study import design
    from biasprop.study.load import load_study

    study = load_study(given.study, tuple(given.set), given.scale, given.smoke)
    parts = given.only or PARTS
    repeats = given.repeats or (3 if given.quick else 7)
    width = given.width or device.width(design.bytes_per_cell(study))
    sharing = device.sharing(width)
    found: dict[str, Any] = {
        "study": study.stem,
        "digest": study.digest,
        "width": width,
        "fingerprint": device.fingerprint(width // sharing, sharing),
        "machine": {"before": load()},
        "repeats": repeats,
    }
    workload, timer = Workload(study, width), ProductTimer(repeats)
    if set(parts) & {"ceilings", "stages", "compile"}:
        found["stages"], found["ceilings"] = [], []
        for stage in workload.stages():
            _progress(given, f"timing {stage.name}")
            counts = stage.count()
            ceilings = timer.ceilings(counts, stage.work)
            products = timer.total(counts) / sharing
            if stage.name == "pretraining step" or not found["ceilings"]:
                found["ceilings"] = [ceiling.as_json() for ceiling in ceilings]
                found["roles"] = {"stage": stage.name} | {
                    role: rate / 1e9 for role, rate in rate_by_role(ceilings).items()
                }
            row: dict[str, Any] = {"stage": stage.name, "unit": stage.unit, "work": stage.work}
            row |= {"flops": flops(counts) / stage.work, "products_s": products / stage.work}
            if "stages" in parts:
                seconds = timed(stage.run, repeats)
                row |= seconds.as_json(stage.work)
                row |= {"gflops": flops(counts) / seconds.best / 1e9, "achieved": products / seconds.best}
            found["stages"].append(row)
        found["memory"] = programs.peak_memory()
    if "compile" in parts:
        _progress(given, f"compiling {len(workload.programs)} programs")
        costs = programs.costs(workload.programs.values(), compile=not given.quick)
        found["programs"] = [cost._asdict() for cost in costs]
    if "scaling" in parts and workload.cell.condition.pretraining.objective.trains:
        found["scaling"] = []
        for point in scaling.points(study, min(repeats, 3), not device.is_cpu()):
            _progress(given, f"{point.axis} {point.at}: {1e6 * point.seconds:.0f} us")
            found["scaling"].append(point._asdict())
    found["machine"]["after"] = load()
    return found


def _check(given: argparse.Namespace) -> None:
    from biasprop.component import InputError
    from biasprop.study.problems import suggestion

    problems = [
        f"--only {part}: there is no such part; {suggestion(part, PARTS)}" for part in given.only if part not in PARTS
    ]
    if given.repeats is not None and not 1 <= given.repeats <= 1_000:
        problems.append(f"--repeats {given.repeats}: has to be 1 to 1000")
    if not 0 <= given.width <= 4_096:
        problems.append(f"--width {given.width}: has to be 1 to 4096")
    if problems:
        raise InputError(problems)


def _progress(given: argparse.Namespace, line: str) -> None:
    if not given.quiet:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    command.start(main)
