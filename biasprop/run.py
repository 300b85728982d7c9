"""`python -m biasprop.run STUDY`: parse, plan, run, save, report. No science in here.

Exit codes: 0 finished; 1 a bug, with its traceback; 2 bad input; 3 finished, but arms diverged or failed (they are
named); 130 interrupted (the command that resumes is printed).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.design import Cell
    from biasprop.ledger import Entry
    from biasprop.progress import Progress
    from biasprop.statistics.summary import Summary
    from biasprop.status import Status
    from biasprop.study import Study

TABLE_WIDTH = 200
"""Columns of tables that do not go to a terminal."""


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
    """The command line; imports nothing heavy."""
    parser = _Parser(
        prog="python -m biasprop.run",
        description="Run a study: compute what is missing, save it, and report estimates with intervals and verdicts.",
        epilog="exit codes: 0 finished, 1 bug, 2 bad input, 3 arms diverged or failed, 130 interrupted",
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
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, such as finetuning.labels=500")
    add("--only", action="append", default=[], metavar="FACTOR=LEVEL", help="run only this level (may be repeated)")
    add("--replicates", type=int, metavar="N", help="instead of the study's number")
    add("--workers", type=int, metavar="N", help="processes (one per core, none for a short run; 0: none)")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder of stores (results)")
    add("--json", action="store_true", help="one JSON object on stdout at the end")
    add("--netcdf", type=Path, metavar="FILE", help="export the cube as well")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="no progress")
    loudness.add_argument("-v", "--verbose", action="store_true", help="a line for every arm")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given = arguments().parse_args(words)
    prepare()
    try:
        return _answered(given)
    except KeyboardInterrupt:
        print(f"interrupted; to resume: python -m biasprop.run {shlex.join(words)}", file=sys.stderr)
        return 130


def prepare() -> None:
    """What has to be set before JAX is imported by a command that computes."""
    # One thread a compute process, so that bits do not depend on the number of cores.
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if Path("/dev/nvidia0").exists():  # a GPU adds in a fixed order only when it is told to
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def run_study(
    study: Study | str | Path,
    out: str | Path = "results",
    *,
    only: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Compute what is missing of a study and open its cube.

    Args:
        study: from ``load_study``, or the path of a study file.
        out: folder of stores.
        only: ``FACTOR=LEVEL`` choices; all arms without any.
        workers: compute processes, 0 for none; by default as many as fit the device.
        progress: is told what happens; by default nothing is shown.

    Returns:
        The cube, with NaN where arms are not finished.

    Raises:
        InputError: the study, a choice or the store cannot be used.
    """
    from biasprop import design, sweep
    from biasprop.progress import make
    from biasprop.study import load_study

    if not hasattr(study, "factors"):
        study = load_study(study)  # pyright: ignore[reportArgumentType]
    assert not isinstance(study, str | Path)
    chosen = design.chosen(study, only)  # pyright: ignore[reportArgumentType]
    store = study.store(out)  # pyright: ignore[reportAttributeAccessIssue]
    sweep.run(study, store, only=chosen, workers=workers, progress=progress or make(quiet=True))
    _entries(study, store)  # pyright: ignore[reportArgumentType]
    return _open(study, store)  # pyright: ignore[reportArgumentType]


