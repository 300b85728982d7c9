"""`python -m biasprop.run STUDY`: parse, plan, run, save, report. No science in here.

Exit codes: 0 finished; 1 a bug, with its traceback; 2 bad input, or a folder that cannot be written (full, read-only);
3 arms diverged or failed (they are named), or were lost with their workers or the scheduler; 4 --verify found arms that
differ; 130 interrupted. Where it helps, the command that resumes is printed.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop.arguments import arguments

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.difficulty.ledger import Entry
    from biasprop.execution.progress import Progress
    from biasprop.execution.sweep import Shard
    from biasprop.status import Status
    from biasprop.study.design import Cell
    from biasprop.study.study import Study

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says of a place that cannot be written: no bug, and nothing that another study would mend."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given = arguments().parse_args(words)
    from biasprop.execution import interrupt
    from biasprop.hardware import environment

    environment.configure()  # before JAX is imported
    given.resume = f"to resume: python -m biasprop.run {shlex.join(words)}"
    try:
        return _answered(given)
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, Exception) and not interrupt.was_interrupted():
            raise
        print(f"interrupted; {given.resume}", file=sys.stderr)
        return 130


def run_study(
    study: Study | str | Path,
    out: str | Path = "results",
    *,
    only: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> xr.Dataset:
    """Compute what is missing of a study and open its cube.

    Args:
        study: from ``load_study``, or the path of a study file.
        out: folder of stores.
        only: ``FACTOR=LEVEL`` choices; all arms without any.
        workers: compute processes, 0 for none; by default as many as fit the device.
        progress: is told what happens; by default nothing is shown.
        scheduler: address or file of a dask scheduler whose workers compute instead.

    Returns:
        The cube, with NaN where arms are not finished.

    Raises:
        InputError: the study, a choice, the store, the scheduler or one of its workers cannot be used.
        Unfinished: workers or the scheduler died; the same call goes on from what is stored.
    """
    from biasprop.component import Unfinished
    from biasprop.execution import sweep
    from biasprop.execution.progress import make
    from biasprop.report import results
    from biasprop.study import design
    from biasprop.study.load import load_study

    if not hasattr(study, "factors"):
        study = load_study(study)  # pyright: ignore[reportArgumentType]
    assert not isinstance(study, str | Path)
    chosen = design.parse_choices(study, only)  # pyright: ignore[reportArgumentType]
    store = study.store(out)  # pyright: ignore[reportAttributeAccessIssue]
    shown = progress or make(quiet=True)
    if lost := sweep.run(study, store, only=chosen, workers=workers, progress=shown, scheduler=scheduler):  # pyright: ignore[reportArgumentType]
        raise Unfinished("\n".join(lost))
    _entries(study, store)  # pyright: ignore[reportArgumentType]
    return results.open_study_cube(study, store)  # pyright: ignore[reportArgumentType]


def _answered(given: argparse.Namespace) -> int:
    """Run, and name what is wrong with the input, or what the sweep ended for."""
    from biasprop.component import InputError, Unfinished

    try:
        return _run(given)
    except InputError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except Unfinished as ended:
        print(ended, f"what is finished is kept; {given.resume}", sep="\n", file=sys.stderr)
        return 3
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where, why = error.filename or given.out, error.strerror
        print(f"{where}: {why}; what is finished is kept, and the same command goes on", file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    _check(given)
    from biasprop.study import arm_status, design, plan
    from biasprop.study.load import load_study

    study = load_study(given.study, given.set, given.scale, given.smoke, given.replicates)
    only = design.parse_choices(study, given.only)
    cells = design.cells(study, only)
    shard = _part(given)
    if shard:
        from biasprop.execution import sweep

        names = sweep.share(study, shard, given.workers)
        cells = [cell for cell in cells if cell.name in names]
    store = study.store(given.out)
    if given.power is not None:
        print(_precision(study, store, given.power), end="")
        return 0
    if given.ledger:
        print(_difficulty(given, study, store), end="")
        return 0
    if given.verify is not None:
        from biasprop.execution import verify

        return verify.main(study, only, store, given.verify, given.workers, given.quiet, given.json)
    if not (given.plan or given.list):
        _name_damage(store, cells)
    workers = 1 if given.scheduler else given.workers
    planned = plan.plan(study, cells, given.out, workers, resolution=given.plan)
    if given.scheduler:
        planned = replace(planned, device=f"workers of {given.scheduler}, time and memory of one")
    if given.plan or given.list:
        print(
            *(planned.lines() if given.plan else arm_status.listing(cells, arm_status.arm_status(study, cells, store))),
            sep="\n",
        )
        return 0
    if not given.quiet:
        print(planned.line(), file=sys.stderr)
    lost: list[str] = []
    if planned.arms_done < planned.arms:
        lost = _compute(given, study, store, only, planned.workers, shard)
    elif not shard:
        _restate(study, store)
    if shard:
        status = arm_status.arm_status(study, cells, store)
        print(_shard_line(given, study, store, cells, status))
        return _judge(given, cells, status, store, lost)
    entries = _entries(study, store)
    from biasprop.report import results

    report = results.make_report(study, store, entries)
    if given.netcdf:
        from biasprop.store.netcdf import export_netcdf

        export_netcdf(results.open_study_cube(study, store), given.netcdf)
    if given.csv:
        from biasprop.report import tidy_table

        tidy_table.write_csv(
            tidy_table.tabulated(results.summarise(study, results.open_study_cube(study, store).load(), entries)),
            given.csv,
        )
    status = arm_status.arm_status(study, cells, store)
    if given.json:
        print(json.dumps(_object(study, store, cells, status, report), allow_nan=False))
    else:
        print(report["tables"])
        if not given.quiet:
            print(*_figure_lines(report), sep="\n", file=sys.stderr)
    return _judge(given, cells, status, store, lost)


def _part(given: argparse.Namespace) -> Shard | None:
    if given.shard is None:
        return None
    from biasprop.execution.sweep import Shard

    return Shard(*given.shard)


def _check(given: argparse.Namespace) -> None:
    """Arguments that can be refused before anything is loaded."""
    from biasprop.component import InputError

    problems = []
    if given.workers is not None and not 0 <= given.workers <= 4096:
        problems.append(f"--workers {given.workers}: has to be 0 (in this process) to 4096")
    if given.scheduler is not None and given.workers is not None:
        problems.append("--workers: a scheduler has workers of its own; leave one of the two out")
    if given.scheduler is not None and given.shard is not None:
        problems.append("--shard: is for runs without an engine; a scheduler spreads cells by itself")
    if given.power is not None and not 0 < given.power < float("inf"):
        problems.append(f"--power {given.power:g}: has to be a half-width above 0")
    if given.out.exists() and not given.out.is_dir():
        problems.append(f"--out {given.out}: is a file; has to be a folder")
    for option, file in (("--netcdf", given.netcdf), ("--csv", given.csv)):
        if file and not file.parent.is_dir():
            problems.append(f"{option} {file}: there is no folder {file.parent}")
        if file and file.is_dir():
            problems.append(f"{option} {file}: is a folder; has to be a file")
    if given.netcdf and not find_spec("h5netcdf"):
        problems.append("--netcdf: needs h5netcdf; install it with: pip install 'biasprop[netcdf]'")
    if problems:
        raise InputError(problems)


def _precision(study: Study, store: Path, half_width: float) -> str:
    """What ``--power`` prints; reads the store, if there is one, and writes nothing."""
    from biasprop.report import results, tables
    from biasprop.statistics.measures import measure
    from biasprop.statistics.precision import precision

    there = store.exists()
    measures = (
        measure(results.open_study_cube(study, store).load(), study.evaluation.target_specificity) if there else None
    )
    return tables.precision_text(precision(measures, study.estimands, half_width), half_width, results.TABLE_WIDTH)


def _difficulty(given: argparse.Namespace, study: Study, store: Path) -> str:
    """What ``--ledger`` prints; a network is trained where none was, and the store, if there is one, keeps it all."""
    from biasprop.difficulty import ledger
    from biasprop.report import difficulty, results, tables

    def tell(line: str) -> None:
        if not given.quiet:
            print(line, file=sys.stderr)

    there = store.exists()
    entries = ledger.load_or_compute(study, store if there else None, learn=True, tell=tell)
    if there:
        ledger.save(store, entries)
    if given.json:
        told = {"study": study.stem, "digest": study.digest, "ledger": ledger.as_json(entries)}
        return json.dumps(told, allow_nan=False) + "\n"
    summary = results.summarise(study, results.open_study_cube(study, store).load(), entries) if there else None
    return tables.text(difficulty.tables(study, entries, summary), results.TABLE_WIDTH)


def _compute(
    given: argparse.Namespace, study: Study, store: Path, only: Mapping[str, Any], workers: int, shard: Shard | None
) -> list[str]:
    from biasprop.execution import progress, sweep

    shown = progress.make(given.quiet, given.verbose)
    try:
        how: dict[str, Any] = {"workers": workers, "scheduler": given.scheduler, "shard": shard}
        return sweep.run(study, store, only=only, progress=shown, **how)
    finally:
        shown.finish()


def _name_damage(store: Path, cells: Sequence[Cell]) -> None:
    """Open damaged arms of these cells again before anything is planned, restore what lies beside, and name it all."""
    from biasprop.store.store import Store

    if store.exists():
        arms = [(arm.levels, cell.replicate) for cell in cells for arm in cell.arms]
        for damage in Store.open(store).mend(arms):
            print(f"damaged{', opened again' if damage.arm else ''}: {damage}", file=sys.stderr)


def _restate(study: Study, store: Path) -> None:
    """Nothing to compute: only the study's words and estimands may be new to the store."""
    from biasprop.execution.provenance import attributes
    from biasprop.store.store import Store
    from biasprop.study.design import layout

    Store.create_or_grow(store, layout(study), attributes(study))


