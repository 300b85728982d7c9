"""The contract of gradient protocols, over their table."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.encoders.patches import INPUT
from biasprop.interfaces import Labelled
from biasprop.nn import optimisation
from biasprop.protocols import PROTOCOLS
from biasprop.training import adapt
from tests.members import image_spec, images, member, same, subjects

GRADIENT_METHODS = [kind for kind, cls in PROTOCOLS.items() if cls.adapts_encoder]  # pyright: ignore[reportAttributeAccessIssue]
ENCODER = member("encoders", "vit", depth=2)
TASK = member("tasks", "disease")
PARAMS = ENCODER.init(jax.random.key(0), image_spec(16, 16, 3))
LABELLED = {"image": images(member("generators", "dermoscopy"), subjects(16))}, subjects(16).label
RECIPE: dict[str, Any] = {
    "schedule": {"steps": 50, "batch": 8, "learning_rate": 1e-2, "weight_decay": 0.1},
    "augmentation": {},
}

_start, _train = jax.jit(adapt._started), jax.jit(adapt._finetuning_segment)


def protocol(kind: str, **values: Any) -> Any:
    """A protocol with a short recipe and strong weight decay."""
    return member("protocols", kind, **{"pretrained": RECIPE, "scratch": RECIPE} | values)


def start(one: Any) -> Any:
    """Initial trainable parameters."""
    return one.start(jax.random.key(1), ENCODER, PARAMS, TASK.head(ENCODER.width))


@functools.cache
def trained(kind: str, unfrozen_by: int = 25, steps: int = 50, **values: Any) -> Any:
    """All encoder parameters at the end of a segment, whether or not they are the best so far."""
    recipe = RECIPE | {"schedule": RECIPE["schedule"] | {"steps": steps}, "stopping": {"cooldown": 0.0}} | values
    given = {"unfrozen_by": unfrozen_by} if "unfrozen_by" in PROTOCOLS[kind].model_fields else {}
    one = protocol(kind, pretrained=recipe, **given)
    everyone = Labelled(*LABELLED, jnp.int32(16))
    task = one.training(TASK, ENCODER, PARAMS, True, everyone, everyone, jax.random.key(7))
    rule = one.recipe(True)
    state = _train(task, rule.stopping, _start(task, rule, 16, start(one))).state
    assert int(state.diverged_at) == optimisation.NOT_DIVERGED
    return one.merge(ENCODER, PARAMS, state.params["encoder"])


def pairs(after: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(path, before, after) of every parameter of the encoder."""
    leaves = jax.tree_util.tree_leaves_with_path(PARAMS)
    return [
        (jax.tree_util.keystr(path), np.asarray(leaf), np.asarray(other))
        for (path, leaf), other in zip(leaves, jax.tree.leaves(after), strict=True)
    ]


@pytest.mark.parametrize("kind", GRADIENT_METHODS)
def test_adapting_starts_from_the_encoder_as_it_is_and_a_head_at_chance(kind: str) -> None:
    one = protocol(kind)
    moved = start(one)
    assert same(one.merge(ENCODER, PARAMS, moved["encoder"]), PARAMS)
    assert not np.any(moved["head"](jnp.ones((2, ENCODER.width))))


@pytest.mark.parametrize("kind", GRADIENT_METHODS)
def test_frozen_parameters_keep_their_bits_and_all_others_move(kind: str) -> None:
    one = protocol(kind)
    nudged = jax.tree.map(lambda leaf: leaf + 0.5, start(one)["encoder"])
    merged = pairs(one.merge(ENCODER, PARAMS, nudged))
    may_move = {name for name, old, new in merged if not np.array_equal(old, new) and INPUT not in name}
    moved = {name for name, old, new in pairs(trained(kind)) if old.tobytes() != new.tobytes()}
    assert moved == may_move
    assert (len(moved) == sum(INPUT not in name for name, _, _ in merged)) == one.adapts_all


@pytest.mark.parametrize("kind", GRADIENT_METHODS)
def test_layers_far_from_the_head_move_less_with_layer_decay(kind: str) -> None:
    """A rate of almost 0 for the last layer leaves every layer of the encoder as it is."""
    assert any(not np.array_equal(old, new) for _, old, new in pairs(trained(kind)))
    for name, old, new in pairs(trained(kind, layer_decay=1e-9)):
        assert np.allclose(old, new, atol=1e-6), name


def test_the_rate_of_a_layer_is_a_power_of_the_decay() -> None:
    one = protocol("full", pretrained=RECIPE | {"layer_decay": 0.5})
    everyone = Labelled(*LABELLED, jnp.int32(16))
    rates = one.training(TASK, ENCODER, PARAMS, True, everyone, everyone, jax.random.key(7)).layer_rates
    assert rates["blocks"][1]["attention"]["out"]["kernel"] == 0.5
    assert rates["blocks"][0]["attention"]["out"]["kernel"] == 0.25
    assert jax.tree.leaves(rates["embed"]) and all(rate == 0.125 for rate in jax.tree.leaves(rates["embed"]))
