"""Progress of a run: live bars on a terminal, plain lines elsewhere, both on stderr; one output that changes in a
notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from biasprop import terminal
from biasprop.status import Status
from biasprop.study.timings import duration

DONE = "done"
"""Stage reported when a cell has ended."""

HEARTBEAT_S = 30.0
"""Seconds after which plain output gets a line even if no cell has finished."""

NOTEBOOK_INTERVAL_S = 0.5
"""Least seconds between two states of a notebook's output."""

MAX_NOTEBOOK_LINES = 12
"""Most messages, and running cells, that a notebook shows."""


class Progress(Protocol):
    """Receives what happens in a sweep; calls are cheap and must not raise."""

    def start(self, total_cells: int, done_cells: int) -> None:
        """The sweep begins; ``done_cells`` of the cells were finished before."""
        ...

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """A cell is at ``step`` of ``steps`` of a stage; at stage :data:`DONE` it has ended."""
        ...

    def arm(self, name: str, status: int, seconds: float) -> None:
        """An arm is stored, with its worst :class:`~biasprop.status.Status`."""
        ...

    def say(self, line: str) -> None:
        """Show a line to the user."""
        ...

    def split(self, seconds: Mapping[str, float]) -> None:
        """Everything is computed; seconds by stage, summed over all processes."""
        ...

    def finish(self) -> None:
        """The sweep is over, finished or not."""
        ...


def make(quiet: bool = False, verbose: bool = False, stream: TextIO | None = None) -> Progress:
    """The progress display: bars if stderr is a terminal, else lines.

    Args:
        quiet: show only arms that diverged or failed.
        verbose: show a line for every arm.
        stream: where to write instead of stderr.
    """
    target: TextIO = sys.stderr if stream is None else stream
    if quiet or verbose or not target.isatty():
        return Lines(target, quiet=quiet, verbose=verbose)
    return Bars(target)


