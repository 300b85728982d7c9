"""The contract of optimisers, over their table."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from biasprop.nn.optimisation import Schedule
from biasprop.optimisers import OPTIMISERS
from biasprop.study.load import load_study
from tests.members import member, same
from tests.source_tree import ROOT

TARGET = {"matrix": jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))[0]), "bias": jnp.ones(4)}
ZERO = jax.tree.map(jnp.zeros_like, TARGET)


def distance(params: Any) -> Any:
    """Squared distance from the target, the matrix 100 times more sensitive along one axis than along another."""
    scale = jnp.logspace(0, 1, 4)
    return sum(jnp.sum(jnp.square((params[name] - TARGET[name]) * scale)) for name in TARGET)


def descended(transformation: optax.GradientTransformation, steps: int, params: Any = ZERO) -> Any:
    def step(carried: Any, _: None) -> tuple[Any, None]:
        params, state = carried
        updates, state = transformation.update(jax.grad(distance)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, transformation.init(params)), length=steps)[0][0]


def made(kind: str, rate: float = 1e-2, decay: float = 0.0) -> optax.GradientTransformation:
    return member("optimisers", kind).transformation(lambda step: jnp.float32(rate), decay)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_it_descends_and_every_parameter_moves(kind: str) -> None:
    after = descended(made(kind), 300)
    assert distance(after) < 0.05 * distance(ZERO)
    assert all(np.abs(after[name] - ZERO[name]).min() > 0 for name in TARGET)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_the_first_step_is_proportional_to_the_rate_and_the_rate_is_read_at_the_step(kind: str) -> None:
    one, three = (descended(made(kind, rate), 1) for rate in (1e-3, 3e-3))
    for name in TARGET:
        np.testing.assert_allclose(3 * one[name], three[name], rtol=1e-4)
    stopped = member("optimisers", kind).transformation(lambda step: jnp.where(step < 1, 1e-3, 0.0), 0.0)
    assert same(descended(stopped, 5), descended(stopped, 1))


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_matrices_decay_and_nothing_else(kind: str) -> None:
    plain, decayed = (descended(made(kind, decay=decay), 1, TARGET) for decay in (0.0, 0.5))
    np.testing.assert_allclose(decayed["matrix"], plain["matrix"] - 1e-2 * 0.5 * TARGET["matrix"], atol=1e-6)
    assert same(decayed["bias"], plain["bias"])


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_rates_and_fields_are_traced(kind: str) -> None:
    """One compiled program serves all rates, and a batch of cells has one rate each."""

    def after(schedule: Schedule) -> Any:
        return descended(schedule.transformation(), 3)

    one, other = (Schedule(learning_rate=rate, optimiser=member("optimisers", kind)) for rate in (1e-3, 2e-3))
    both = jax.vmap(after)(jax.tree.map(lambda *leaves: jnp.stack(leaves), one, other))
    for i, schedule in enumerate((one, other)):
        for name, leaf in after(schedule).items():
            np.testing.assert_allclose(both[name][i], leaf, rtol=1e-4, atol=1e-7)


def test_muon_moves_a_matrix_alike_in_all_directions() -> None:
    """The singular values of its update are nearly equal, however unequal those of the gradient are."""
    update = descended(made("muon", rate=1.0), 1)["matrix"]
    singular = np.linalg.svd(np.asarray(update), compute_uv=False)
    assert singular.max() / singular.min() < 2.5
    gradient = np.linalg.svd(np.asarray(jax.grad(distance)(ZERO)["matrix"]), compute_uv=False)
    assert gradient.max() / gradient.min() > 20
    assert np.sqrt(np.mean(np.square(update))) == pytest.approx(0.2, rel=0.3)


def test_a_study_can_vary_the_optimiser() -> None:
    path = ROOT / "studies" / "skin_tone.toml"
    plain = load_study(path)
    stated = load_study(path, ("pretraining.schedule.optimiser='muon'",))
    muon = load_study(path, ("pretraining.schedule.optimiser={kind='muon', momentum=0.9}",))
    assert plain.base_table() == stated.base_table() != muon.base_table()
    assert muon.pretraining.schedule.optimiser == member("optimisers", "muon", momentum=0.9)
