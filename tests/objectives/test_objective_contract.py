"""What every objective promises, over the table of objectives."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from biasprop.objectives import OBJECTIVES
from tests.members import images, member, same, subjects

TRAINED = [kind for kind, cls in OBJECTIVES.items() if getattr(cls, "trains", True)]
KEY = jax.random.key(2)
ENCODER = member("encoders", "vit")


@pytest.fixture(scope="module")
def batch() -> jax.Array:
    """A toy batch."""
    return images(member("generators", "dermoscopy", subgroups={"a": "light", "b": "dark"}), subjects(16))


def start(objective: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Parameters of the encoder and of what is thrown away."""
    return {"encoder": ENCODER.init(KEY, shape), "extra": objective.init(jax.random.key(5), ENCODER, shape)}


@jax.jit
def _loss(objective: Any, params: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    return objective.loss(ENCODER, params["encoder"], params["extra"], x, key)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_an_objective_sees_images_and_nothing_else(kind: str) -> None:
    names = list(inspect.signature(OBJECTIVES[kind].loss).parameters)  # pyright: ignore[reportAttributeAccessIssue]
    assert names == ["self", "encoder", "params", "extra", "images", "key"]


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_loss_is_a_finite_number_that_nothing_but_the_key_may_change(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective, batch.shape[1:])
    one, again, other = (_loss(objective, params, batch, key) for key in (KEY, KEY, jax.random.key(99)))
    assert one.shape == () and np.isfinite(one) and same(one, again)
    assert kind in TRAINED or same(one, other)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_gradients_are_finite_and_reach_every_parameter(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective, batch.shape[1:])
    slopes = jax.jit(jax.grad(lambda p: _loss(objective, p, batch, KEY)))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(slopes):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
    moved = [float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(slopes["encoder"])]
    assert all(moved) if kind in TRAINED else not any(moved)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_gradients_are_finite_on_an_image_without_content(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective, batch.shape[1:])
    slopes = jax.jit(jax.grad(lambda p: _loss(objective, p, jnp.full_like(batch, 0.5), KEY)))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("kind", TRAINED)
def test_loss_falls(kind: str, batch: jax.Array) -> None:
    objective = member("objectives", kind)
    params = start(objective, batch.shape[1:])
    transform = optax.adam(3e-3)

    def step(state: Any, index: jax.Array) -> Any:
        current, moments = state
        loss, slopes = jax.value_and_grad(lambda p: _loss(objective, p, batch, jax.random.fold_in(KEY, index)))(current)
        updates, moments = transform.update(slopes, moments)
        return (optax.apply_updates(current, updates), moments), loss

    run = jax.jit(lambda p: jax.lax.scan(step, (p, transform.init(p)), jnp.arange(150))[1])
    losses = np.asarray(run(params))
    assert np.isfinite(losses).all()
    assert losses[-20:].mean() < 0.9 * losses[:5].mean()
