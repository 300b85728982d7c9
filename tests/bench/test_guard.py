"""What a study costs, held in place without a clock: programs, operations and buffers.

A number that falls is good news: lower the bound. One that rises has to be wanted.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest

from biasprop.bench.operations import FORWARD, Recorded, flops, products, recorded
from biasprop.bench.programs import buffers
from biasprop.bench.stages import batch as first_replicates
from biasprop.nn import optimisation
from biasprop.study.load import load_study
from biasprop.training import pretrain, pretraining_task
from biasprop.training.batching import over_cells
from tests.members import batch, condition
from tests.program import small_experiment
from tests.program.small_experiment import finetuner, scores
from tests.source_tree import ROOT

PROGRAMS = 19
"""Compiled for a study of one structure: both protocols, whatever the mixes, replicates and budgets."""

STEP = {"contrastive": 19e6, "masked": 7e6}
"""Objective -> operations of matrix products in a pretraining step of the main study, an image, rendering and optimiser
included."""

SEGMENT_BYTES = 250_000
"""Temporary buffers of a pretraining segment of the small cell."""


def study(mixes: list[tuple[float, float]], replicates: int, budgets: list[int]) -> Recorded:
    """What runs in a small study."""
    with recorded() as found:
        for mix in mixes:
            for replicate in range(replicates):
                cell = batch((condition(shares=mix), replicate))
                one = finetuner(cell, small_experiment.pretrain(cell))
                for kind in ("linear_probe", "full"):
                    for labels in budgets:
                        scores(one, kind, labels)
    return found


@pytest.mark.slow
def test_programs_depend_on_structure_alone() -> None:
    small, large = study([(0.5, 0.5)], 1, [16]), study([(1.0, 0.0), (0.5, 0.5)], 2, [8, 16])
    assert list(small.programs) == list(large.programs), "a mix, replicate or budget compiles a program of its own"
    assert len(small.programs) <= PROGRAMS, [one.name for one in small.programs.values()]


def traced(cell: Any) -> tuple[Any, Any]:
    """A pretraining task and its state as shapes; nothing is computed."""
    task = pretraining_task.PretrainingTask(*cell)
    params = jax.eval_shape(lambda key: pretrain.untrained(cell._replace(key=key)), cell.key)
    return task, jax.eval_shape(over_cells(optimisation.start), task, params)


@pytest.mark.parametrize("objective", STEP)
def test_operations_of_a_pretraining_step(objective: str) -> None:
    """Of the main study, an image: the encoder's own three products a weight, and little besides."""
    main = load_study(ROOT / "studies" / "skin_tone.toml", (f"pretraining.objective={objective}",))
    cell = first_replicates(main.pretraining_condition(), main.seed, 1)
    counts = products(over_cells(optimisation.segment, donate=1), *traced(cell))
    images = optimisation.SEGMENT * main.pretraining.schedule.batch
    one, (height, width, channels) = main.encoder, main.generator.spec["image"].shape
    tokens, d = height * width // one.patch**2, one.width
    weights = tokens * d * one.patch**2 * channels  # and of each block: four of attention, two of the MLP
    weights += one.depth * tokens * d * d * (4 + 2 * one.expansion)
    mixing = one.depth * 2 * tokens**2 * d
    encoder = 3 * 2 * (weights + mixing)  # forward and two gradients
    views = 2 if objective == "contrastive" else 0.25  # of 16 patches masked leaves 4
    found = flops(counts) / images
    assert 0.9 * views * encoder < found
    assert found < STEP[objective], f"{found / 1e6:.2f} MFLOP"
    forward = sum(times * product.flops for product, times in counts.items() if product.role == FORWARD)
    # The optimiser's products count as forward ones.
    assert forward < 0.55 * flops(counts), "more is done forward than back"


@pytest.mark.slow
def test_buffers_of_a_segment_stay_and_do_not_grow_with_the_cohort_or_the_steps() -> None:
    found = []
    for cohort, steps in ((64, 4), (6_400, 400)):
        cell = batch((condition(cohort=cohort, steps=steps), 0))
        task, state = traced(cell)
        found.append(buffers(over_cells(optimisation.segment, donate=1).lower(task, state).compile()))
    assert found[0] == found[1]
    assert found[0]["temporary"] < SEGMENT_BYTES, found[0]
    parameters = sum(4 * math.prod(leaf.shape) for leaf in jax.tree.leaves(traced(cell)[1]) if np.ndim(leaf))
    assert found[0]["arguments"] < 2 * parameters + 10_000, "images or subjects are handed to a training step"
