"""What a person sees while a study runs: live bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from biasprop.status import Status
from biasprop.study.timings import duration

DONE = "done"
"""The stage that ends a cell."""

HEARTBEAT_S = 30.0
"""Seconds after which a log without news gets a line all the same."""


class Progress(Protocol):
    """What a sweep tells while it runs; every call is cheap and none may raise."""

    def start(self, total_cells: int, done_cells: int) -> None:
        """The sweep begins; so many cells were finished before."""
        ...

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """A cell is at ``step`` of ``steps`` of a stage; the stage :data:`DONE` ends it."""
        ...

    def arm(self, name: str, status: int, seconds: float) -> None:
        """An arm is stored, with its worst :class:`~biasprop.status.Status`."""
        ...

    def say(self, line: str) -> None:
        """Something the user should know."""
        ...

    def split(self, seconds: Mapping[str, float]) -> None:
        """The sweep has computed all; what went into each stage, over all processes."""
        ...

    def finish(self) -> None:
        """The sweep is over, finished or not."""
        ...


def make(quiet: bool = False, verbose: bool = False, stream: TextIO | None = None) -> Progress:
    """The progress display that fits where stderr goes.

    Args:
        quiet: say nothing but which arms diverged or failed.
        verbose: a line for every arm.
        stream: instead of stderr.
    """
    target: TextIO = sys.stderr if stream is None else stream
    if quiet or verbose or not target.isatty():
        return Lines(target, quiet=quiet, verbose=verbose)
    return Bars(target)


class _Clock:
    """Counts cells and guesses how long the rest takes, from the fraction of work done since the start."""

    def __init__(self, total: int, done: int):
        self.total, self.done, self.before = total, done, done
        self.began = time.monotonic()
        self.inside: dict[str, tuple[str, int, int]] = {}
        """Running cell -> its stage, step and steps."""

    def tell(self, name: str, stage: str, step: int, steps: int) -> None:
        if stage == DONE:
            self.inside.pop(name, None)
            self.done += 1
        else:
            self.inside[name] = (stage, step, steps)

    def left(self) -> str:
        """Time left, in words; empty until the first cell of this run is finished."""
        finished = self.done - self.before
        if finished <= 0:
            return ""
        return duration((time.monotonic() - self.began) / finished * (self.total - self.done))


class Lines:
    """Plain lines for logs: one for each finished cell, or after :data:`HEARTBEAT_S` seconds without one."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, verbose: bool = False):
        self.stream, self.quiet, self.verbose = stream, quiet, verbose
        self.clock = _Clock(0, 0)
        self.said = time.monotonic()

    def start(self, total_cells: int, done_cells: int) -> None:
        """See :class:`Progress`."""
        self.clock = _Clock(total_cells, done_cells)

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """See :class:`Progress`."""
        self.clock.tell(name, stage, step, steps)
        if stage == DONE:
            self.say(f"{self._count()} {name}{self._left()}")
        elif time.monotonic() - self.said >= HEARTBEAT_S:
            running = "; ".join(f"{cell}: {_stage(*where)}" for cell, where in self.clock.inside.items())
            self.say(f"{self._count()} running: {running}{self._left()}")

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See :class:`Progress`."""
        if status in (Status.DIVERGED, Status.FAILED):
            print(f"{Status(status).words}: {name}", file=self.stream, flush=True)
        elif self.verbose:
            self.say(f"{name}: {Status(status).words} in {seconds:.1f} s")

    def say(self, line: str) -> None:
        """See :class:`Progress`."""
        self.said = time.monotonic()
        if not self.quiet:
            print(line, file=self.stream, flush=True)

    def split(self, seconds: Mapping[str, float]) -> None:
        """See :class:`Progress`."""
        self.say(shares(seconds))

    def finish(self) -> None:
        """See :class:`Progress`."""

    def _count(self) -> str:
        return f"cells {self.clock.done}/{self.clock.total}"

    def _left(self) -> str:
        left = self.clock.left()
        return f" (about {left} left)" if left and self.clock.done < self.clock.total else ""


class Bars:
    """Live bars for a terminal: all cells on one, the steps inside each running cell on one each."""

    def __init__(self, stream: TextIO):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.bars = RichProgress(*columns, console=Console(file=stream), transient=True)
        self.clock = _Clock(0, 0)
        self.whole: Any = None
        self.running: dict[str, Any] = {}

    def start(self, total_cells: int, done_cells: int) -> None:
        """See :class:`Progress`."""
        self.clock = _Clock(total_cells, done_cells)
        self.bars.start()
        self.whole = self.bars.add_task("cells", total=total_cells, completed=done_cells, note="")

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """See :class:`Progress`."""
        if self.whole is None:
            return
        self.clock.tell(name, stage, step, steps)
        if stage == DONE:
            if name in self.running:
                self.bars.remove_task(self.running.pop(name))
        elif name in self.running:
            self.bars.update(self.running[name], completed=step, total=max(steps, 1), note=stage)
        else:
            self.running[name] = self.bars.add_task(f"  {name}", total=max(steps, 1), completed=step, note=stage)
        left = self.clock.left()
        self.bars.update(self.whole, completed=self.clock.done, note=f"about {left} left" if left else "")

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See :class:`Progress`."""
        if status in (Status.DIVERGED, Status.FAILED):
            self.bars.console.print(f"{Status(status).words}: {name}", markup=False, highlight=False)

    def say(self, line: str) -> None:
        """See :class:`Progress`."""
        self.bars.console.print(line, markup=False, highlight=False)

    def split(self, seconds: Mapping[str, float]) -> None:
        """See :class:`Progress`."""
        self.bars.console.print(shares(seconds), markup=False, highlight=False)

    def finish(self) -> None:
        """See :class:`Progress`."""
        self.bars.stop()


def shares(seconds: Mapping[str, float]) -> str:
    """Seconds by stage as a line: ``computed for 12 min: compile 8 %, pretrain 60 %, ...``."""
    total = sum(seconds.values())
    parts = ", ".join(f"{stage} {spent / total:.0%}" for stage, spent in seconds.items()) if total else "nothing"
    return f"computed for {duration(total)}: {parts}"


def _stage(stage: str, step: int, steps: int) -> str:
    return f"{stage} {step}/{steps}" if steps > 1 else stage
