"""`python -m biasprop.run STUDY`: load, plan, compute, store and report a study.

Exit codes: 0 finished; 1 a bug, with its traceback; 2 bad input, or a folder that cannot be written (full, read-only);
3 arms diverged or failed, or were lost with their workers or the scheduler (they are named); 4 --verify found arms that
differ; 130 interrupted. Where it helps, the command that resumes is printed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import arguments, command, terminal

if TYPE_CHECKING:
    import xarray as xr

    from biasprop.execution.progress import Progress
    from biasprop.execution.sweep import Shard
    from biasprop.report.results import Report
    from biasprop.study.design import Cell
    from biasprop.study.plan import Plan
    from biasprop.study.study import Study


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    terminal.configure()
    words = list(sys.argv[1:] if argv is None else argv)
    options = arguments.arguments().parse_args(words)
    from biasprop.execution import interrupt
    from biasprop.hardware import environment

    environment.use_one_cpu_device()  # both before JAX is imported
    environment.configure()
    options.resume = f"to resume: python -m biasprop.run {shlex.join(words)}"
    return interrupt.exit_code(lambda: _run_or_explain(options), options.resume)


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

    Settings of this process that move numbers are changed for the call only (``biasprop/execution/README.md``).

    Args:
        study: from ``load_study``, or the path of a study file.
        out: folder of stores; ``~`` is the home folder.
        only: ``FACTOR=LEVEL`` choices; by default all arms.
        workers: compute processes, 0 for none; by default as many as fit the device. If none can be started on a CPU,
            this process computes, with the same results.
        progress: receives progress; by default it is shown in a notebook, and nothing elsewhere.
        scheduler: address or file of a dask scheduler whose workers compute instead.

    Returns:
        The cube, with NaN where arms are not finished.

    Raises:
        InputError: the study, a choice, the store, the scheduler or one of its workers cannot be used, or this process
            would compute on a GPU that JAX has started without a fixed order of sums.
        Unfinished: workers or the scheduler died; the same call continues from what is stored.
    """
    from biasprop.component import Unfinished
    from biasprop.execution import sweep
    from biasprop.execution.progress import for_notebook
    from biasprop.hardware import environment
    from biasprop.observers import ledger
    from biasprop.report import results
    from biasprop.study import design
    from biasprop.study.load import load_study

    loaded = load_study(study) if isinstance(study, str | Path) else study
    chosen = design.parse_choices(loaded, only)
    store = loaded.store(out)
    shown = progress or for_notebook()
    with environment.configured():
        try:
            lost = sweep.run(loaded, store, only=chosen, workers=workers, progress=shown, scheduler=scheduler)
        finally:
            shown.finish()
        if lost:
            raise Unfinished("\n".join(lost))
        ledger.save(store, ledger.load_or_compute(loaded, store))
    return results.open_study_cube(loaded, store)


def _run_or_explain(options: argparse.Namespace) -> int:
    """Run, and print what is wrong with the input, or why the sweep ended early."""
    from biasprop.component import Unfinished

    try:
        return command.explained(lambda: _run(options), "; what is finished is kept, and the same command continues")
    except Unfinished as ended:
        print(ended, f"what is finished is kept; {options.resume}", sep="\n", file=sys.stderr)
        return 3


def _run(options: argparse.Namespace) -> int:
    from biasprop.component import InputError

    if problems := arguments.problems(options):
        raise InputError(problems)
    from biasprop.study import arm_status, design
    from biasprop.study.load import load_study

    study = load_study(options.study, options.set, options.scale, options.smoke, options.replicates)
    only = design.parse_choices(study, options.only)
    store = study.store(options.out)
    cells = design.cells(study, only)
    shard = _shard(options)
    if shard:
        from biasprop.execution import sweep

        names = sweep.share(study, shard, options.workers)
        cells = [cell for cell in cells if cell.name in names]

    if options.precision is not None or options.difficulty:
        return _answer(options, study, store)
    if options.verify is not None:
        from biasprop.execution import verify

        return verify.main(study, only, store, options.verify, options.workers, options.quiet, options.json)
    if options.list and not options.plan:
        print(*arm_status.listing(cells, arm_status.arm_status(study, cells, store)), sep="\n")
        return 0

    if store.exists() and not options.plan:
        _repair(store, cells)
    planned = _plan(options, study, cells, store)
    if options.plan:
        print(*planned.lines(), sep="\n")
        return 0
    if not options.quiet:
        print(planned.line(), file=sys.stderr)

    lost: list[str] = []
    if planned.arms_done < planned.arms:
        lost = _compute(options, study, store, only=only, workers=planned.workers, shard=shard)
    elif not shard:
        from biasprop.execution import existing_store

        existing_store.update(study, store)
    return _report(options, study, store, cells, lost)


