"""Time of a model's matrix products on their own: the speed that a stage could reach on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from biasprop.bench.operations import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Counts, Product
from biasprop.bench.timing import timed

MIN_TIMING_S = 2e-3
"""Minimum duration of one timing, seconds; a shorter product is computed several times in a row."""


class Ceiling(NamedTuple):
    """All products of one role and shape in a stage."""

    product: Product
    times: float
    """Per unit of work."""
    seconds: float
    """Of one product, the best of all timings."""

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.product.flops / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Role, shapes, number per unit of work, operations, seconds and rate."""
        return {
            "role": self.product.role,
            "operands": self.product.name,
            "times": self.times,
            "flops": self.product.flops,
            "seconds": self.seconds,
            "gflops": self.rate / 1e9,
        }


class ProductTimer:
    """Times matrix products on their own, each kind once."""

    def __init__(self, repeats: int):
        self.repeats = repeats
        self._seconds: dict[Product, float] = {}

    def seconds(self, product: Product) -> float:
        """The best time of one product, as it is or as :attr:`Product.plain`, whichever is faster.

        An unfavourable order of axes takes up to eight times as long (measured, 256 x 16 x 2 x 32 on a CPU).
        """
        product = product._replace(role=FORWARD)
        return min(self._timed(product), self._timed(product.plain))

    def _timed(self, product: Product) -> float:
        """The best time of a product that is compiled separately and run on arbitrary numbers.

        The result overwrites the previous one. Newly allocated memory comes in zeroed pages, which took twice as long
        as the product (measured, 4096 x 64 . 64 x 192 on a CPU), and which a step that reuses its memory avoids.
        """
        if product not in self._seconds:
            compiled = jax.jit(lambda _, *operands: product.run(*operands), donate_argnums=0, keep_unused=True)
            operands = [jax.device_put(_filled(shape, kind)) for shape, kind in product.operands]
            result = [jnp.zeros_like(jax.eval_shape(product.run, *operands))]

            def run() -> list[Array]:
                result[0] = compiled(result[0], *operands)
                return result

            self._seconds[product] = timed(run, self.repeats, MIN_TIMING_S).best
        return self._seconds[product]

    def total(self, counts: Counts) -> float:
        """Seconds that all products of a stage take on their own."""
        return sum(times * self.seconds(product) for product, times in counts.items())

    def ceilings(self, counts: Counts, work: float) -> list[Ceiling]:
        """Every kind of product of a stage, the most expensive first, per unit of ``work``."""
        found = [Ceiling(product, times / work, self.seconds(product)) for product, times in counts.items()]
        return sorted(found, key=lambda ceiling: -ceiling.times * ceiling.seconds)


def rate_by_role(ceilings: Iterable[Ceiling]) -> dict[str, float]:
    """Operations per second of all products of a role together, for the roles that occur."""
    operations, seconds = Counter[str](), Counter[str]()
    for kind in ceilings:
        operations[kind.product.role] += kind.times * kind.product.flops  # pyright: ignore[reportArgumentType]
        seconds[kind.product.role] += kind.times * kind.seconds  # pyright: ignore[reportArgumentType]
    return {
        role: operations[role] / seconds[role] for role in (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT) if seconds[role]
    }


def _filled(shape: tuple[int, ...], kind: str) -> np.ndarray:
    count = int(np.prod(shape))
    return (np.arange(count) % 251 / 251 - 0.5).reshape(shape).astype(kind)
