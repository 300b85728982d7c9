"""Protocols that train a part of the encoder: special cases that equal another protocol, and frozen parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biasprop.interfaces import Labelled
from biasprop.protocols.nearest_neighbours import NearestNeighbours
from tests.members import auc, same
from tests.protocols.test_protocol_contract import ENCODER, LABELLED, PARAMS, TASK, pairs, protocol, start, trained

KEY = jax.random.key(7)
SETS = (Labelled(*LABELLED, jnp.int32(16)),) * 2


# --- last layers -----------------------------------------------------------------------------------------------------


def test_the_last_layers_are_the_ones_the_head_reads() -> None:
    one = {name for name, _, _ in pairs(PARAMS) if name.startswith("['blocks'][1]") or name.startswith("['norm']")}
    two = one | {name for name, _, _ in pairs(PARAMS) if name.startswith("['blocks'][0]")}
    everything = {name for name, _, _ in pairs(PARAMS)}
    for layers, expected in enumerate((set(), one, two, everything)):
        chosen = start(protocol("last_layers", layers=layers))["encoder"]
        assert {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(chosen)} == expected


def test_all_layers_are_full_fine_tuning() -> None:
    every, full = protocol("last_layers", layers=3), protocol("full")
    assert same(start(every), start(full))
    partly = every.training(TASK, ENCODER, PARAMS, True, *SETS, KEY)
    assert not jax.tree.leaves(partly.encoder.frozen)
    whole = full.training(TASK, ENCODER, PARAMS, True, *SETS, KEY)
    assert jax.tree.structure(partly._replace(encoder=ENCODER)) == jax.tree.structure(whole)
    x = {"image": LABELLED[0]["image"][:2]}
    assert same(partly.encoder.apply(start(every)["encoder"], x), ENCODER.apply(PARAMS, x))


# --- low rank --------------------------------------------------------------------------------------------------------


def test_updates_have_at_most_the_stated_rank() -> None:
    for name, old, new in pairs(trained("low_rank")):
        adapted = name.startswith("['blocks']") and name.endswith("['kernel']")
        rank = np.linalg.matrix_rank(new.astype(np.float64) - old, tol=1e-5) if old.ndim == 2 else 0
        assert rank == (4 if adapted else 0), name


def test_adapters_of_full_rank_can_represent_any_update() -> None:
    one = protocol("low_rank", rank=8, alpha=4.0)
    adapters = start(one)["encoder"]
    kernel = adapters["blocks"][0]["attention"]["out"]["kernel"]
    wanted = jax.random.normal(jax.random.key(3), (8, 8))
    kernel["b"] = jnp.linalg.solve(kernel["a"], wanted) * (8 / 4.0)
    whole = one.merge(ENCODER, PARAMS, adapters)
    change = whole["blocks"][0]["attention"]["out"]["kernel"] - PARAMS["blocks"][0]["attention"]["out"]["kernel"]
    assert np.allclose(change, wanted, atol=1e-3)


# --- gradual unfreezing ----------------------------------------------------------------------------------------------


def test_unfreezing_at_once_is_full_fine_tuning() -> None:
    x = {"image": LABELLED[0]["image"][:4]}
    at_once, full = (ENCODER.apply(trained(*args), x) for args in (("gradual_unfreezing", 0), ("full",)))
    assert np.allclose(at_once, full, atol=1e-3)
    assert not np.allclose(at_once, ENCODER.apply(trained("gradual_unfreezing"), x), atol=1e-2)


def test_layers_are_unfrozen_from_last_to_first() -> None:
    """After 50 steps with unfreezing over 100 steps, only the last block is trained."""
    last = {name for name, _, _ in pairs(PARAMS) if name.startswith("['blocks'][1]") or name.startswith("['norm']")}
    after = pairs(trained("gradual_unfreezing", 100, 100))
    assert {name for name, old, new in after if not np.array_equal(old, new)} == last


# --- nearest neighbours ----------------------------------------------------------------------------------------------

N = 150
_draws = np.random.default_rng(5)
FEATURES = jnp.asarray(_draws.normal(size=(N, 4)) * np.array([1, 5, 0.2, 1]) + 2, jnp.float32)
LABELS = jnp.asarray(_draws.random(N) < 1 / (1 + np.exp(-2 * (FEATURES[:, 0] - 2))), jnp.int32)

_fit = jax.jit(lambda one, *sets: one.fit(TASK, *sets))


@pytest.mark.parametrize("k", [1, 7])
def test_a_vote_of_neighbours_is_scikit_learns(k: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler, normalize

    count = 100
    x = normalize(StandardScaler().fit(FEATURES[:count]).transform(FEATURES))
    weights = lambda distance: np.exp((1 - distance**2 / 2) / 0.2)  # noqa: E731 - of unit vectors
    oracle = KNeighborsClassifier(k, weights=weights).fit(x[:count], LABELS[:count])
    share = oracle.predict_proba(x[count:])[:, 1]
    one = NearestNeighbours(neighbours=(k,), temperature=0.2)
    head = _fit(one, FEATURES, LABELS, jnp.int32(count), FEATURES, LABELS, jnp.int32(20))
    told = jax.jit(lambda read, x: read(x))(head, FEATURES[count:].reshape(2, -1, 4))
    assert told.shape == (2, (N - count) // 2)
    assert np.allclose(told.ravel(), np.log((k * share + 0.5) / (k * (1 - share) + 0.5)), atol=1e-3)


def test_the_best_number_of_neighbours_is_kept_and_few_labels_all_vote() -> None:
    one = NearestNeighbours(neighbours=(1, 30, 1_000))
    sets = FEATURES, LABELS, jnp.int32(100), FEATURES[100:], LABELS[100:], jnp.int32(50)
    head = _fit(one, *sets)
    single = _fit(NearestNeighbours(neighbours=(1,)), *sets)
    assert int(head.votes.sum()) > 1
    assert auc(LABELS[100:], head(FEATURES[100:])) > auc(LABELS[100:], single(FEATURES[100:]))
    few = _fit(NearestNeighbours(neighbours=(100,), temperature=10.0), *sets[:2], jnp.int32(6), *sets[3:])
    share = float(LABELS[:6].mean())
    assert np.allclose(few(FEATURES), np.log((6 * share + 0.5) / (6 * (1 - share) + 0.5)), atol=0.3)