def _answered(given: argparse.Namespace) -> int:
    """Run, and name what is wrong with the input."""
    from biasprop.component import InputError

    try:
        return _run(given)
    except InputError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    _check(given)
    from biasprop import design, plan
    from biasprop.study import load_study

    study = load_study(given.study, given.set, given.scale, given.smoke, given.replicates)
    only = design.chosen(study, given.only)
    cells = design.cells(study, only)
    store = study.store(given.out)
    if given.power is not None:
        print(_precision(study, store, given.power), end="")
        return 0
    if given.ledger:
        print(_difficulty(given, study, store), end="")
        return 0
    if not (given.plan or given.list):
        _name_damage(store)
    planned = plan.plan(study, cells, given.out, given.workers, resolution=given.plan)
    if given.plan or given.list:
        print(*(planned.lines() if given.plan else plan.listing(cells, plan.arm_status(study, cells, store))), sep="\n")
        return 0
    if not given.quiet:
        print(planned.line(), file=sys.stderr)
    if planned.arms_done < planned.arms:
        _compute(given, study, store, only, planned.workers)
    else:
        _restate(study, store)
    entries = _entries(study, store)
    report = _report(study, store, entries)
    if given.netcdf:
        from biasprop.cube import export_netcdf

        export_netcdf(_open(study, store), given.netcdf)
    status = plan.arm_status(study, cells, store)
    if given.json:
        print(json.dumps(_object(study, store, cells, status, report), allow_nan=False))
    else:
        print(report["tables"])
        if not given.quiet:
            print(*_figure_lines(report), sep="\n", file=sys.stderr)
    return _judge(cells, status)


def _check(given: argparse.Namespace) -> None:
    """Arguments that can be refused before anything is loaded."""
    from biasprop.component import InputError

    problems = []
    if given.workers is not None and not 0 <= given.workers <= 4096:
        problems.append(f"--workers {given.workers}: has to be 0 (in this process) to 4096")
    if given.power is not None and not 0 < given.power < float("inf"):
        problems.append(f"--power {given.power:g}: has to be a half-width above 0")
    if given.out.exists() and not given.out.is_dir():
        problems.append(f"--out {given.out}: is a file; has to be a folder")
    if given.netcdf and not given.netcdf.parent.is_dir():
        problems.append(f"--netcdf {given.netcdf}: there is no folder {given.netcdf.parent}")
    if given.netcdf and not find_spec("h5netcdf"):
        problems.append("--netcdf: needs h5netcdf; install it with: pip install 'biasprop[netcdf]'")
    if given.netcdf and given.netcdf.is_dir():
        problems.append(f"--netcdf {given.netcdf}: is a folder; has to be a file")
    if problems:
        raise InputError(problems)


def _precision(study: Study, store: Path, half_width: float) -> str:
    """What ``--power`` prints; reads the store, if there is one, and writes nothing."""
    from biasprop import report
    from biasprop.statistics.measures import measure
    from biasprop.statistics.precision import precision

    there = store.exists()
    measures = measure(_open(study, store).load(), study.evaluation.target_specificity) if there else None
    return report.precision_text(precision(measures, study.estimands, half_width), half_width, TABLE_WIDTH)


def _difficulty(given: argparse.Namespace, study: Study, store: Path) -> str:
    """What ``--ledger`` prints; a network is trained where none was, and the store, if there is one, keeps it all."""
    from biasprop import ledger, report

    def tell(line: str) -> None:
        if not given.quiet:
            print(line, file=sys.stderr)

    there = store.exists()
    entries = ledger.made(study, store if there else None, learn=True, tell=tell)
    if there:
        ledger.keep(store, entries)
    if given.json:
        told = {"study": study.stem, "digest": study.digest, "ledger": ledger.as_json(entries)}
        return json.dumps(told, allow_nan=False) + "\n"
    summary = _summary(study, _open(study, store).load(), entries) if there else None
    return report.text(ledger.tables(study, entries, summary), TABLE_WIDTH)


def _compute(given: argparse.Namespace, study: Study, store: Path, only: Mapping[str, Any], workers: int) -> None:
    from biasprop import progress, sweep

    shown = progress.make(given.quiet, given.verbose)
    try:
        sweep.run(study, store, only=only, workers=workers, progress=shown)
    finally:
        shown.finish()


def _name_damage(store: Path) -> None:
    """Open damaged arms again before anything is planned, and name them."""
    from biasprop.cube import Store

    if store.exists():
        for damage in Store.open(store).verify():
            print(f"damaged, opened again: {damage}", file=sys.stderr)


def _restate(study: Study, store: Path) -> None:
    """Nothing to compute: only the study's words and estimands may be new to the store."""
    from biasprop.cube import Store
    from biasprop.design import layout
    from biasprop.provenance import attributes

    Store.create_or_grow(store, layout(study), attributes(study))


