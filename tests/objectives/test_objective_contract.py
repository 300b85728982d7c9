"""The contract of objectives, over their table."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from biasprop.encoders.patches import INPUT
from biasprop.objectives import OBJECTIVES
from biasprop.population import pools
from tests.members import images, member, same, subjects

TRAINED = [kind for kind, cls in OBJECTIVES.items() if getattr(cls, "trains", True)]
KEY = jax.random.key(2)
ENCODER = member("encoders", "vit")
GENERATOR = member("generators", "dermoscopy", subgroups={"a": "light", "b": "dark"})


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """A small batch."""
    return images(GENERATOR, subjects(16))


def start(objective: Any) -> dict[str, Any]:
    """Parameters of the encoder, and those that are discarded after pretraining."""
    spec = GENERATOR.spec
    return {"encoder": ENCODER.init(KEY, spec), "extra": objective.init(jax.random.key(5), ENCODER, spec)}


@functools.cache
def additional_inputs_of(kind: str) -> dict[str, Any]:
    """Additional inputs of an objective, computed once instead of in every compiled loss."""
    return pools.additional_inputs(member("objectives", kind), GENERATOR, subjects(16))


def _loss(params: Any, objective: Any, x: jax.Array, key: jax.Array, read: dict[str, Any]) -> jax.Array:
    return objective.loss(ENCODER, params["encoder"], params["extra"], {"image": x}, key, **read)


loss_of, slopes_of = jax.jit(_loss), jax.jit(jax.grad(_loss))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_loss_takes_examples_and_the_declared_inputs(kind: str) -> None:
    cls: Any = OBJECTIVES[kind]
    names = list(inspect.signature(cls.loss).parameters)
    assert names == ["self", "encoder", "params", "extra", "examples", "key", *cls.reads, "weight"]
    assert set(cls.reads) <= {"attribute", "follow_up"}, "neither subgroup nor label"


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_additional_inputs_are_independent_of_subgroup_and_label(kind: str) -> None:
    """Additional inputs are equal for twins in subgroup and label, unless they are examples."""
    objective, who = member("objectives", kind), subjects(16)
    read = additional_inputs_of(kind)
    other = pools.additional_inputs(objective, GENERATOR, who._replace(subgroup=1 - who.subgroup, label=1 - who.label))
    for name, values in read.items():
        assert isinstance(values, dict) or same(values, other[name]), name


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_loss_is_a_finite_number_that_nothing_but_the_key_may_change(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective)
    keys = (KEY, KEY, jax.random.key(99))
    one, again, other = (loss_of(params, objective, batch, key, additional_inputs_of(kind)) for key in keys)
    assert one.shape == () and np.isfinite(one) and same(one, again)
    assert kind in TRAINED or same(one, other)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_gradients_are_finite_and_reach_every_parameter(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective)
    slopes = slopes_of(params, objective, batch, KEY, additional_inputs_of(kind))
    for path, leaf in jax.tree_util.tree_leaves_with_path(slopes):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
    trained = {name: leaf for name, leaf in slopes["encoder"].items() if name != INPUT}
    moved = [float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(trained)]
    assert all(moved) if kind in TRAINED else not any(moved)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_gradients_are_finite_on_an_image_without_content(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective)
    slopes = slopes_of(params, objective, jnp.full_like(batch, 0.5), KEY, additional_inputs_of(kind))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("kind", TRAINED)
def test_loss_falls(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective)
    transform, read = optax.adam(3e-3), additional_inputs_of(kind)

    def step(state: Any, index: jax.Array) -> Any:
        current, moments = state
        key = jax.random.fold_in(KEY, index)
        loss, slopes = jax.value_and_grad(_loss)(current, objective, batch, key, read)
        updates, moments = transform.update(slopes, moments)
        return (optax.apply_updates(current, updates), moments), loss

    run = jax.jit(lambda p: jax.lax.scan(step, (p, transform.init(p)), jnp.arange(150))[1])
    losses = np.asarray(run(params))
    assert np.isfinite(losses).all()
    assert losses[-20:].mean() < 0.9 * losses[:5].mean()
