"""The contract of pretraining loops, over their table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.execution import checkpoint
from biasprop.execution.checkpoint import Checkpoint
from biasprop.loops import LOOPS
from biasprop.nn.optimisation import NOT_DIVERGED
from biasprop.store.encoders import EncoderStore
from biasprop.training import pretrain
from biasprop.training.batching import Batch, over_cells
from biasprop.training.pretraining_task import PretrainingTask
from tests.members import batch, condition, differing, member, same
from tests.program.small_experiment import quiet

EVERY: list[Any] = [member("loops", kind) for kind in LOOPS]
PARTS = {"generator": differing("gaussian"), "encoder": member("encoders", "linear")}


def cells(loop: Any, width: int = 1, segments: float = 3, **schedule: Any) -> Batch:
    """Cells that train for some segments of a loop, with different mixes."""
    steps = int(segments * loop.segment_steps)
    every = [condition("reconstruction", (share, 1 - share), **PARTS, steps=steps, **schedule) for share in (0.2, 0.7)]
    with_loop = [c.model_copy(update={"pretraining": c.pretraining.model_copy(update={"loop": loop})}) for c in every]
    return batch(*((one, replicate) for replicate, one in enumerate(with_loop[:width])))


@pytest.mark.parametrize("loop", EVERY, ids=lambda loop: loop.kind)
def test_parameters_are_trained_and_keep_their_structure(loop: Any) -> None:
    one = cells(loop)
    before = pretrain.untrained(one)
    after, diverged = pretrain.pretrain(one, quiet)
    assert jax.tree.structure(after) == jax.tree.structure(before) and diverged == [""]
    assert not same(after, before) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))
    loss = over_cells(lambda task, params, step: task.loss(params, step))
    first, last = (float(loss(PretrainingTask(*one), params, jnp.array([0]))[0]) for params in (before, after))
    assert last < first


@pytest.mark.parametrize("loop", EVERY, ids=lambda loop: loop.kind)
@pytest.mark.parametrize("segment", [1, 2])
def test_a_run_that_resumes_after_any_segment_gives_the_same_bits(
    loop: Any, segment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)
    one, steps = cells(loop), []

    def interrupt(_: str, step: int, __: int) -> None:
        if step == segment * loop.segment_steps:
            raise KeyboardInterrupt

    def kept() -> Checkpoint:
        return Checkpoint(EncoderStore(tmp_path), ["a/replicate-0"], lambda event: None)

    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(one, interrupt, kept())
    resumed, _ = pretrain.pretrain(one, lambda _, step, __: steps.append(step), kept())
    assert steps == [loop.segment_steps * number for number in range(segment, 3)]
    assert same(resumed, pretrain.pretrain(one, quiet)[0])


@pytest.mark.parametrize("loop", EVERY, ids=lambda loop: loop.kind)
def test_a_cell_in_a_batch_agrees_with_the_cell_alone(loop: Any) -> None:
    both = cells(loop, width=2, segments=1)
    alone = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], both) for i in range(2)]
    together = pretrain.pretrain(both, quiet)[0]
    for i, one in enumerate(alone):
        for x, y in zip(jax.tree.leaves(together), jax.tree.leaves(pretrain.pretrain(one, quiet)[0]), strict=True):
            np.testing.assert_allclose(x[i], y[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loop", EVERY, ids=lambda loop: loop.kind)
def test_steps_beyond_the_schedule_change_nothing(loop: Any) -> None:
    one = cells(loop, segments=1)
    task = pretrain.prepared(one)
    state, losses = over_cells(pretrain.run_segment)(task, over_cells(pretrain.start)(task, pretrain.untrained(one)))
    later, beyond = over_cells(pretrain.run_segment)(task, state)
    assert same(loop.params(later), loop.params(state))
    assert losses.shape == (1, loop.segment_steps) and np.isfinite(losses).all() and np.isnan(beyond).all()
    assert [int(one.step[0]) for one in (state, later)] == [loop.segment_steps, 2 * loop.segment_steps]


@pytest.mark.parametrize("loop", EVERY, ids=lambda loop: loop.kind)
def test_a_run_that_diverges_keeps_its_last_finite_parameters_and_says_when(loop: Any) -> None:
    one = cells(loop, segments=1)
    schedule = one.condition.pretraining.schedule.model_copy(update={"learning_rate": np.array([np.nan])})
    pretraining = one.condition.pretraining.model_copy(update={"schedule": schedule})
    sick = Batch(one.condition.model_copy(update={"pretraining": pretraining}), one.key)
    params, (why,) = pretrain.pretrain(sick, quiet)
    assert same(params, pretrain.untrained(one)) and why == "the update of step 0 is not finite"
    assert NOT_DIVERGED == -1