def _entries(study: Study, store: Path) -> list[Entry]:
    """The difficulty ledger, kept with the store."""
    from biasprop import ledger

    entries = ledger.made(study, store)
    ledger.keep(store, entries)
    return entries


def _report(study: Study, store: Path, entries: Sequence[Entry]) -> dict[str, Any]:
    """Tables, estimates and figures; from the store's cache while scores, ledger, estimands and code are the same."""
    from shutil import get_terminal_size

    from biasprop import kept

    width = max(get_terminal_size().columns, 100) if sys.stdout.isatty() else TABLE_WIDTH
    key = _report_key(study, store, entries, width)
    made = kept.cached(store, key, lambda: _make_report(study, store, entries, width))
    if not all(Path(path).is_file() for path in made["figures"]):
        made = _make_report(study, store, entries, width)
    return made


def _report_key(study: Study, store: Path, entries: Sequence[Entry], width: int) -> str:
    import hashlib

    from biasprop import ledger
    from biasprop.cube import Store

    here = Path(__file__).parent
    files = [here / "report.py", here / "plotting.py", here / "ledger.py"]
    files += [file for room in ("metrics", "statistics", "figures") for file in sorted((here / room).glob("*.py"))]
    code = hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()
    scores = Store.open(store, writable=False).scores_digest()
    parts = [scores, code, study.model_dump(mode="json"), ledger.as_json(entries), width, str(store.resolve())]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _make_report(study: Study, store: Path, entries: Sequence[Entry], width: int) -> dict[str, Any]:
    from biasprop import figures, ledger, report

    cube = _open(study, store).load()
    summary = _summary(study, cube, entries)
    drawn = figures.draw_all(cube, summary.estimates, store / "figures", study)
    return {
        "tables": report.text(report.tables(summary, ledger.tables(study, entries, summary)), width),
        "estimates": summary.to_json()["estimates"],
        "figures": [str(path) for path in drawn],
        "skipped": figures.skipped(store / "figures"),
    }


def _summary(study: Study, cube: xr.Dataset, entries: Sequence[Entry]) -> Summary:
    from biasprop import ledger, report

    places = ledger.places(study, entries)
    return report.summarise(cube, study.estimands, study.evaluation.target_specificity, places)


def _open(study: Study, store: Path) -> xr.Dataset:
    from biasprop.cube import open_cube

    shown = {name: [level.label for level in study.levels(name)] for name in study.factors}
    return open_cube(store, shown, study.replicates)


def _object(
    study: Study, store: Path, cells: Sequence[Cell], status: Mapping[tuple[int, str], Status], made: Mapping[str, Any]
) -> dict[str, Any]:
    from biasprop.report import as_json
    from biasprop.status import Status

    done = sum(all(status[index, arm.name] != Status.OPEN for arm in cell.arms) for index, cell in enumerate(cells))
    whole = as_json([], study=study.stem, digest=study.digest, store=store, done=done, total=len(cells))
    return whole | {"estimates": made["estimates"]}


def _figure_lines(report: Mapping[str, Any]) -> list[str]:
    pictures = [path for path in report["figures"] if path.endswith(".png")]
    skipped = [f"no figure {name}: {why}" for name, why in report["skipped"].items()]
    return [f"figures: {Path(pictures[0]).parent}" if pictures else "no figures", *skipped]


def _judge(cells: Sequence[Cell], status: Mapping[tuple[int, str], Status]) -> int:
    """Name the arms that went wrong; 3 if there are any."""
    from biasprop.status import LACKS, Status

    wrong = [
        f"{LACKS[status[index, arm.name]]}: {cell.name}: {arm.name}"
        for index, cell in enumerate(cells)
        for arm in cell.arms
        if status[index, arm.name] in LACKS
    ]
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
    if Status.OPEN in status.values():
        raise RuntimeError("the sweep ended with arms that were not computed")
    return 3 if wrong else 0


if __name__ == "__main__":
    from biasprop import interrupt

    interrupt.heed()
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
