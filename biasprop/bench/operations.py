"""The matrix products of a function, counted in its jaxpr, for any encoder and objective."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.extend
import jax.numpy as jnp
from jaxtyping import Array, Int

PRODUCTS = ("dot_general", "conv_general_dilated")
"""Primitives that count as matrix products."""

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "input gradient", "weight gradient"


class Product(NamedTuple):
    """One kind of matrix product: those that are equal here take equally long."""

    role: str
    """``forward``, ``input gradient`` or ``weight gradient``."""
    primitive: Any
    params: tuple[tuple[str, Any], ...]
    operands: tuple[tuple[tuple[int, ...], str], ...]
    """Shape and dtype of both operands."""

    def run(self, *operands: Array) -> Array:
        """Compute the product."""
        return self.primitive.bind(*operands, **dict(self.params))

    @property
    def flops(self) -> float:
        """Multiplications and additions: twice the size of the result times the number of summed terms."""
        (left, _), (right, _) = self.operands
        params = dict(self.params)
        if self.primitive.name == "dot_general":
            (contracted, _), (batched, _) = params["dimension_numbers"]
            result = math.prod(left) * math.prod(right)
            summed = math.prod(left[i] for i in contracted)
            return 2.0 * result / summed / math.prod(left[i] for i in batched)
        kernel = [right[i] for i in params["dimension_numbers"].rhs_spec[1:]]
        return 2.0 * math.prod(self.result) * math.prod(kernel)

    @property
    def plain(self) -> Product:
        """The same product with operands (batch, rows, summed) and (batch, summed, columns), at most one axis of each.
        A convolution is returned unchanged."""
        if self.primitive.name != "dot_general":
            return self
        params = dict(self.params)
        (left, left_dtype), (right, right_dtype) = self.operands
        (over, _), (batches, _) = params["dimension_numbers"]
        batch = [math.prod(left[i] for i in batches)] if batches else []
        summed = math.prod(left[i] for i in over)
        rows = math.prod(left) // math.prod((*batch, summed))
        columns = math.prod(right) // math.prod((*batch, summed))
        n = len(batch)
        params["dimension_numbers"] = (((n + 1,), (n,)), (tuple(range(n)), tuple(range(n))))
        operands = (((*batch, rows, summed), left_dtype), ((*batch, summed, columns), right_dtype))
        return self._replace(params=tuple(params.items()), operands=operands)

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the result."""
        shaped = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in self.operands]
        return tuple(jax.eval_shape(self.run, *shaped).shape)

    @property
    def name(self) -> str:
        """The operands' shapes, such as ``128x16x64 . 64x192``."""
        return " . ".join("x".join(map(str, shape)) for shape, _ in self.operands)


Counts = Counter[Product]
"""How often each product is computed."""


def flops(counts: Counts) -> float:
    """Number of operations of all products."""
    return sum(times * product.flops for product, times in counts.items())


def products(function: Callable[..., Any], *arguments: Any, parameters: Sequence[tuple[int, ...]] = ()) -> Counts:
    """The products of one call.

    A loop whose length depends on data (a fit to a tolerance) is counted as often as it runs with these arguments.

    Args:
        function: a function that JAX can trace, compiled or not.
        arguments: of the call.
        parameters: shapes of the trained arrays; a product of a backward pass whose result has one of these shapes, in
            any order of axes, counts as a weight gradient.

    Raises:
        ValueError: such a loop lies inside another one.
    """
    return Counting(function, arguments, parameters)(*arguments)