def _draw(options: argparse.Namespace, report: Report) -> None:
    """Draw the figures and write the page, and say where they are and which figures were not drawn."""
    from biasprop.report import command_output

    failed: ExceptionGroup | None = None
    try:
        report.draw()
    except ExceptionGroup as errors:
        failed = errors
    shown = not (options.quiet or options.json)
    if failed or shown:
        print(*command_output.figure_lines(report.store / "figures"), sep="\n", file=sys.stderr)
    if failed:
        raise failed
    page = report.write_page()
    if shown:
        terminal.say([f"report page: {page}"])


def _repair(store: Path, cells: Sequence[Cell]) -> None:
    from biasprop.execution import existing_store

    for message in existing_store.repair(store, cells):
        print(message, file=sys.stderr)


def _shard(options: argparse.Namespace) -> Shard | None:
    if options.shard is None:
        return None
    from biasprop.execution.sweep import Shard

    return Shard(*options.shard)


def _answer(options: argparse.Namespace, study: Study, store: Path) -> int:
    """Print what ``--precision`` or ``--difficulty`` asks for."""
    from biasprop.report import command_output

    if options.precision is not None:
        print(command_output.precision_text(study, store, options.precision), end="")
        return 0

    def report(line: str) -> None:
        if not options.quiet:
            print(line, file=sys.stderr)

    print(command_output.difficulty_text(study, store, as_json=options.json, report=report), end="")
    return 0


def _plan(options: argparse.Namespace, study: Study, cells: Sequence[Cell], store: Path) -> Plan:
    from biasprop.study import plan

    estimates = []
    if options.plan and store.exists():
        from biasprop.report import results

        estimates = results.cached_estimates(study, store)
    workers = 1 if options.scheduler else options.workers
    planned = plan.plan(study, cells, options.out, workers, resolution=options.plan, estimates=estimates)
    if options.scheduler:
        planned = replace(planned, device=f"workers of {options.scheduler} (time and memory are those of one worker)")
    return planned


def _compute(options: argparse.Namespace, study: Study, store: Path, **how: Any) -> list[str]:
    """Compute what is missing; messages of what was lost with its workers."""
    from biasprop.execution import progress, sweep

    shown = progress.make(options.quiet, options.verbose)
    try:
        return sweep.run(study, store, progress=shown, scheduler=options.scheduler, **how)
    finally:
        shown.finish()


def _report(options: argparse.Namespace, study: Study, store: Path, cells: Sequence[Cell], lost: Sequence[str]) -> int:
    """Print the report, or the line of a shard, then the arms without a result; figures and the page come last.

    Returns:
        3 if there are arms without a result, else 0.

    Raises:
        ExceptionGroup: some figures could not be drawn; everything else is printed, and no page is written.
    """
    from biasprop.report import command_output, exports
    from biasprop.status import Status
    from biasprop.study import arm_status

    report: Report | None = None
    text: dict[str, Any] = {}
    if not options.shard:
        from biasprop.observers import ledger
        from biasprop.report import results

        entries = ledger.load_or_compute(study, store)
        ledger.save(store, entries)
        report = results.Report(study, store, entries)
        text = report.text()
    status = arm_status.arm_status(study, cells, store)
    if options.json:
        shard = {"shard": "{}/{}".format(*options.shard)} if options.shard else {}
        print(command_output.json_object(study, store, cells, status, text, **shard))
    elif options.shard:
        print(command_output.shard_line(options.shard, cells, status))
    else:
        print(text["tables" if options.verbose else "brief"])
    sys.stdout.flush()  # whatever happens to files
    missing, causes = arm_status.missing_results(cells, status, store)
    terminal.say([*missing, *([*lost, options.resume] if lost else [])])
    if Status.OPEN in status.values() and not lost:
        raise RuntimeError("the sweep ended with arms that were not computed")
    try:
        if report:
            exports.export(report, netcdf=options.netcdf, csv=options.csv)
            _draw(options, report)
    finally:
        terminal.say(causes)
    return 3 if missing or lost else 0


if __name__ == "__main__":
    from biasprop.execution import interrupt

    command.start(lambda: interrupt.interruptible(main))
