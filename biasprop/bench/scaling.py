"""Time of a pretraining step against image size, batch size, cells in a batch, and number of cells of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from biasprop.bench.stages import Workload, batch, shortened
from biasprop.bench.timing import timed
from biasprop.component import Definition
from biasprop.nn.optimisation import SEGMENT
from biasprop.study import design
from biasprop.study.study import Study
from biasprop.training import pretrain

SIZES = (0.5, 1, 2)
"""Image sizes, as multiples of the study's."""

BATCHES = (0.25, 1, 4)
"""Images per step, as multiples of the study's."""

WIDTHS = (1, 2, 4)
"""Numbers of cells in a batch, on a CPU."""

WIDTHS_ON_DEVICE = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of cells in a batch, on an accelerator."""


class Point(NamedTuple):
    """One measurement on one axis."""

    axis: str
    at: int
    seconds: float
    """Per image; per cell on the axis ``cell of the study``."""
    compiled: int
    """Number of programs that had to be compiled for it."""


def points(study: Study, repeats: int, wide: bool) -> Iterator[Point]:
    """Measure along every axis.

    Args:
        study: with an objective that trains.
        repeats: timings of each point, of which the best counts.
        wide: use the numbers of cells for an accelerator.
    """
    size, images = study.generator.spec["image"].shape[0], study.pretraining.schedule.batch
    for factor in SIZES:
        if (at := round(size * factor)) % getattr(study.encoder, "patch", 1) == 0:
            yield _step("image size", at, lambda at=at: Workload(changed(study, "size", at)), repeats)
    for factor in BATCHES:
        at = max(2, round(images * factor))
        yield _step("batch", at, lambda at=at: Workload(changed(study, "batch", at)), repeats)
    for at in WIDTHS_ON_DEVICE if wide else WIDTHS:
        yield _step("cells in a batch", at, lambda at=at: Workload(study, at), repeats)
    yield from _cells(study)


def _step(axis: str, at: int, make: Callable[[], Workload], repeats: int) -> Point:
    with _Compilations() as compiled:
        stage = next(iter(make().pretrain()))
        seconds = timed(stage.run, repeats).best / stage.work
    return Point(axis, at, seconds, compiled.count)


def _cells(study: Study) -> Iterator[Point]:
    """One segment of each of the first cells: only the first one should compile programs."""
    trained = [cell for cell in design.cells(study) if cell.condition.pretraining.objective.trains]
    for number, cell in enumerate(trained[:3] + trained[-1:], start=1):
        with _Compilations() as compiled:
            began = time.perf_counter()
            short = batch(shortened(cell.condition, SEGMENT), study.seed, 1)
            jax.block_until_ready(pretrain.pretrain(short, lambda stage, step, steps: None))
            seconds = time.perf_counter() - began - compiled.seconds
        yield Point("cell of the study", number, seconds, compiled.count)


def changed(part: Any, name: str, value: int) -> Any:
    """A copy of a definition with every integer of this name, at any depth, set to ``value``."""
    if isinstance(part, dict):
        return {key: changed(child, name, value) for key, child in part.items()}
    if not isinstance(part, Definition):
        return part
    fields = {field: changed(getattr(part, field), name, value) for field in type(part).model_fields}
    if isinstance(fields.get(name), int):
        fields[name] = value
    return part.model_copy(update=fields)


class _Compilations:
    """Counts compilations inside, and times tracing, lowering and compiling."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile"):
            self.seconds += duration_secs
            self.count += event.endswith("backend_compile_duration")

    def __enter__(self) -> _Compilations:
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *exception: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
