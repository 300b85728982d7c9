"""Federated averaging: known answers, and what each of its options does."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Int

from biasprop.nn import layers, optimisation
from biasprop.nn.optimisation import Schedule
from biasprop.nn.views import Augmentation
from biasprop.study.communication import bytes_sent
from biasprop.training import pretrain
from biasprop.training.batching import over_cells
from tests.members import batch, condition, differing, member, same

GENERATOR = differing("gaussian")
STEPS = 4


class PlainDescent(Schedule):
    """Gradient descent with a constant rate, without momentum, decay of weights or clipping."""

    def transformation(self, step: Int[Array, ""] | None = None) -> optax.GradientTransformation:
        """Steps along the gradient."""
        return optax.sgd(100 * self.learning_rate)  # pixels have small gradients


def _condition(objective: Any = "reconstruction", shares: tuple[float, float] = (0.3, 0.7)) -> Any:
    encoder = member("encoders", "vit" if objective == "contrastive" else "linear")
    return condition(objective, shares, generator=GENERATOR, encoder=encoder, cohort=400)


def trained(
    loop: str, objective: Any = "reconstruction", shares: tuple[float, float] = (0.3, 0.7), **values: Any
) -> tuple[Any, Any]:
    """A task of one cell under plain descent, or the optimiser of the study, and the loop's state after a segment."""
    plain = values.pop("plain", True)
    one = _condition(objective, shares)
    kind = PlainDescent if plain else Schedule
    schedule = kind(steps=values.pop("steps", STEPS), batch=16, learning_rate=values.pop("learning_rate", 0.05))
    update = {"loop": member("loops", loop, **values), "schedule": schedule}
    one = one.model_copy(update={"pretraining": one.pretraining.model_copy(update=update)})
    cells = batch((one, 0))
    task = pretrain.prepared(cells)
    return task, over_cells(pretrain.run_segment)(task, over_cells(pretrain.start)(task, pretrain.untrained(cells)))[0]


def distance(one: Any, other: Any) -> float:
    """Largest difference between two trees."""
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in leaves)


@pytest.fixture(scope="module")
def before() -> Any:
    return pretrain.untrained(batch((_condition(), 0)))


@pytest.mark.parametrize("weights", ["equal", "size"])
def test_one_local_step_of_plain_descent_is_descent_on_the_pooled_images(weights: str, before: Any) -> None:
    """For a loss that adds over images, with any weights of the sites."""
    _, federated = trained("federated", weights=weights, local_steps=1)
    _, pooled = trained("pooled", weights=weights)
    moved = distance(pooled.params, before)
    assert moved > 0.01 and distance(federated.shared, pooled.params) < 1e-5 * moved
    assert distance(federated.shared, trained("federated", weights=weights, local_steps=2)[1].shared) > 1e-3 * moved


def test_contrastive_negatives_stay_local_so_that_only_pooling_with_local_negatives_is_the_same(before: Any) -> None:
    """Without random views, so that nothing but the negatives differs."""
    views = dict.fromkeys(Augmentation.model_fields, 0.0)
    objective = member("objectives", "contrastive", augmentation=views, temperature=1.0)
    _, federated = trained("federated", objective, weights="equal", local_steps=1)
    _, local = trained("pooled", objective, weights="equal", negatives="site")
    _, pooled = trained("pooled", objective, weights="equal")
    encoder = pooled.params["encoder"]
    moved = distance(encoder, before["encoder"])
    assert moved > 1e-3 and distance(federated.shared["encoder"], local.params["encoder"]) < 1e-3 * moved
    assert distance(federated.shared["encoder"], encoder) > 0.1 * moved


def test_a_site_draws_from_its_own_members() -> None:
    task, _ = trained("federated")
    rows, sizes = np.asarray(task.members.rows[0]), np.asarray(task.members.sizes[0])

    def batches(task: Any) -> tuple[Array, Array]:
        drawn = jax.vmap(lambda site: task.site_rows(site, jnp.int32(3), 64))(jnp.arange(2))
        return drawn, jax.vmap(task.cohort.subgroup_of)(drawn)

    drawn, subgroups = jax.tree.map(lambda leaf: np.asarray(leaf[0]), over_cells(batches)(task))
    size = int(task.condition.pretraining.cohort[0])
    assert sizes.sum() == size and sorted(rows[:size]) == list(range(size)) and 0 < sizes[0] < sizes[1]
    assert (subgroups == [[0], [1]]).all() and (drawn < size).all()
    for site, own in enumerate((rows[: sizes[0]], rows[sizes[0] : size])):
        assert set(drawn[site]) <= set(own) and len(set(drawn[site])) > 20


def test_a_site_without_members_has_no_weight(before: Any) -> None:
    for weights in ("size", "equal"):
        task, state = trained("federated", shares=(0.0, 1.0), weights=weights, local_steps=1)
        _, both = trained("pooled", shares=(0.0, 1.0), weights=weights)
        assert list(np.asarray(task.members.sizes[0])) == [0, int(task.condition.pretraining.cohort[0])]
        assert int(state.diverged_at[0]) == -1 and distance(state.shared, before) > 0.01
        assert distance(state.shared, both.params) < 1e-5


def test_the_proximal_term_keeps_sites_close_to_where_the_round_began(before: Any) -> None:
    free, held, loose = (trained("federated", proximal=p, local_steps=4)[1].shared for p in (0.0, 0.1, 1e-6))
    assert distance(held, before) < 0.95 * distance(free, before)
    assert distance(loose, free) < 1e-5