class Counting:
    """Counts the products of calls whose arguments have the shapes of ``arguments``; see :func:`products`."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any], parameters: Sequence[tuple[int, ...]]):
        traced = jax.make_jaxpr(function)(*arguments)
        self._jaxpr = traced.jaxpr
        self._weights = {tuple(sorted(shape)) for shape in parameters}

        def turns(*leaves: Any) -> list[Int[Array, ""]]:
            found: list[Int[Array, ""]] = []
            _follow(traced.jaxpr, traced.consts, leaves, found)
            return found

        self._turns = jax.jit(turns) if _has_open_loop(traced.jaxpr) else None  # XLA removes what no length depends on

    def __call__(self, *arguments: Any) -> Counts:
        """The products of one call."""
        turns = self._turns(*jax.tree.leaves(arguments)) if self._turns else ()
        return self._counted(tuple(int(count) for count in turns))

    @functools.cache  # noqa: B019 - lives as long as the program it counts
    def _counted(self, turns: tuple[int, ...]) -> Counts:
        return _count(self._jaxpr, self._weights, iter(turns))


class Program(NamedTuple):
    """A compiled program of an experiment and the shapes it ran with."""

    name: str
    compiled: Any
    arguments: Any
    """A pytree of shapes and dtypes."""


class Recorded(NamedTuple):
    """Products and programs that ran."""

    counts: Counts
    programs: dict[Any, Program]


@contextmanager
def recorded(parameters: Sequence[tuple[int, ...]] = ()) -> Iterator[Recorded]:
    """Record every compiled program that an experiment calls inside, and the products of all calls together."""
    from biasprop.training import adapt, pretrain, pretraining_task, rendering, score
    from biasprop.training.batching import over_cells

    found = Recorded(Counter(), {})
    known: dict[Any, Counting] = {}

    def recording(function: Callable[..., Any], **how: Any) -> Callable[..., Any]:
        compiled = over_cells(function, **how)

        def call(*arguments: Any) -> Any:
            leaves, structure = jax.tree.flatten(arguments)
            key = (function, structure, tuple((jnp.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves))
            if key not in known:
                shapes = jax.tree.map(jax.typeof, arguments)
                found.programs[key] = Program(function.__name__.lstrip("_"), compiled, shapes)
                known[key] = Counting(compiled, arguments, parameters)
            found.counts.update(known[key](*arguments))
            return compiled(*arguments)

        return call

    with ExitStack() as patched:
        for module in (pretrain, pretraining_task, adapt, score, rendering):
            patched.enter_context(mock.patch.object(module, "over_cells", recording))
        yield found


def _count(jaxpr: Any, weights: set[tuple[int, ...]], turns: Iterator[int], runs: int = 1) -> Counts:
    """The products of a jaxpr that runs so often; ``turns`` are those of its open loops in all these runs."""
    found: Counts = Counter()
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in PRODUCTS:
            found[_product(equation, weights)] += runs
            continue
        times = runs
        if name == "scan":
            times *= equation.params["length"]
        elif _is_open_loop(equation):
            times = next(turns)
        counted = [_count(inner, weights, turns, times) for inner in _inner(equation)]
        if name == "cond":  # one branch is taken: the most expensive one counts
            counted = [max(counted, key=flops)]
        for inner_counts in counted:
            found.update(inner_counts)
    return found


def _product(equation: Any, weights: set[tuple[int, ...]]) -> Product:
    operands = tuple((tuple(var.aval.shape), str(var.aval.dtype)) for var in equation.invars)
    backward = "transpose" in str(equation.source_info.name_stack)
    gradient = tuple(sorted(equation.outvars[0].aval.shape)) in weights
    role = (WEIGHT_GRADIENT if gradient else INPUT_GRADIENT) if backward else FORWARD
    params = tuple((name, value) for name, value in sorted(equation.params.items()) if name != "out_sharding")
    params += (("out_sharding", None),) if "out_sharding" in equation.params else ()
    return Product(role, equation.primitive, params, operands)


def _inner(equation: Any) -> list[Any]:
    """The jaxprs that an equation runs."""
    if equation.primitive.name == "custom_linear_solve":  # its other jaxprs check or differentiate it
        return [equation.params["jaxprs"].solve.jaxpr]
    found = []
    for value in equation.params.values():
        items = value if isinstance(value, tuple | list) else (value,)
        found += [inner for inner in (getattr(item, "jaxpr", item) for item in items) if hasattr(inner, "eqns")]
    return found


def _is_open_loop(equation: Any) -> bool:
    """Whether an equation is a loop of unknown length that computes products."""
    return equation.primitive.name == "while" and any(_has_product(inner) for inner in _inner(equation))


def _has_product(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name in PRODUCTS or any(map(_has_product, _inner(equation))) for equation in jaxpr.eqns
    )


def _has_open_loop(jaxpr: Any) -> bool:
    return any(_is_open_loop(equation) or any(map(_has_open_loop, _inner(equation))) for equation in jaxpr.eqns)


def _follow(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any], found: list[Int[Array, ""]]) -> list[Any]:
    """Compute a jaxpr and append the number of turns of each open loop to ``found``."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

    def value(var: Any) -> Any:
        return var.val if hasattr(var, "val") else values[var]

    for equation in jaxpr.eqns:
        given = [value(var) for var in equation.invars]
        if _is_open_loop(equation):
            results = _follow_loop(equation.params, given, found)
        elif equation.primitive.name == "cond" and any(map(_has_open_loop, _inner(equation))):
            results = _follow_branches(equation.params["branches"], given, found)
        elif equation.primitive.name == "scan" and any(map(_has_open_loop, _inner(equation))):
            results = _follow_scan(equation, given, found)
        elif any(map(_has_open_loop, _inner(equation))):
            inner = next(v for v in equation.params.values() if hasattr(getattr(v, "jaxpr", v), "eqns"))
            results = _follow(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given, found)
        else:
            results = equation.primitive.bind(*given, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        values.update(zip(equation.outvars, results, strict=True))
    return [value(var) for var in jaxpr.outvars]


def _follow_branches(branches: Sequence[Any], given: Sequence[Any], found: list[Int[Array, ""]]) -> list[Any]:
    """Follow every branch of a choice; loops of those that are not taken have length 0."""
    index, *arguments = given
    outcomes = []
    for k, branch in enumerate(branches):
        lengths: list[Int[Array, ""]] = []
        outcomes.append(_follow(branch.jaxpr, branch.consts, arguments, lengths))
        found += [jnp.where(index == k, length, 0) for length in lengths]
    return [jax.lax.select_n(index, *values) for values in zip(*outcomes, strict=True)]


def _follow_scan(equation: Any, given: Sequence[Any], found: list[Int[Array, ""]]) -> list[Any]:
    """Follow a loop of known length; an open loop inside it has the turns of all its runs together."""
    params, body = equation.params, equation.params["jaxpr"]
    # What turns hand on has the same axes inside and outside. Versions of JAX differ in how their parameters count it.
    m = _alike(equation.outvars, body.jaxpr.outvars)
    n = _alike(equation.invars, body.jaxpr.invars) - m
    consts, start, rows = given[:n], list(given[n : n + m]), list(given[n + m :])

    def step(carry: list[Any], row: list[Any]) -> tuple[list[Any], tuple[list[Any], list[Int[Array, ""]]]]:
        lengths: list[Int[Array, ""]] = []
        results = _follow(body.jaxpr, body.consts, [*consts, *carry, *row], lengths)
        return results[:m], (results[m:], lengths)

    end, (stacked, lengths) = jax.lax.scan(step, start, rows, length=params["length"], reverse=params["reverse"])
    found += [jnp.sum(turns) for turns in lengths]
    return [*end, *stacked]


def _alike(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Number of variables that have as many axes in the body of a loop as outside."""
    return sum(one.aval.ndim == other.aval.ndim for one, other in zip(outside, inside, strict=True))


def _follow_loop(params: Any, given: Sequence[Any], found: list[Int[Array, ""]]) -> list[Any]:
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    if any(_has_open_loop(loop.jaxpr) for loop in (condition, body)):
        raise ValueError("a loop of data-dependent length lies inside another one: FLOPs cannot be counted")
    n, m = params["cond_nconsts"], params["body_nconsts"]
    of_condition, of_body, start = given[:n], given[n : n + m], given[n + m :]
    evaluate, run_body = jax.extend.core.jaxpr_as_fun(condition), jax.extend.core.jaxpr_as_fun(body)

    def goes_on(state: tuple[list[Any], Any]) -> Any:
        return jnp.any(evaluate(*of_condition, *state[0])[0])

    def step(state: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
        return list(run_body(*of_body, *state[0])), state[1] + 1

    results, turns = jax.lax.while_loop(goes_on, step, (list(start), jnp.int32(0)))
    found.append(turns)
    return list(results)
