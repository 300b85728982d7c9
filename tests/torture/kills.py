"""Runs that are killed at random moments, resumed, killed again, until one gets to the end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np

from tests.torture.harness import Commands, Tally, arms_done, ended_well, finished, kill, store_in


def kills(
    commands: Commands,
    folder: Path,
    reference: Path,
    number: signal.Signals,
    count: int,
    chosen: np.random.Generator,
    longest: float,
) -> Tally:
    """Send a signal at ``count`` random moments, resuming each time, over as many stores as that takes.

    A third of the moments are uniform over the time of a whole run, a third over its first fifth, in which the store is
    made and mended, and a third come shortly after a number of arms. Every third signal goes to the whole process
    group. Every fifth run has two worker processes: killed alone, their parent leaves them behind as the next begins.

    Args:
        commands: runs the command.
        folder: for the stores.
        reference: the store of a run that nothing happened to.
        number: the signal.
        count: how many moments.
        chosen: where moments come from.
        longest: seconds of a whole run.
    """
    tally = Tally(number.name)
    trial = 0
    while tally.tried < count:
        out = folder / f"{number.name}-{trial}"
        trial += 1
        store, before, alive = store_in(out), 0, True
        while alive and tally.tried < count:
            workers = 2 if tally.tried % 5 == 4 else 0
            tally.notes["with workers"] += workers > 0
            process = commands.start(out, "--workers", str(workers))
            began, arms = time.monotonic(), arms_done(store)
            kind = int(chosen.integers(0, 3))
            after = int(chosen.integers(0, 5)) if kind == 2 else None
            moment = float(chosen.uniform(0, (longest / 5, longest, 0.3)[kind]))
            while time.monotonic() - began < 4 * longest:
                if after is None or arms_done(store) > arms + after or not _runs(process):
                    break
                time.sleep(0.01)
            time.sleep(moment)
            kill(process, number, group=tally.tried % 3 == 0)
            code, said = commands.wait()
            alive = code != 0
            tally.tried += alive
            tally.notes["came after the end"] += not alive
            if alive and tally.tried % 10 == 0:
                print(tally.line(), flush=True)
            expected = (-signal.SIGKILL,) if number == signal.SIGKILL else (130, 128 + number, -number)
            if alive and code not in expected:
                tally.faults.append(f"exit code {code}: {said[-2000:]}")
            if alive and "Traceback" in said:
                tally.faults.append(f"traceback: {said[-2000:]}")
            if store.exists():
                now = finished(store)
                tally.notes["before an arm was stored"] += alive and now == 0
                if now < before:
                    tally.faults.append(f"{before} arms were finished, {now} are after {number.name}")
                before = now
            else:
                tally.notes["before the store was made"] += alive
        code, said = commands.run(out)
        if code != 0:
            tally.faults.append(f"resumed run: exit code {code}: {said[-2000:]}")
        tally.faults += ended_well(store, reference)
        tally.notes["stores"] += 1
    return tally


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
