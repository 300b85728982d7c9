"""Torture: `python -m tests.torture --kills 100 --trials 50` in a checkout, in about half an hour on two idle cores.

A small study is killed, interrupted, starved of disk, damaged and computed by two processes at once; every time it has
to end with the bits of an undisturbed run, and nothing finished may be computed again. Prints a table and every fault;
exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import damage, disks, kills, writers
from tests.torture.harness import Commands, Tally, chooser, store_in

PARTS = ("kill", "int", "term", "disk", "damage", "writers")


def main() -> int:
    """Torture what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs (100); SIGINT and SIGTERM a fifth of it each")
    parser.add_argument("--trials", type=int, default=50, help="of two writers (50)")
    parser.add_argument("--chunks", type=int, default=2, help="chunks of each variable that are damaged (2)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and places (0)")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part (may be repeated)")
    given = parser.parse_args()
    os.environ.setdefault("NPROC", "1")
    parts = given.only or PARTS
    tallies: list[Tally] = []

    def done(tally: Tally) -> None:
        tallies.append(tally)
        print(tally.line(), *tally.faults, sep="\n  ", flush=True)

    with tempfile.TemporaryDirectory(prefix="biasprop-torture-") as place:
        folder = Path(place)
        commands = Commands(folder)
        reference = store_in(folder / "reference")
        for _ in range(2):  # the second one has compiled programs, as those that are killed do
            began = time.monotonic()
            store = store_in(folder / f"warm-{began}")
            code, said = commands.run(store.parent)
            assert code == 0, said
        longest = time.monotonic() - began
        store.parent.rename(reference.parent)
        print(f"a whole run takes {longest:.1f} s; seed {given.seed}", flush=True)
        for part, number, count in (
            ("kill", signal.SIGKILL, given.kills),
            ("int", signal.SIGINT, -(-given.kills // 5)),
            ("term", signal.SIGTERM, -(-given.kills // 5)),
        ):
            if part in parts:
                done(kills.kills(commands, folder, reference, number, count, chooser(given.seed), longest))
        if "disk" in parts and disks.can_mount():
            done(disks.full(commands, folder, reference, [8, 200, 700, 1300]))
            done(disks.read_only(commands, folder, reference))
        commands.close()
        if "writers" in parts:
            (folder / "writers").mkdir()
            done(writers.writers(folder / "writers", reference, given.trials))
        if "damage" in parts:
            done(damage.damages(folder, reference, chooser(given.seed), given.chunks))
    print("", *(tally.line() for tally in tallies), sep="\n")
    return 1 if any(tally.faults for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
