"""Counts of matrix products, against counts by hand on small functions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from biasprop.bench import ceilings
from biasprop.bench.ceilings import ProductTimer
from biasprop.bench.operations import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, flops, products
from biasprop.bench.timing import Seconds

X, W = jnp.ones((32, 5)), jnp.ones((5, 7))
ONE = 2 * 32 * 5 * 7
"""Operations of X @ W."""


def test_a_product_and_its_gradients() -> None:
    def loss(w: Float[Array, "i o"], x: Float[Array, "n i"]) -> Float[Array, ""]:
        return jnp.sum((x @ w) ** 2)

    counts = products(jax.grad(loss, argnums=(0, 1)), W, X, parameters=[W.shape])
    assert sorted(product.role for product in counts) == sorted([FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT])
    assert set(counts.values()) == {1} and flops(counts) == 3 * ONE


def test_loops_branches_and_wrappers() -> None:
    def once(x: Any) -> Any:
        return (x @ W) @ W.T

    assert flops(products(jax.jit(once), X)) == 2 * ONE
    assert flops(products(lambda x: jax.lax.scan(lambda c, _: (once(c), None), x, length=9)[0], X)) == 18 * ONE
    assert flops(products(jax.vmap(once), jnp.ones((3, 32, 5)))) == 6 * ONE
    assert flops(products(jax.checkpoint(once), X)) == 2 * ONE
    assert flops(products(lambda x: jax.lax.cond(x[0, 0] > 0, once, lambda x: x, x), X)) == 2 * ONE


@pytest.mark.parametrize("turns", [1, 6])
def test_a_loop_to_tolerance_counts_its_turns(turns: int) -> None:
    @jax.jit
    def fit(x: Any, limit: Any) -> Any:
        return jax.lax.while_loop(lambda s: s[1] < limit, lambda s: ((s[0] @ W) @ W.T, s[1] + 1), (x, 0))

    assert flops(products(fit, X, jnp.int32(turns))) == 2 * turns * ONE
    limits = jnp.array([1, turns])
    assert flops(products(jax.vmap(fit, (None, 0)), X, limits)) == 2 * 2 * turns * ONE, "all turn with the last"


def test_a_loop_to_tolerance_in_a_branch_counts_where_the_branch_is_taken() -> None:
    def fit(x: Any, limit: Any) -> Any:
        return jax.lax.while_loop(lambda s: s[1] < limit, lambda s: ((s[0] @ W) @ W.T, s[1] + 1), (x, 0))[0]

    @jax.jit
    def either(x: Any, long: Any) -> Any:
        return jax.lax.cond(long, lambda x: fit(fit(x, 6), 2), lambda x: fit(x, 3), x)

    assert flops(products(either, X, True)) == 2 * 8 * ONE
    assert flops(products(either, X, False)) == 2 * 3 * ONE


def test_loops_to_tolerance_inside_a_loop_of_known_length_count_all_their_turns() -> None:
    """As in a separability of more than two subgroups, which fits a probe for each in turn."""

    def fit(x: Any, limit: Any) -> Any:
        return jax.lax.while_loop(lambda s: s[1] < limit, lambda s: ((s[0] @ W) @ W.T, s[1] + 1), (x, 0))[0]

    def each(x: Any, limits: Any) -> Any:
        return jax.lax.scan(lambda c, limit: (fit(c @ (W @ W.T), limit), c[0]), x, limits)

    outside = flops(products(lambda x: x @ (W @ W.T), X))
    assert flops(products(each, X, jnp.array([1, 5, 0]))) == 2 * 6 * ONE + 3 * outside
    nested = lambda x: jax.lax.map(lambda i: each(x, jnp.arange(2) + i)[0], jnp.arange(3))  # noqa: E731
    assert flops(products(nested, X)) == 2 * (1 + 3 + 5) * ONE + 6 * outside


def test_a_loop_to_tolerance_inside_another_one_is_refused() -> None:
    def fit(x: Any) -> Any:
        return jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: (x @ W) @ W.T, x)

    with pytest.raises(ValueError, match="inside another"):
        products(lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 99, fit, x), X)


def test_convolutions_count() -> None:
    images, kernel = jnp.ones((4, 3, 8, 8)), jnp.ones((16, 3, 2, 2))
    counts = products(lambda x, k: jax.lax.conv(x, k, (2, 2), "VALID"), images, kernel)
    assert flops(counts) == 2 * (4 * 16 * 4 * 4) * (3 * 2 * 2)


def test_a_solved_system_counts_what_solves_it() -> None:
    system = jnp.eye(4)
    assert flops(products(jnp.linalg.solve, system, jnp.ones(4))) == 0, "factorisations are no products"


def test_a_product_runs_alone() -> None:
    (product,) = products(lambda x, w: jnp.einsum("ni,io->on", x, w), X, W)
    given = {X.shape: X, W.shape: W}
    result = product.run(*(given[shape] for shape, _ in product.operands))
    assert result.shape == product.result and float(np.asarray(result)[0, 0]) == 5


@pytest.mark.parametrize(
    "equation, left, right",
    [("ni,io->on", (32, 5), (5, 7)), ("nqhc,nkhc->nhqk", (6, 4, 2, 3), (6, 5, 2, 3)), ("sn,sn->", (3, 4), (3, 4))],
)
def test_a_product_in_plain_order_is_as_much_work(equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x, y = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate((left, right)))
    (product,) = products(lambda x, y: jnp.einsum(equation, x, y), x, y)
    best = product.plain
    assert best.flops == product.flops and np.prod(best.result) == np.prod(product.result)
    assert [np.prod(shape) for shape, _ in best.operands] == [np.prod(shape) for shape, _ in product.operands]
    given = [jax.random.normal(jax.random.key(i), shape) for i, (shape, _) in enumerate(best.operands)]
    np.testing.assert_allclose(best.run(*given), jnp.matmul(*given), rtol=1e-5, atol=1e-5)
    assert best.plain == best


def test_an_outer_product_and_a_convolution_in_plain_order() -> None:
    (outer,) = products(lambda x, y: jnp.einsum("i,j->ij", x, y), X[0], W[0])
    assert outer.plain.flops == outer.flops and outer.plain.result == (5, 7)
    images, kernel = jnp.ones((4, 3, 8, 8)), jnp.ones((2, 3, 2, 2))
    (convolution,) = products(lambda x, k: jax.lax.conv(x, k, (2, 2), "VALID"), images, kernel)
    assert convolution.plain == convolution


def test_the_faster_order_is_timed() -> None:
    (product,) = products(lambda x, w: jnp.einsum("ni,io->on", x, w), X, W)
    timer = ProductTimer(repeats=1)
    assert 0 < timer.seconds(product) < 1
    assert len(timer._seconds) == 2 and timer.seconds(product) == min(timer._seconds.values())


def test_a_product_alone_needs_no_new_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    (product,) = products(lambda x, w: x @ w, X, W)
    places = []

    def timed(run: Any, *how: Any) -> Seconds:
        places.extend(run()[0].unsafe_buffer_pointer() for _ in range(5))
        return Seconds((1.0,))

    monkeypatch.setattr(ceilings, "timed", timed)
    ProductTimer(repeats=1).seconds(product)
    assert len(set(places[:5])) == 1