def for_notebook() -> Progress:
    """The progress display of a call from Python: shown in a notebook, nothing but arms without a result elsewhere."""
    return Notebook() if in_notebook() else make(quiet=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


class _Clock:
    """Counts cells and estimates the remaining time from the mean time per cell since the start."""

    def __init__(self, total: int, done: int):
        self.total, self.done, self.done_before = total, done, done
        self.began = time.monotonic()
        self.running: dict[str, tuple[str, int, int]] = {}
        """Running cell -> its stage, step and steps."""

    def update(self, name: str, stage: str, step: int, steps: int) -> None:
        if stage == DONE:
            self.running.pop(name, None)
            self.done += 1
        else:
            self.running[name] = (stage, step, steps)

    def left(self) -> str:
        """Remaining time in words; empty until the first cell of this run has finished."""
        finished = self.done - self.done_before
        if finished <= 0:
            return ""
        return duration((time.monotonic() - self.began) / finished * (self.total - self.done))


class Lines:
    """Plain lines for logs: one for each finished cell, and after :data:`HEARTBEAT_S` seconds without any."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, verbose: bool = False):
        self.stream, self.quiet, self.verbose = stream, quiet, verbose
        self.clock = _Clock(0, 0)
        self.last_line = time.monotonic()

    def start(self, total_cells: int, done_cells: int) -> None:
        """See :class:`Progress`."""
        self.clock = _Clock(total_cells, done_cells)

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """See :class:`Progress`."""
        self.clock.update(name, stage, step, steps)
        if stage == DONE:
            self.say(f"{self._count()} {name}{self._left()}")
        elif time.monotonic() - self.last_line >= HEARTBEAT_S:
            running = "; ".join(f"{cell}: {_stage(*position)}" for cell, position in self.clock.running.items())
            self.say(f"{self._count()} running: {running}{self._left()}")

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See :class:`Progress`."""
        if status in (Status.DIVERGED, Status.FAILED):
            print(f"{Status(status).words}: {name}", file=self.stream, flush=True)
        elif self.verbose:
            self.say(f"{name}: {Status(status).words} in {seconds:.1f} s")

    def say(self, line: str) -> None:
        """See :class:`Progress`."""
        self.last_line = time.monotonic()
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
    """Live bars for a terminal: one for all cells, and one for each running cell and its steps."""

    def __init__(self, stream: TextIO):
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.bars = RichProgress(*columns, console=terminal.console(file=stream), transient=True)
        self.clock = _Clock(0, 0)
        self.total_bar: Any = None
        self.cell_bars: dict[str, Any] = {}

    def start(self, total_cells: int, done_cells: int) -> None:
        """See :class:`Progress`."""
        self.clock = _Clock(total_cells, done_cells)
        self.bars.start()
        self.total_bar = self.bars.add_task("cells", total=total_cells, completed=done_cells, note="")

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """See :class:`Progress`."""
        if self.total_bar is None:
            return
        self.clock.update(name, stage, step, steps)
        if stage == DONE:
            if name in self.cell_bars:
                self.bars.remove_task(self.cell_bars.pop(name))
        elif name in self.cell_bars:
            self.bars.update(self.cell_bars[name], completed=step, total=max(steps, 1), note=stage)
        else:
            self.cell_bars[name] = self.bars.add_task(f"  {name}", total=max(steps, 1), completed=step, note=stage)
        left = self.clock.left()
        self.bars.update(self.total_bar, completed=self.clock.done, note=f"about {left} left" if left else "")

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See :class:`Progress`."""
        if status in (Status.DIVERGED, Status.FAILED):
            self.bars.console.print(f"{Status(status).words}: {name}")

    def say(self, line: str) -> None:
        """See :class:`Progress`."""
        self.bars.console.print(line)

    def split(self, seconds: Mapping[str, float]) -> None:
        """See :class:`Progress`."""
        self.bars.console.print(shares(seconds))

    def finish(self) -> None:
        """See :class:`Progress`."""
        self.bars.stop()


class Notebook:
    """One output of a notebook's cell, which is replaced as the run goes on; no cursor is moved."""

    def __init__(self) -> None:
        self.clock = _Clock(0, 0)
        self.lines: list[str] = []
        """Said so far, the last :data:`MAX_NOTEBOOK_LINES`."""
        self.display: Any = None
        self.shown_at = 0.0

    def start(self, total_cells: int, done_cells: int) -> None:
        """See :class:`Progress`."""
        self.clock = _Clock(total_cells, done_cells)
        self._show(now=True)

    def cell(self, name: str, stage: str, step: int, steps: int) -> None:
        """See :class:`Progress`."""
        self.clock.update(name, stage, step, steps)
        self._show()

    def arm(self, name: str, status: int, seconds: float) -> None:
        """See :class:`Progress`."""
        if status in (Status.DIVERGED, Status.FAILED):
            self.say(f"{Status(status).words}: {name}")

    def say(self, line: str) -> None:
        """See :class:`Progress`."""
        self.lines = [*self.lines, line][-MAX_NOTEBOOK_LINES:]
        self._show(now=True)

    def split(self, seconds: Mapping[str, float]) -> None:
        """See :class:`Progress`."""
        self.say(shares(seconds))

    def finish(self) -> None:
        """See :class:`Progress`."""
        self.clock.running.clear()
        self._show(now=True)

    def _show(self, now: bool = False) -> None:
        """Replace the output, at most every :data:`NOTEBOOK_INTERVAL_S` seconds unless it has to be now."""
        if self.display is not None and not now and time.monotonic() - self.shown_at < NOTEBOOK_INTERVAL_S:
            return
        self.shown_at = time.monotonic()
        from biasprop.html.blocks import Paragraphs, ProgressBar
        from biasprop.html.templates import fragment

        left = f"about {self.clock.left()} left" if self.clock.running and self.clock.left() else ""
        running = [f"{name}: {_stage(*position)}" for name, position in self.clock.running.items()]
        said = [*self.lines, *running[:MAX_NOTEBOOK_LINES]]
        bar = ProgressBar("cells", self.clock.done, max(self.clock.total, 1), left)
        counted = f"cells {self.clock.done}/{self.clock.total}" + (f" ({left})" if left else "")
        text = "\n".join(map(terminal.printable, [counted, *said]))
        output = {"text/plain": text, "text/html": fragment([bar, Paragraphs(said)])}
        if self.display is None:
            self.display = sys.modules["IPython"].display.display(output, raw=True, display_id=True)
        else:
            self.display.update(output, raw=True)


def shares(seconds: Mapping[str, float]) -> str:
    """Seconds by stage as a line: ``computed for 12 min: compile 8%, pretrain 60%, ...``."""
    total = sum(seconds.values())
    parts = ", ".join(f"{stage} {spent / total:.0%}" for stage, spent in seconds.items()) if total else "nothing"
    return f"computed for {duration(total)}: {parts}"


def _stage(stage: str, step: int, steps: int) -> str:
    return f"{stage} {step}/{steps}" if steps > 1 else stage
