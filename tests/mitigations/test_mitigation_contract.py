"""The contract of mitigations, over both tables: no effect on balanced data, finite results without a subgroup."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.interfaces import Cohort, Labelled, RefitsHead
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.nn.heads import Head, solve
from biasprop.protocols import PROTOCOLS
from tests.members import image_spec, member, same

N, SHAPE, STEPS = 32, (4, 4, 1), 500
ENCODER = member("encoders", "linear", width=3)
ZERO = dict.fromkeys(("scale", "shift", "flip", "transpose", "gain", "offset"), 0.0)
RECIPE = {"schedule": {"steps": 50, "batch": 8, "learning_rate": 1e-2}, "augmentation": ZERO}
PROTOCOL: Any = member("protocols", "full", pretrained=RECIPE, scratch=RECIPE)
IMAGES = 0.5 + 0.2 * jax.random.normal(jax.random.key(1), (N, *SHAPE))
PARAMS = ENCODER.init(jax.random.key(2), image_spec(*SHAPE))
TASK = member("tasks", "disease")
HEAD = Head(jnp.array([1.0, -2.0, 0.5]), jnp.float32(0.2))


def labelled_set(subgroup: np.ndarray, label: np.ndarray, count: int = N) -> Labelled:
    """A labelled set with subgroups."""
    return Labelled(
        {"image": IMAGES}, jnp.asarray(label, jnp.int32), jnp.int32(count), jnp.eye(2)[jnp.asarray(subgroup)]
    )


BALANCED = labelled_set(np.arange(N) // 2 % 2, np.arange(N) % 2)
SKEWED = labelled_set((np.arange(N) % 8 == 0).astype(int), (np.arange(N) // 8 + np.arange(N)) % 2)
ONE_SUBGROUP = labelled_set(np.zeros(N, int), np.arange(N) % 2)


def task(mitigation: Any, train: Labelled) -> tuple[Any, Any]:
    """The task under a mitigation, and its initial parameters."""
    mitigated = mitigation.labelled(train)
    plain = PROTOCOL.training(TASK, ENCODER, PARAMS, True, mitigated, train, jax.random.key(3))
    return mitigation.training(plain), {"encoder": PARAMS, "head": HEAD} | mitigation.start(train)


@jax.jit
def _gradients(task: Any, params: Any, steps: Any) -> Any:
    return jax.vmap(jax.grad(task.loss), (None, 0))(params, steps)


def gradients(mitigation: Any, train: Labelled, steps: int = STEPS) -> dict[str, np.ndarray]:
    """Gradient of the loss of every step in encoder and head: [step, parameter]."""
    found = _gradients(*task(mitigation, train), jnp.arange(steps))
    rows = {name: [np.reshape(leaf, (steps, -1)) for leaf in jax.tree.leaves(found[name])] for name in found}
    return {name: np.concatenate(leaves, axis=1) for name, leaves in rows.items()}


@pytest.mark.parametrize("kind", MITIGATIONS)
def test_on_balanced_subjects_nothing_is_mitigated(kind: str) -> None:
    plain, found = gradients(member("mitigations", "none"), BALANCED), gradients(member("mitigations", kind), BALANCED)
    for name in ("encoder", "head"):
        difference = found[name] - plain[name]
        error = difference.std(axis=0) / STEPS**0.5
        # An adversary with step .01 moves slightly, because group losses differ by chance.
        assert np.all(np.abs(difference.mean(axis=0)) < 5 * error + 0.01 * np.abs(plain[name]).mean(axis=0)), name


@pytest.mark.parametrize("kind", MITIGATIONS)
def test_without_a_subgroup_everything_stays_finite(kind: str) -> None:
    mitigation = member("mitigations", kind)
    found = gradients(mitigation, ONE_SUBGROUP)
    assert all(np.isfinite(values).all() for values in found.values())
    assert np.abs(found["head"]).max() > 0
    if isinstance(mitigation, RefitsHead):
        head = mitigation.retrained(TASK, ENCODER.apply(PARAMS, {"image": IMAGES}), ONE_SUBGROUP)
        assert np.isfinite(head.weights).all() and np.isfinite(head.intercept)


@pytest.mark.parametrize("kind", [kind for kind, cls in MITIGATIONS.items() if isinstance(cls(), RefitsHead)])
def test_a_new_head_on_balanced_subjects_is_an_ordinary_one(kind: str) -> None:
    features = ENCODER.apply(PARAMS, {"image": IMAGES})
    head = member("mitigations", kind, penalties=(0.1,)).retrained(TASK, features, BALANCED)
    plain = solve(features, BALANCED.labels, jnp.int32(N), 0.1)
    assert np.allclose(head(features), plain(features), atol=1e-3)


@pytest.mark.parametrize("kind", MITIGATIONS)
def test_labels_and_subgroups_beyond_the_budget_cannot_change_anything(kind: str) -> None:
    mitigation = member("mitigations", kind)
    few = SKEWED._replace(count=jnp.int32(20))
    assert few.subgroup is not None
    other = few._replace(labels=few.labels.at[20:].set(1 - few.labels[20:]), subgroup=few.subgroup.at[20:].set(7.0))
    one, spoilt = (gradients(mitigation, train) for train in (few, other))
    assert all(same(one[name], spoilt[name]) for name in one)


@pytest.mark.parametrize("kind", MITIGATIONS)
def test_an_incompatible_protocol_is_named(kind: str) -> None:
    mitigation = member("mitigations", kind)
    whys = {protocol: mitigation.incompatibility(member("protocols", protocol)) for protocol in PROTOCOLS}
    assert whys["full"] is None
    assert all(why is None or (kind in why and protocol in why) for protocol, why in whys.items())


def cohort(shares: tuple[float, float]) -> Cohort:
    """A cohort in which a hash of the index determines the subgroup."""

    def subgroup_of(rows: jax.Array) -> jax.Array:
        drawn = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(jax.random.key(9), i)))(rows)
        return (drawn >= shares[0]).astype(jnp.int32)

    return Cohort(jnp.int32(4_000), jnp.asarray(shares), subgroup_of)


def counted(kind: str, shares: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Subgroups and loss weights of many batches of 16."""
    mitigation, whole = member("pretraining_mitigations", kind), cohort(shares)
    rows = jax.jit(jax.vmap(lambda i: mitigation.rows(jax.random.key(i), 16, whole)))(jnp.arange(80))
    assert rows.min() >= 0 and rows.max() < 4_000
    assert len(np.unique(rows)) > 400
    subgroup = whole.subgroup_of(rows.ravel()).reshape(rows.shape)
    weight = mitigation.weights(subgroup.ravel(), whole.shares)
    return np.asarray(subgroup), np.ones(rows.shape) if weight is None else np.asarray(weight).reshape(rows.shape)


@pytest.mark.parametrize("kind", PRETRAINING_MITIGATIONS)
def test_a_balanced_cohort_is_unchanged(kind: str) -> None:
    subgroup, weight = counted(kind, (0.5, 0.5))
    assert np.all(weight == 1) and subgroup.mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("kind", PRETRAINING_MITIGATIONS)
def test_a_cohort_without_a_subgroup_stays_finite(kind: str) -> None:
    subgroup, weight = counted(kind, (1.0, 0.0))
    assert np.all(subgroup == 0) and np.all(weight == 1)


@pytest.mark.parametrize("kind", PRETRAINING_MITIGATIONS)
def test_mitigations_balance_the_subgroups_of_a_skewed_cohort(kind: str) -> None:
    subgroup, weight = counted(kind, (0.9, 0.1))
    does = kind not in ("none", "continued")
    assert (weight * subgroup).sum() / weight.sum() == pytest.approx(0.5 if does else 0.1, abs=0.06)
    assert weight.mean() == pytest.approx(1, abs=0.2)
