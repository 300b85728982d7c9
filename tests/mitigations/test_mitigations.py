"""Mitigations against their formulae, and the whole experiment under each of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop import keys
from biasprop.mitigations import MITIGATIONS, PRETRAINING_MITIGATIONS
from biasprop.study.conditions import Finetuning, PretrainingCondition
from biasprop.training import pretraining_task
from biasprop.training.batching import Batch
from tests.members import batch, condition, member, same
from tests.mitigations.test_mitigation_contract import (
    ENCODER,
    IMAGES,
    PARAMS,
    PROTOCOL,
    SKEWED,
    TASK,
    N,
    gradients,
    task,
)
from tests.program.small_experiment import finetuner, finetuning, numbers, pretrain, quiet, scorer

GROUP = np.argmax(np.asarray(SKEWED.subgroup), axis=1) * 2 + np.asarray(SKEWED.labels)
COUNTS = np.bincount(GROUP, minlength=4)


def test_weights_are_one_over_the_groups_share() -> None:
    weight = np.asarray(member("mitigations", "reweighting").labelled(SKEWED).weight)
    assert np.allclose(weight, N / (4 * COUNTS[GROUP])) and weight.mean() == pytest.approx(1)
    by_subgroup = np.asarray(member("mitigations", "reweighting", balanced="subgroup").labelled(SKEWED).weight)
    assert np.allclose(by_subgroup, np.where(GROUP < 2, N / (2 * 28), N / (2 * 4)))


def test_resampling_and_reweighting_have_the_same_expected_gradient() -> None:
    kinds = ("reweighting", "resampling", "none")
    weighted, drawn, plain = (gradients(member("mitigations", kind), SKEWED, steps=2_000) for kind in kinds)
    for name in ("encoder", "head"):
        error = np.sqrt(weighted[name].var(axis=0) + drawn[name].var(axis=0)) / len(drawn[name]) ** 0.5
        assert np.all(np.abs(weighted[name].mean(axis=0) - drawn[name].mean(axis=0)) < 5 * error)
        assert np.any(np.abs(weighted[name].mean(axis=0) - plain[name].mean(axis=0)) > 8 * error)


def test_the_adversary_ascends_by_group_losses_and_nothing_else_changes() -> None:
    mitigation = member("mitigations", "group_dro", step=0.3)
    robust, params = task(mitigation, SKEWED)
    losses, rows = robust.base_task.losses(params, jnp.int32(5))
    own = GROUP[np.asarray(rows)]
    each = np.array([np.asarray(losses)[own == k].mean() if (own == k).any() else 0.0 for k in range(4)])
    told, gradients = jax.value_and_grad(robust.loss)(params, jnp.int32(5))
    weights = np.exp(0.3 * each) * [(own == k).any() for k in range(4)]
    weights /= weights.sum()
    assert float(told) == pytest.approx(float(weights @ each), rel=1e-5)
    optimiser, plain = robust.schedule.transformation(), robust.base_task.schedule.transformation()
    updates, _ = optimiser.update(gradients, optimiser.init(params), params)
    assert np.allclose(updates["adversary"], 0.3 * each, rtol=1e-5, atol=1e-7)
    learned = {name: params[name] for name in ("encoder", "head")}
    expected, _ = plain.update({name: gradients[name] for name in learned}, plain.init(learned), learned)
    assert same({name: updates[name] for name in learned}, expected)


def test_a_retrained_head_is_weighted_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    features = ENCODER.apply(PARAMS, {"image": IMAGES})
    head = member("mitigations", "last_layer_retraining", penalties=(0.1,)).retrained(TASK, features, SKEWED)
    weight = N / (4 * COUNTS[GROUP])
    x = np.asarray(features, np.float64)
    mean = np.average(x, axis=0, weights=weight)
    sd = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    oracle = LogisticRegression(C=1 / (0.1 * N), tol=1e-10, max_iter=5_000)
    oracle.fit((x - mean) / sd, SKEWED.labels, sample_weight=weight)
    assert np.allclose(head(features), oracle.decision_function((x - mean) / sd), atol=1e-2)


# --- the whole experiment --------------------------------------------------------------------------------------------


def cell(mitigation: Any = None, shares: tuple[float, float] = (0.9, 0.1)) -> Batch:
    """A cell with Gaussian images and a linear encoder, which compiles quickly."""
    one = condition("reconstruction", shares, member("generators", "gaussian"), member("encoders", "linear", width=4))
    given = mitigation or member("pretraining_mitigations", "none")
    pretraining = one.pretraining.model_copy(update={"mitigation": given})
    whole = PretrainingCondition(generator=one.generator, encoder=one.encoder, pretraining=pretraining)
    return batch((whole, 0))


def arm(kind: str, mitigation: str) -> Finetuning:
    """An arm with skewed labels."""
    short = finetuning(kind)
    if kind == "full":
        short = short.model_copy(update={"protocol": PROTOCOL})
    return short.model_copy(update={"mitigation": member("mitigations", mitigation)})


@pytest.fixture(scope="module")
def plain() -> tuple[Batch, Any]:
    """A cell and its encoder."""
    one = cell()
    return one, pretrain(one)


@pytest.mark.parametrize("protocol", ["linear_probe", "full"])
def test_every_mitigation_scores(protocol: str, plain: tuple[Batch, Any]) -> None:
    """Gradient fine-tuning only where the frozen protocol is incompatible."""
    one = finetuner(*plain)
    roster = one.rosters["train"]
    one.rosters["train"] = roster._replace(subgroup=np.where(np.arange(len(roster.label)) % 6, 0, 1).astype(np.int32))
    found = {}
    for kind in MITIGATIONS:
        given = arm(protocol, kind)
        by_steps = given.mitigation.incompatibility(member("protocols", "linear_probe")) is not None
        if kind != "none" and by_steps != (protocol == "full"):
            continue
        found[kind] = numbers([scorer(one).score(one.adapt(given, 0, quiet))])
        assert all(np.isfinite(values).all() for values in found[kind]), kind
    unlike = [kind for kind in found if not same(found[kind], found["none"])]
    assert set(unlike) == set(found) - {"none"}


@pytest.mark.parametrize("kind", [kind for kind in PRETRAINING_MITIGATIONS if kind != "none"])
def test_mitigations_change_pretraining(kind: str, plain: tuple[Batch, Any]) -> None:
    values = {"cohort": 32, "schedule": {"steps": 5, "batch": 8}} if kind == "continued" else {}
    params = pretrain(cell(member("pretraining_mitigations", kind, **values)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)) and not same(params, plain[1])


def test_a_balanced_cohort_reweighted_is_the_same_pretraining() -> None:
    even = (0.5, 0.5)
    one, other = (pretrain(cell(member("pretraining_mitigations", kind), even)) for kind in ("none", "reweighting"))
    assert np.allclose(one["map"], other["map"], atol=1e-5)


def test_the_second_cohort_is_balanced_and_disjoint() -> None:
    one = cell(member("pretraining_mitigations", "continued", cohort=800))
    whole = jax.tree.map(lambda leaf: leaf[0], one.condition)
    second = whole.model_copy(update={"pretraining": whole.pretraining.mitigation.continuation(whole.pretraining)})
    rows = jnp.arange(800)
    first = pretraining_task.cohort_members(whole, one.key[0], rows)
    again = pretraining_task.cohort_members(second, keys.stream(one.key[0], keys.Stream.CONTINUED), rows)
    assert np.asarray(again.subgroup).mean() == pytest.approx(0.5, abs=0.06)
    assert not np.any(np.asarray(jax.random.key_data(first.key)) == np.asarray(jax.random.key_data(again.key)))
