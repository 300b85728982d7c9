"""The long form: workers and schedulers killed at random, shards that start at once, unfit workers.

    python -m tests.engine --trials 20      (a quarter of an hour on two cores)

Every trial ends with a store that is bit-equal to that of a single process; counts are printed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from biasprop.component import Unfinished
from biasprop.study.study import Study
from tests.engine import deadly
from tests.engine.cluster import ENVIRONMENT, ROOT, STUDY, Cluster, compute, differ, opened, planned, small, stored


def check(condition: bool, what: object) -> None:
    """Stop at the first failure."""
    if not condition:
        sys.exit(f"FAILED: {what}")


LONGER = "pretraining.schedule.steps=20000"
"""Makes a cell take seconds, so that kills hit running jobs."""


def whole(out: Path, study: Study) -> Path:
    """The store of a single process."""
    check(compute(study, out, workers=0) == [], "one process")
    return study.store(out)


def same(out: Path, right: Path, study: Study) -> None:
    """Check that the study in this folder is complete and has the right bits."""
    check(len(stored(opened(study, out))) == planned(study), "an arm is missing")
    check(differ(study.store(out), right) == [], f"bits differ in {differ(study.store(out), right)}")


def command(out: Path, *words: str, module: str = "biasprop.run") -> subprocess.CompletedProcess[str]:
    """Run the study with the command."""
    line = [sys.executable, "-m", module, str(STUDY), "-q", "--json", "--out", str(out), *words]
    return subprocess.run(line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)


@contextmanager
def meanwhile(act: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run ``act`` in a thread until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kills(folder: Path, trials: int, chance: random.Random) -> None:
    """Workers are killed at random moments, and replaced, until the study is complete."""
    study = small(LONGER)
    right = whole(folder / "longer", study)
    with Cluster(folder / "kills") as made:
        made.add()
        made.add()
        for trial in range(trials):
            out, killed, began = folder / f"kills-{trial}", 0, time.monotonic()

            def kill(over: threading.Event) -> None:
                nonlocal killed
                while not over.wait(chance.uniform(0, 4)):
                    victim = chance.choice([w for w in made.workers if w.poll() is None])
                    victim.kill()
                    killed += 1
                    made.add()
                    if killed == 3:
                        return

            with meanwhile(kill):
                while lost := compute(study, out, scheduler=str(made.file)):
                    print(f"  given up, so run again: {lost}")
            same(out, right, study)
            twice = sum(count > 1 for count in stored(opened(study, out)).values())
            took = time.monotonic() - began
            print(f"workers killed, trial {trial + 1}: {killed} kills, {twice} arms twice, {took:.0f} s", flush=True)


def schedulers(folder: Path, right: Path, trials: int, chance: random.Random) -> None:
    """The scheduler is killed at a random moment; the command says how to resume, which works with another one."""
    for trial in range(trials):
        out = folder / f"scheduler-{trial}"
        with Cluster(folder / f"first-{trial}") as made:
            made.add()
            made.add()
            wanted = chance.randint(1, planned(small()) - 2)

            def kill(over: threading.Event, made: Cluster = made, out: Path = out, wanted: int = wanted) -> None:
                log = small().store(out) / "events.jsonl"
                while not over.wait(0.05):
                    if log.exists() and log.read_text().count('"event": "arm"') >= wanted:
                        made.scheduler.kill()
                        return

            with meanwhile(kill):
                done = command(out, "--scheduler", str(made.file))
        check(done.returncode == 3, done)
        check("to resume: python -m biasprop.run" in done.stderr and "Traceback" not in done.stderr, done.stderr)
        left = planned(small()) - len(stored(opened(small(), out)))
        with Cluster(folder / f"second-{trial}") as made:
            made.add()
            made.add()
            done = command(out, "--scheduler", str(made.file))
        check(done.returncode == 0, done)
        same(out, right, small())
        print(f"scheduler killed, trial {trial + 1}: exit 3 with {left} arms left, then complete", flush=True)


def killer(folder: Path, right: Path) -> None:
    """A cell that kills every worker is given up by the command, the others are done; later it is computed as well."""
    out = folder / "killer"
    done = command(out, "--workers", "2", module=deadly.__name__)
    check(done.returncode == 3 and "given up: " in done.stderr and "to resume: " in done.stderr, done)
    left = planned(small()) - len(stored(opened(small(), out)))
    check(left == 2, f"{left} arms are left, not 2")
    check(command(out, "--workers", "2").returncode == 0, "the command that resumes")
    same(out, right, small())
    print("a cell that kills its worker: exit 3, 2 arms left, then complete", flush=True)


def shards(folder: Path, right: Path, parts: int) -> None:
    """All parts of an array job start at once, one of them twice; then the plain command reports."""
    out = folder / "shards"
    line = [sys.executable, "-m", "biasprop.run", str(STUDY), "-q", "--workers", "0", "--out", str(out)]
    every = [*range(parts), 0]
    begun = [subprocess.Popen([*line, "--shard", f"{k}/{parts}"], cwd=ROOT, env=ENVIRONMENT) for k in every]
    codes = [process.wait(600) for process in begun]
    check(codes == [0] * len(every), codes)
    same(out, right, small())
    done = command(out)
    check(done.returncode == 0 and '"done": 8, "total": 8' in done.stdout, done)
    print(f"{parts} shards and one of them again, all at once: complete, then the report", flush=True)


def unfit(folder: Path) -> None:
    """A worker that would compute other bits is refused with one message, before anything is computed."""
    for words, environment, said in (
        ((), {"NPROC": "2"}, "XLA has 2 threads in it; start it with NPROC=1"),
        (("--nthreads", "2"), {}, "runs 2 jobs at once; start it with --nthreads 1"),
        ((), {"PYTHONPATH": str(folder / "other")}, "biasprop's code is "),
    ):
        if "PYTHONPATH" in environment:
            shutil.copytree(ROOT / "biasprop", folder / "other" / "biasprop")
            (folder / "other" / "biasprop" / "one_more.py").write_text("# one more line\n")
        with Cluster(folder / f"unfit-{len(said)}") as made:
            made.add()
            made.add(*words, **environment)
            time.sleep(15)  # until both have joined
            done = command(folder / "unfit", "--scheduler", str(made.file))
        check(done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done)
        print(f"refused: {done.stderr.strip()}", flush=True)


def main() -> int:
    """Run the given parts, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["kills", "schedulers", "killer", "shards", "unfit"])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    chance, began = random.Random(told.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        right = whole(folder / "whole", small())
        for what in told.what:
            try:
                if what == "kills":
                    kills(folder, told.trials, chance)
                elif what == "schedulers":
                    schedulers(folder, right, max(told.trials // 7, 1), chance)
                elif what == "killer":
                    killer(folder, right)
                elif what == "shards":
                    shards(folder, right, 4)
                elif what == "unfit":
                    unfit(folder)
            except Unfinished as ended:
                sys.exit(f"FAILED: {what}: {ended}")
    print(f"all passed, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
