"""The optimiser loop: learning rate, length, segments, divergence."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

from biasprop.nn import optimisation
from biasprop.nn.optimisation import NOT_DIVERGED, SEGMENT, Schedule
from tests.members import compiled, same


class Walk(NamedTuple):
    """Least squares to noisy targets; the loss becomes NaN at a given step."""

    schedule: Schedule
    breaks_at: Any = -1

    def loss(self, params: Any, step: Int[Array, ""]) -> Float[Array, ""]:
        target = jax.random.normal(jax.random.fold_in(jax.random.key(5), step), (3, 3))
        loss = jnp.mean((params["w"] - target) ** 2) + jnp.mean((params["b"] - 1) ** 2)
        return jnp.where(step == self.breaks_at, jnp.nan, loss)


PARAMS = {"w": jnp.full((3, 3), 2.0), "b": jnp.zeros(3)}


@jax.jit
def _segment(task: Walk, state: optimisation.State) -> tuple[optimisation.State, Array]:
    return optimisation.segment(task, state)


def run(task: Walk) -> tuple[optimisation.State, np.ndarray]:
    """Final state and losses of a whole run."""
    state, losses = optimisation.start(task, PARAMS), []
    for _ in range(optimisation.segment_count(int(task.schedule.steps))):
        state, segment = _segment(task, state)
        losses.append(np.asarray(segment))
    return state, np.concatenate(losses)


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    schedule = Schedule(steps=200, learning_rate=1e-2, warmup=0.1)
    rate = np.array([float(schedule.rate(jnp.int32(step))) for step in range(201)])
    assert rate[0] == 0 and rate[10] == pytest.approx(5e-3) and rate[20] == pytest.approx(1e-2)
    assert np.argmax(rate) == 20 and rate[200] == pytest.approx(0, abs=1e-8)
    assert np.all(np.diff(rate[:21]) > 0) and np.all(np.diff(rate[20:]) < 0)
    assert rate[110] == pytest.approx(5e-3), "half-way down"
    flat = Schedule(steps=100, learning_rate=1e-2, warmup=0.0)
    assert float(flat.rate(jnp.int32(0))) == pytest.approx(1e-2)


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    schedule = optimisation.ConstantSchedule(steps=200, learning_rate=1e-2, warmup=0.1)
    rate = np.array([float(schedule.rate(jnp.int32(step))) for step in range(201)])
    assert rate[0] == 0 and rate[10] == pytest.approx(5e-3) and np.allclose(rate[20:], 1e-2)


def test_a_cool_down_scales_updates_and_ends_the_run() -> None:
    task = Walk(optimisation.ConstantSchedule(steps=50, batch=2, learning_rate=1e-2, warmup=0.0, weight_decay=0.1))
    start = optimisation.start(task, PARAMS)

    @jax.jit
    def after(first: int, end: int) -> optimisation.State:
        return optimisation.segment(task, start, optimisation.CoolDown(jnp.int32(first), jnp.int32(end)))[0]

    moved = {end: np.abs(np.asarray(after(end, end).params["w"] - PARAMS["w"])).max() for end in (1, 2)}
    assert 0 < moved[1] < moved[2]
    halved = np.asarray(after(0, 1).params["w"] - PARAMS["w"])
    assert np.allclose(halved, np.asarray(after(1, 1).params["w"] - PARAMS["w"]) / 2, atol=1e-6)


@pytest.mark.parametrize("steps", [1, SEGMENT - 1, SEGMENT, SEGMENT + 7])
def test_a_run_takes_exactly_its_steps(steps: int) -> None:
    state, losses = run(Walk(Schedule(steps=steps, batch=2)))
    assert np.isfinite(losses).sum() == steps and np.isnan(losses[steps:]).all()
    assert int(state.diverged_at) == NOT_DIVERGED
    count = [int(leaf) for leaf in jax.tree.leaves(state.moments) if jnp.issubdtype(leaf.dtype, jnp.integer)]
    assert count and all(taken == steps for taken in count), "the optimiser counted steps beyond the end"
    longer = Walk(Schedule(steps=steps, batch=2))
    again = _segment(longer, state)[0]
    assert same(again.params, state.params), "a finished run changed parameters"


def test_segments_counts_up() -> None:
    assert [optimisation.segment_count(n) for n in (1, SEGMENT, SEGMENT + 1, 3 * SEGMENT)] == [1, 1, 2, 3]


def test_segments_are_one_long_run_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Walk(Schedule(steps=130, batch=2))
    state, losses = run(task)
    monkeypatch.setattr(optimisation, "SEGMENT", 150)
    whole, all_losses = jax.jit(lambda t, s: optimisation.segment(t, s))(task, optimisation.start(task, PARAMS))
    assert same(whole.params, state.params) and same(whole.moments, state.moments)
    assert same(all_losses[:130], losses[:130])


def test_a_run_resumes_from_its_stored_state_bit_for_bit() -> None:
    task = Walk(Schedule(steps=120, batch=2))
    state = optimisation.start(task, PARAMS)
    for _ in range(optimisation.segment_count(120)):
        stored = jax.tree.map(np.asarray, state)
        state, _ = _segment(task, jax.tree.map(jnp.asarray, stored))
    assert same(state, run(task)[0])


def test_loss_falls_and_decay_is_on_matrices_only() -> None:
    _, losses = run(Walk(Schedule(steps=200, batch=2, learning_rate=0.05)))
    assert losses[190:200].mean() < 0.7 * losses[:10].mean()
    frozen = Schedule(steps=100, batch=2, learning_rate=0.05, weight_decay=1.0)
    transform = frozen.transformation()
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    moments = transform.init(PARAMS)
    updates: Any = zero
    for _ in range(10):
        updates, moments = transform.update(zero, moments, {"w": PARAMS["w"], "b": jnp.ones(3)})
    assert np.all(np.asarray(updates["w"]) < 0) and np.all(np.asarray(updates["b"]) == 0)


@pytest.mark.parametrize("at", [0, 13, SEGMENT + 5])
def test_a_diverged_run_stands_still_and_says_when(at: int) -> None:
    schedule = Schedule(steps=120, batch=2)
    state, losses = run(Walk(schedule, at))
    assert int(state.diverged_at) == at
    assert np.isfinite(losses[:at]).all() and np.isnan(losses[at:]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    healthy = optimisation.start(Walk(schedule), PARAMS)
    one_step = jax.jit(lambda t, s: _until(t, s, at))
    assert same(one_step(Walk(schedule), healthy), state.params), "parameters are those before the step"


def _until(task: Walk, state: optimisation.State, steps: int) -> Any:
    """Parameters after so many steps of a healthy run, taken one by one."""
    stopped = Walk(task.schedule, jnp.int32(steps))
    for _ in range(-(-(steps + 1) // SEGMENT)):
        state, _ = optimisation.segment(stopped, state)
    return state.params


def test_an_infinite_update_counts_as_divergence() -> None:
    class Steep(NamedTuple):
        schedule: Schedule

        def loss(self, params: Any, step: Int[Array, ""]) -> Float[Array, ""]:
            away = params["b"] - jax.lax.stop_gradient(params["b"])
            return jnp.sqrt(jnp.sum(away**2) + (step != 7)) + params["w"].sum()

    task = Steep(Schedule(steps=20, batch=2))
    state, losses = jax.jit(lambda t, s: optimisation.segment(t, s))(task, optimisation.start(task, PARAMS))
    assert np.isfinite(losses[7]), "the loss is finite, its slope is not"
    assert int(state.diverged_at) == 7


def test_lengths_and_rates_share_one_compiled_segment() -> None:
    segment = jax.jit(lambda t, s: optimisation.segment(t, s))
    for steps, rate in [(10, 1e-3), (40, 1e-2), (50, 1e-4)]:
        task = Walk(Schedule(steps=steps, batch=2, learning_rate=rate))
        segment(task, optimisation.start(task, PARAMS))
    assert compiled(segment) == 1