@pytest.mark.slow
def test_local_norms_differ_between_sites_and_everything_else_is_shared() -> None:
    task, state = trained("federated", "contrastive", local_norms=True, plain=False)
    names = {jax.tree_util.keystr(path) for path, stays in _norms(state.shared) if stays}
    assert set(state.local) == names and len(names) > 4
    assert all(leaf.shape[:2] == (1, 2) for leaf in state.local.values())
    assert max(float(np.abs(leaf[0, 0] - leaf[0, 1]).max()) for leaf in state.local.values()) > 1e-4
    sizes = np.asarray(task.members.sizes[0])
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.shared):
        if (name := jax.tree_util.keystr(path)) in names:
            np.testing.assert_allclose(leaf[0], np.tensordot(sizes / sizes.sum(), state.local[name][0], 1), atol=1e-6)


def _norms(params: Any) -> list[tuple[Any, bool]]:
    return jax.tree_util.tree_leaves_with_path(layers.norm_parameters(params))


@pytest.mark.parametrize("kind", ["vit", "mixer"])
def test_the_parameters_of_every_layer_norm_are_known_as_such(kind: str) -> None:
    """A norm's scale starts as ones and its bias as zeros, in a module with no kernel."""
    params = pretrain.untrained(batch((condition("contrastive", encoder=member("encoders", kind)), 0)))["encoder"]
    scales = {str(path[:-1]) for path, _ in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == "scale"}
    found = {str(path[:-1]) for path, stays in _norms(params) if stays}
    assert scales and found == scales


def test_a_round_with_some_of_the_sites_leaves_the_optimisers_of_the_others_alone(before: Any) -> None:
    task, one = trained("federated", participants=1, local_steps=STEPS, plain=False)
    changed = [any(not np.array_equal(new[0, s], old) for new, old in _moments(one, before)) for s in range(2)]
    assert sorted(changed) == [False, True]
    chosen = over_cells(lambda task: task.sites_at_random(jnp.int32(0)))(task)
    assert changed[int(chosen[0, 0])] and one.local == {}
    orders = {tuple(np.asarray(over_cells(_order)(task, jnp.array([r])))[0]) for r in range(20)}
    assert orders == {(0, 1), (1, 0)}


def _order(task: Any, index: Array) -> Array:
    return task.sites_at_random(index)


def _moments(state: Any, before: Any) -> list[tuple[Any, Any]]:
    fresh = Schedule().transformation().init(jax.tree.map(lambda leaf: leaf[0], before))
    return list(zip(jax.tree.leaves(state.moments), map(np.asarray, jax.tree.leaves(fresh)), strict=True))


def test_the_learning_rate_is_that_of_the_step_and_not_of_the_updates_of_a_site() -> None:
    schedule, params = Schedule(steps=100), {"bias": jnp.ones(3)}
    moments = schedule.transformation().init(params)
    first, *others = (
        float(jax.tree.leaves(schedule.transformation(step).update(params, moments, params)[0])[0][0])
        for step in (None, jnp.int32(30), jnp.int32(60))
    )
    rates = [float(schedule.rate(jnp.int32(step))) for step in (0, 30, 60)]
    assert first == rates[0] == 0 and others[1] / others[0] == pytest.approx(rates[2] / rates[1], rel=1e-5)


def test_bytes_that_are_sent() -> None:
    """In each of 5 rounds every site receives all shared parameters and sends as many, 4 bytes each."""
    params = {"encoder": {"norm": {"scale": jnp.ones(10)}, "map": jnp.ones((10, 3))}, "extra": {"map": jnp.ones(5)}}

    def sent(loop: str = "federated", **values: Any) -> int:
        return member("loops", loop, **values).bytes_sent(params, 6, 90)

    assert sent() == 5 * 2 * 6 * 4 * 45
    assert sent(participants=2) == 5 * 2 * 2 * 4 * 45
    assert sent(local_norms=True) == 5 * 2 * 6 * 4 * 35
    assert sent(local_steps=1) == 90 * 2 * 6 * 4 * 45 and sent("pooled") == 0


def test_bytes_of_a_condition_are_those_of_all_its_parameters() -> None:
    one = _condition()
    federated = one.model_copy(
        update={"pretraining": one.pretraining.model_copy(update={"loop": member("loops", "federated", local_steps=1)})}
    )
    numbers = sum(leaf.size for leaf in jax.tree.leaves(pretrain.untrained(batch((one, 0)))))
    steps = int(one.pretraining.schedule.steps)
    assert bytes_sent(federated) == steps * 2 * 2 * 4 * numbers and bytes_sent(one) == 0


@pytest.mark.parametrize(("local_steps", "steps"), [(1, 50), (20, 60), (49, 98), (50, 50), (100, 100)])
def test_a_segment_is_a_whole_number_of_rounds(local_steps: int, steps: int) -> None:
    loop = member("loops", "federated", local_steps=local_steps)
    assert loop.segment_steps == steps >= optimisation.SEGMENT


def test_a_schedule_that_ends_within_a_round_averages_what_sites_have_reached() -> None:
    _, cut = trained("federated", local_steps=20, steps=3)
    _, whole = trained("federated", local_steps=3, steps=3)
    assert same(cut.shared, whole.shared)
