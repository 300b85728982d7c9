"""What a pretraining step costs against image size, batch, cells in a batch, and the number of cells of a study."""

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
"""Image sizes over the study's own."""

BATCHES = (0.25, 1, 4)
"""Images a step over the study's own."""

WIDTHS = (1, 2, 4)
"""Cells in a batch, on a CPU."""

WIDTHS_ON_DEVICE = (1, 2, 4, 8, 16, 32, 64)
"""The same on an accelerator."""


class Point(NamedTuple):
    """The cost at one place of an axis."""

    axis: str
    at: int
    seconds: float
    """For one image; for one cell where the axis counts cells."""
    compiled: int
    """Programs that had to be compiled for it."""


def points(study: Study, repeats: int, wide: bool) -> Iterator[Point]:
    """Every axis.

    Args:
        study: with a pretraining that trains.
        repeats: timings at each place, of which the best counts.
        wide: the accelerator's widths.
    """
    size, images = study.generator.shape[0], study.pretraining.schedule.batch
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
    with _compilations() as compiled:
        stage = next(iter(make().pretrain()))
        seconds = timed(stage.run, repeats).best / stage.work
    return Point(axis, at, seconds, compiled.count)


def _cells(study: Study) -> Iterator[Point]:
    """One segment of each of the first pretraining conditions and replicates: only the first is compiled."""
    found = [cell for cell in design.cells(study) if cell.condition.pretraining.objective.trains]
    for number, cell in enumerate(found[:3] + found[-1:], start=1):
        with _compilations() as compiled:
            began = time.perf_counter()
            own = batch(shortened(cell.condition, SEGMENT), study.seed, 1)
            jax.block_until_ready(pretrain.pretrain(own, lambda stage, step, steps: None))
            seconds = time.perf_counter() - began - compiled.seconds
        yield Point("cell of the study", number, seconds, compiled.count)


def changed(part: Any, name: str, value: int) -> Any:
    """A definition with every whole number of this name, however deep, set to a value."""
    if isinstance(part, dict):
        return {key: changed(child, name, value) for key, child in part.items()}
    if not isinstance(part, Definition):
        return part
    own = {field: changed(getattr(part, field), name, value) for field in type(part).model_fields}
    if isinstance(own.get(name), int):
        own[name] = value
    return part.model_copy(update=own)


class _compilations:
    """Counts and times what is traced, lowered and compiled inside."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile"):
            self.seconds += duration_secs
            self.count += event.endswith("backend_compile_duration")

    def __enter__(self) -> _compilations:
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *exception: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
