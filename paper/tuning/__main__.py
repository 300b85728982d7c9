"""`python -m paper.tuning`: compute rounds of the search for the training recipe, and write its table.

Reads every finished store of ``paper/tuning/*.toml`` and writes ``paper/results/tuning.json`` and, from it,
``paper/results/tuning.md``. A round whose store is not here keeps its entry in the JSON. ``--run`` first computes what
rounds lack, and prints progress but none of their answers: no report, no figure, nothing by subgroup. The entry of a
confirmation has tables by subgroup; that of a search never has.

Exit codes: 0 finished; 2 bad input; 3 cells were lost with their workers; 130 interrupted. The same command resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasprop import command, terminal
from biasprop.paths import user_path
from paper.tuning.rounds import HERE

if TYPE_CHECKING:
    from biasprop.study.study import Study

RESULTS = HERE.parent / "results"

RESUME = "what is finished is kept, and the same command continues"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    terminal.configure()
    given = _arguments().parse_args(argv)
    from biasprop.execution import interrupt
    from biasprop.hardware import environment

    environment.use_one_cpu_device()  # both before JAX is imported
    environment.configure()
    return interrupt.exit_code(lambda: command.explained(lambda: _run(given), f"; {RESUME}"), RESUME)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper.tuning",
        description="Write the table of the search for the training recipe, blind to gaps.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--run", nargs="*", metavar="NAME", help="first compute what these rounds lack (without a name: all of them)")
    add("--workers", type=int, metavar="N", help="worker processes (default: as many as fit; 0: in this process)")
    add("--smoke", action="store_true", help="try rounds with small numbers; writes their table to DIR/smoke/")
    add("--rounds", type=user_path, default=HERE, metavar="DIR", help="folder of the rounds (default: paper/tuning)")
    add(
        "--results",
        type=user_path,
        default=Path("results/tuning"),  # paper.make, which compares subgroups, does not look there
        metavar="DIR",
        help="folder of their stores (default: results/tuning)",
    )
    add("--out", type=user_path, metavar="DIR", help="folder of the table (default: paper/results)")
    return parser


def _run(given: argparse.Namespace) -> int:
    from biasprop.component import InputError, Unfinished
    from paper.tuning import rounds

    if given.workers is not None and not 0 <= given.workers <= 4096:
        raise InputError(f"--workers {given.workers}: has to be 0 (in this process) to 4096")
    every = rounds.load(given.rounds, smoke=given.smoke)
    lost = []
    for study in rounds.load(given.rounds, given.run, given.smoke) if given.run is not None else []:
        print(f"{study.stem}: {study.title}", file=sys.stderr)
        try:
            lost += compute(study, given.results, given.workers)
        except Unfinished as ended:
            lost.append(str(ended))
    out = given.out or (given.results / "smoke" if given.smoke else RESULTS)
    for file in write(every, given.results, out):
        print(file)
    terminal.say([*lost, "the same command continues"] if lost else [])
    return 3 if lost else 0


def compute(study: Study, results: Path, workers: int | None = None) -> list[str]:
    """Compute what the store of a round lacks, without its answers.

    Args:
        study: the round.
        results: folder of stores.
        workers: as for ``biasprop.run_study``.

    Returns:
        One message for each cell that was lost with its workers.
    """
    from biasprop.execution import progress, sweep

    shown = progress.make()
    try:
        return sweep.run(study, study.store(results), workers=workers, progress=shown)
    finally:
        shown.finish()


def write(every: Sequence[Study], results: Path, out: Path = RESULTS) -> list[Path]:
    """Write JSON and page from the finished stores.

    Args:
        every: all rounds.
        results: folder of their stores.
        out: folder to write to; a round that is not finished keeps the entry that it has there.

    Returns:
        The files written.

    Raises:
        InputError: no round has a result, or what is there cannot be read.
    """
    from biasprop.component import InputError
    from paper.pages import replace
    from paper.study_result import dumps
    from paper.tuning import confirmation
    from paper.tuning.page import page
    from paper.tuning.readings import Reading, read
    from paper.tuning.result import result, round_result
    from paper.tuning.rounds import CONFIRMATION

    file = out / "tuning.json"
    kept = {entry["round"]: entry for entry in earlier(file)["rounds"]}
    entries = []
    for study in every:
        reading = read(study, study.store(results))
        if isinstance(reading, Reading):
            found = confirmation.read(study, study.store(results)) if study.seed == CONFIRMATION else None
            entries.append(round_result(study, reading, found))
            continue
        print(f"{study.stem}: {reading}{'; its earlier entry is kept' * (study.stem in kept)}", file=sys.stderr)
        entries += [kept[study.stem]] if study.stem in kept else []
    if not entries:
        raise InputError(f"{results}: no round is finished; compute them with `python -m paper.tuning --run`")
    value = result(entries)
    replace(file, dumps(value))
    replace(out / "tuning.md", page(json.loads(dumps(value))))
    return [file, out / "tuning.md"]


def earlier(file: Path) -> dict[str, Any]:
    """The JSON as it was last written; without rounds if it is not there.

    Raises:
        InputError: it cannot be read or has another format.
    """
    from paper.pages import read_json
    from paper.tuning.result import FORMAT, result

    if not file.exists():
        return result([])
    return read_json(file, FORMAT, "move it away and run `python -m paper.tuning` again")


if __name__ == "__main__":
    from biasprop.execution import interrupt

    command.start(lambda: interrupt.interruptible(main))