def _entries(study: Study, store: Path) -> list[Entry]:
    """The difficulty ledger, kept with the store."""
    from biasprop.difficulty import ledger

    entries = ledger.load_or_compute(study, store)
    ledger.save(store, entries)
    return entries


def _object(
    study: Study,
    store: Path,
    cells: Sequence[Cell],
    status: Mapping[tuple[int, str], Status],
    made: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    from biasprop.report.tables import as_json

    whole = as_json([], study=study.stem, digest=study.digest, store=store, done=_done(cells, status), total=len(cells))
    return whole | ({"estimates": made["estimates"]} if made else {})


def _done(cells: Sequence[Cell], status: Mapping[tuple[int, str], Status]) -> int:
    from biasprop.status import Status

    return sum(all(status[index, arm.name] != Status.OPEN for arm in cell.arms) for index, cell in enumerate(cells))


def _shard_line(
    given: argparse.Namespace,
    study: Study,
    store: Path,
    cells: Sequence[Cell],
    status: Mapping[tuple[int, str], Status],
) -> str:
    """What a part of a study says instead of a report, which only the whole has."""
    k, n = given.shard
    if given.json:
        return json.dumps(_object(study, store, cells, status) | {"shard": f"{k}/{n}"}, allow_nan=False)
    return f"shard {k}/{n}: {_done(cells, status)} of its {len(cells)} cells done; the command without --shard reports"


def _figure_lines(report: Mapping[str, Any]) -> list[str]:
    pictures = [path for path in report["figures"] if path.endswith(".png")]
    skipped = [f"no figure {name}: {why}" for name, why in report["skipped"].items()]
    return [f"figures: {Path(pictures[0]).parent}" if pictures else "no figures", *skipped]


def _judge(
    given: argparse.Namespace,
    cells: Sequence[Cell],
    status: Mapping[tuple[int, str], Status],
    store: Path,
    lost: Sequence[str],
) -> int:
    """Name the arms that went wrong, and why; 3 if there are any."""
    from biasprop.status import LACKS, Status
    from biasprop.study.arm_status import divergence_causes

    why = divergence_causes(store) if set(status.values()) & set(LACKS) else {}
    wrong = [
        f"{LACKS[status[index, arm.name]]}: {cell.name}: {arm.name}{why.get((arm.name, cell.replicate), '')}"
        for index, cell in enumerate(cells)
        for arm in cell.arms
        if status[index, arm.name] in LACKS
    ]
    wrong += [*lost, given.resume] if lost else []
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
    if Status.OPEN in status.values() and not lost:
        raise RuntimeError("the sweep ended with arms that were not computed")
    return 3 if wrong else 0


if __name__ == "__main__":
    from biasprop.execution import interrupt

    interrupt.install_handlers()
    try:
        code = main()
        interrupt.ignore_signals()  # nothing is left to interrupt but the exit itself
        sys.exit(code)
    except BrokenPipeError:  # the reader, such as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
