"""Random bits of flattened arrays: the same bits, fewer axes, and JAX's own rule afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p
from jax.interpreters import batching

from biasprop.hardware import device, threefry

Axes = tuple[int | None, int | None, int | None, int | None]

KEYS: Axes = (0, 0, None, None)
COUNTERS: Axes = (None, None, 0, 0)

CASES: dict[str, tuple[Sequence[tuple[int, ...]], list[Axes], list[tuple[int, ...]]]] = {
    # what -> shapes of the words of keys and counters, mapped axes from the outermost, shapes that Threefry is given
    "few numbers of many keys": ([(5, 9)] * 2 + [(12,)] * 2, [KEYS, KEYS], [(540,)] * 4),
    "one number of each key": ([(5,)] * 2 + [()] * 2, [KEYS], [(5,)] * 4),
    "numbers of two axes": ([(5,)] * 2 + [(3, 7)] * 2, [KEYS], [(105,)] * 4),
    "one key": ([()] * 2 + [(6, 4)] * 2, [COUNTERS], [(24,)] * 4),
    "keys along the last axis": ([(3, 5)] * 2 + [(4,)] * 2, [(1, 1, None, None), KEYS], [(60,)] * 4),
    "axes of length one": ([(1, 5)] * 2 + [(3, 1)] * 2, [KEYS, KEYS], [(15,)] * 4),
    "no numbers": ([(5,)] * 2 + [(0, 4)] * 2, [KEYS], [(0,)] * 4),
    # Copying the key to every number of a long row would take longer than the random bits.
    "long rows": ([(5,)] * 2 + [(90, 90)] * 2, [KEYS], [(5, 1)] * 2 + [(1, 8_100)] * 2),
}


def mapped(axes: list[Axes]) -> Callable[..., Any]:
    function: Callable[..., Any] = threefry2x32_p.bind
    for each in reversed(axes):
        function = jax.vmap(function, each)
    return function


@pytest.fixture
def rule_of_jax(monkeypatch: pytest.MonkeyPatch) -> Any:
    """JAX's own rule instead of that with which tests compute."""
    monkeypatch.setitem(batching.fancy_primitive_batchers, threefry2x32_p, None)  # restores what was there
    batching.defbroadcasting(threefry2x32_p)
    return batching.fancy_primitive_batchers[threefry2x32_p]


@pytest.mark.usefixtures("rule_of_jax")
@pytest.mark.parametrize(("shapes", "axes", "given"), CASES.values(), ids=list(CASES))
def test_bits_are_those_of_jax(
    shapes: Sequence[tuple[int, ...]], axes: list[Axes], given: list[tuple[int, ...]]
) -> None:
    generator = np.random.default_rng(3)
    words = [jnp.asarray(generator.integers(0, 2**32, shape, np.uint32)) for shape in shapes]
    expected = mapped(axes)(*words)
    with threefry.flattened():
        found = mapped(axes)(*words)
        program = jax.make_jaxpr(mapped(axes))(*words)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    (loop,) = [equation for equation in program.jaxpr.eqns if equation.primitive is threefry2x32_p]
    assert [word.aval.shape for word in loop.invars] == given


def test_the_rule_holds_while_numbers_are_computed(rule_of_jax: Any) -> None:
    with pytest.raises(ZeroDivisionError), device.computing():
        assert batching.fancy_primitive_batchers[threefry2x32_p] is threefry._batched
        raise ZeroDivisionError
    assert batching.fancy_primitive_batchers[threefry2x32_p] is rule_of_jax


def test_draws_of_generators_are_loops_over_one_axis() -> None:
    def hairs(key: jax.Array) -> jax.Array:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(9))
        return jax.vmap(lambda key: jax.random.normal(key, (12,)))(keys)

    text = jax.jit(jax.vmap(hairs)).lower(jax.random.split(jax.random.key(3), 5)).as_text()
    loops = re.findall(r"stablehlo\.while\(.*", text)
    carried = {shape for loop in loops for shape in re.findall(r"tensor<(\w+)xui32>", loop)}
    assert carried == {"4", "45", "540"}  # 4 are the rotations
