"""The linear probe against scikit-learn; label budget and early stopping of full fine-tuning."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.encoders.patches import INPUT
from biasprop.interfaces import Labelled
from biasprop.nn.heads import Head, log_loss, solve
from biasprop.nn.optimisation import ConstantSchedule
from biasprop.nn.views import Augmentation
from biasprop.protocols.full import FinetuningTask, Full, Recipe
from biasprop.protocols.linear_probe import LinearProbe
from biasprop.training import adapt
from tests.members import image_spec, images, member, same, subjects

TASK = member("tasks", "disease")
N, D = 120, 6
_draws = np.random.default_rng(1)
FEATURES = jnp.asarray(_draws.normal(size=(N, D)) * np.array([1, 5, 0.1, 1, 1, 30]) + 3, jnp.float32)
LABELS = jnp.asarray(_draws.random(N) < 1 / (1 + np.exp(-(FEATURES[:, 0] - 3) * 2 + 0.4)), jnp.int32)

_solve = jax.jit(solve)
_fit = jax.jit(lambda probe, *sets: probe.fit(TASK, *sets))


# --- linear probe ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("count", [40, N])
def test_the_probe_is_scikit_learns_logistic_regression(count: int, penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = np.asarray(FEATURES, np.float64)[:count], np.asarray(LABELS)[:count]
    scaler = StandardScaler().fit(x)
    oracle = LogisticRegression(C=1 / (penalty * count), tol=1e-10, max_iter=5_000).fit(scaler.transform(x), y)
    head = _solve(FEATURES, LABELS, jnp.int32(count), penalty)
    expected = oracle.decision_function(scaler.transform(np.asarray(FEATURES, np.float64)))
    assert np.allclose(head(FEATURES), expected, atol=5e-3 * max(1.0, np.abs(expected).max()))


def test_rows_beyond_the_budget_are_ignored() -> None:
    count, few = jnp.int32(30), jnp.int32(20)
    other = FEATURES.at[30:].set(1e3), LABELS.at[30:].set(1 - LABELS[30:])
    chosen = FEATURES.at[20:].set(-1e3), LABELS.at[20:].set(1 - LABELS[20:])
    probe = LinearProbe()
    plain = _fit(probe, FEATURES, LABELS, count, FEATURES, LABELS, few)
    assert same(plain, _fit(probe, *other, count, *chosen, few))
    assert not same(plain, _fit(probe, FEATURES, LABELS, jnp.int32(31), FEATURES, LABELS, few))


def test_the_penalty_of_lowest_validation_loss_is_chosen() -> None:
    probe, count = LinearProbe(penalties=(1e-4, 1e-2, 1.0, 10.0), min_labels=0), jnp.int32(24)
    kept = _fit(probe, FEATURES, LABELS, count, FEATURES[60:], LABELS[60:], jnp.int32(60))
    candidates = [_solve(FEATURES, LABELS, count, penalty) for penalty in probe.penalties]
    losses = [float(log_loss(head(FEATURES[60:]), LABELS[60:]).mean()) for head in candidates]
    assert int(np.argmin(losses)) > 0, "the least penalty should overfit 24 labels"
    assert np.allclose(kept.weights, candidates[int(np.argmin(losses))].weights, rtol=1e-3, atol=1e-6)


def test_with_few_labels_the_penalty_is_chosen_by_cross_validation() -> None:
    """As scikit-learn would, on labelled and validation subjects together; the head is fitted to the labelled ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss as mean_log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    penalties, count, seen, folds = (1e-4, 1e-2, 1.0, 10.0), 40, 10, 5
    x, y = (np.concatenate([np.asarray(rows)[:count], np.asarray(rows)[60 : 60 + seen]]) for rows in (FEATURES, LABELS))
    fold = np.concatenate([np.arange(count) * folds // count, np.arange(seen) * folds // seen])

    def loss(penalty: float) -> float:
        total = 0.0
        for k in range(folds):
            fitted = LogisticRegression(C=1 / (penalty * np.sum(fold != k)), tol=1e-8, max_iter=5_000)
            probe = make_pipeline(StandardScaler(), fitted).fit(x[fold != k], y[fold != k])
            odds = probe.decision_function(x[fold == k])
            total += mean_log_loss(y[fold == k], 1 / (1 + np.exp(-odds)), labels=[0, 1], normalize=False)
        return total

    best = int(np.argmin([loss(penalty) for penalty in penalties]))
    sets = (FEATURES, LABELS, jnp.int32(count), FEATURES[60:], LABELS[60:], jnp.int32(seen))
    kept = _fit(LinearProbe(penalties=penalties), *sets)
    candidates = [_solve(FEATURES, LABELS, jnp.int32(count), penalty) for penalty in penalties]
    held_out = [float(log_loss(head(FEATURES[60:70]), LABELS[60:70]).mean()) for head in candidates]
    assert int(np.argmin(held_out)) != best, "the validation set should choose another penalty"
    assert np.allclose(kept.weights, candidates[best].weights, rtol=1e-3, atol=1e-6)
    validated = _fit(LinearProbe(penalties=penalties, min_labels=0), *sets)
    assert np.allclose(validated.weights, candidates[int(np.argmin(held_out))].weights, rtol=1e-3, atol=1e-6)


def test_separable_and_degenerate_features_stay_finite() -> None:
    separable = FEATURES.at[:, 0].set(10.0 * LABELS)
    constant = FEATURES.at[:, 1].set(2.0)
    for features, labels in [(separable, LABELS), (constant, LABELS), (FEATURES, jnp.ones_like(LABELS))]:
        head = _solve(features, labels, jnp.int32(N), 1e-4)
        assert np.isfinite(head.weights).all() and np.isfinite(head(features)).all()
    told = _solve(separable, LABELS, jnp.int32(N), 1e-4)(separable)
    assert np.all((np.asarray(told) > 0) == (np.asarray(LABELS) == 1))


def test_log_loss_of_extremes() -> None:
    loss = log_loss(jnp.array([0.0, 100.0, -100.0, 100.0]), jnp.array([1, 1, 1, 0]))
    assert np.allclose(loss, [np.log(2), 0, 100, 100], atol=1e-4)


# --- full fine-tuning ------------------------------------------------------------------------------------------------

ENCODER = member("encoders", "vit")
PROTOCOL = Full()


@pytest.fixture(scope="module")
def rendered() -> jax.Array:
    """Images of 32 subjects."""
    return jnp.asarray(images(member("generators", "dermoscopy"), subjects(32)))


def task(x: jax.Array, y: jax.Array, count: int = 24, seen: int = 16, **schedule: Any) -> FinetuningTask:
    """Fine-tuning on the first images, validation on all of them."""
    recipe = Recipe(
        schedule=ConstantSchedule.model_validate({"steps": 200, "batch": 8, "learning_rate": 1e-2} | schedule),
        augmentation=Augmentation(scale=0.1, shift=0.05, gain=0.05, offset=0.02),
    )
    train, selection = (Labelled({"image": x}, y, jnp.int32(n)) for n in (count, seen))
    return FinetuningTask(TASK, ENCODER, recipe, 1.0, train, selection, jax.random.key(7))


def begin() -> Any:
    """An untrained encoder and a head of zeros."""
    return PROTOCOL.start(
        jax.random.key(1), ENCODER, ENCODER.init(jax.random.key(0), image_spec(16, 16, 3)), TASK.head(ENCODER.width)
    )


_start, _train = jax.jit(adapt._started), jax.jit(adapt._finetuning_segment)
_loss = jax.jit(lambda one, params: one.validation_loss(params))


def train(one: FinetuningTask, segments: int, labels: int = 100) -> tuple[adapt.FinetuningRun, list[float], list[Any]]:
    """The run, and the validation loss and parameters after every segment."""
    run = _start(one, one.recipe, labels, begin())
    judged, ends = [], []
    for _ in range(segments):
        run = _train(one, one.recipe.stopping, run)
        judged.append(float(_loss(one, run.state.params)))
        ends.append(run.state.params)
    return run, judged, ends


def test_a_head_starts_at_chance(rendered: jax.Array) -> None:
    start = begin()
    assert isinstance(start["head"], Head) and np.all(np.asarray(start["head"].weights) == 0)
    labels = subjects(32).label
    assert float(task(rendered, labels).validation_loss(start)) == pytest.approx(np.log(2), abs=1e-6)


def test_images_beyond_the_budget_are_ignored(rendered: jax.Array) -> None:
    labels = subjects(32).label
    other = task(rendered.at[24:].set(50.0), labels.at[24:].set(1 - labels[24:]))
    assert same(train(task(rendered, labels), 1)[0].best, train(other, 1)[0].best)
    unlike = task(rendered.at[23:].set(0.9), labels)
    assert not same(train(task(rendered, labels), 1)[0].best, train(unlike, 1)[0].best)


def test_the_best_end_of_a_segment_is_kept(rendered: jax.Array) -> None:
    # With random labels and a high learning rate, the validation loss fluctuates.
    labels = jnp.asarray(np.random.default_rng(3).integers(0, 2, 32), jnp.int32)
    one = task(rendered, labels, count=12, seen=16, learning_rate=0.05)
    run, judged, ends = train(one, 4)
    assert len(set(judged)) == 4
    assert float(run.best_loss) == pytest.approx(min(judged), rel=1e-5)
    assert same(run.best, ends[int(np.argmin(judged))])


def test_with_few_labels_the_last_parameters_are_kept(rendered: jax.Array) -> None:
    labels = jnp.asarray(np.random.default_rng(3).integers(0, 2, 32), jnp.int32)
    run, judged, ends = train(task(rendered, labels, count=12, seen=4, learning_rate=0.05), 4, labels=16)
    assert int(np.argmin(judged)) < 3, "the validation loss should not decide by chance"
    assert same(run.best, ends[-1])


def test_every_parameter_moves(rendered: jax.Array) -> None:
    best = train(task(rendered, subjects(32).label), 1)[0].best
    start = begin()
    for (path, leaf), old in zip(jax.tree_util.tree_leaves_with_path(best), jax.tree.leaves(start), strict=True):
        constant = INPUT in jax.tree_util.keystr(path)
        assert np.array_equal(leaf, old) == constant, jax.tree_util.keystr(path)


def test_an_unpretrained_encoder_has_its_own_recipe() -> None:
    protocol = Full(scratch=Recipe(schedule=ConstantSchedule(steps=7)))
    assert int(protocol.recipe(pretrained=False).schedule.steps) == 7
    assert protocol.recipe(pretrained=True) is protocol.pretrained
