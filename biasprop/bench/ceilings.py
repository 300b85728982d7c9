"""What the machine reaches with a model's own matrix products and nothing between them."""

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

AT_LEAST = 2e-3
"""Seconds a timing of one product lasts."""


class Ceiling(NamedTuple):
    """All products of one role and shape in a stage."""

    product: Product
    times: float
    """A unit of work."""
    seconds: float
    """One product alone, the best of all timings."""

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.product.flops / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Role, shapes, how often, share of the work and rate."""
        return {
            "role": self.product.role,
            "operands": self.product.name,
            "times": self.times,
            "flops": self.product.flops,
            "seconds": self.seconds,
            "gflops": self.rate / 1e9,
        }


class Alone:
    """Times products, each kind once."""

    def __init__(self, repeats: int):
        self.repeats = repeats
        self._seconds: dict[Product, float] = {}

    def seconds(self, product: Product) -> float:
        """The best time of one product, as it is or :attr:`Product.laid_out`: an axis in the wrong place takes up to
        eight times as long (measured, 256 x 16 x 2 x 32 on a CPU), and is what a step avoids."""
        product = product._replace(role=FORWARD)
        return min(self._timed(product), self._timed(product.laid_out))

    def _timed(self, product: Product) -> float:
        """The best time of a product compiled for itself and run on numbers that mean nothing.

        The result is written where the last one was. Memory taken anew comes in zeroed pages, which took twice as long
        as the product (measured, 4096 x 64 . 64 x 192 on a CPU), and which a step that reuses its memory never pays.
        """
        if product not in self._seconds:
            over = jax.jit(lambda _, *operands: product.run(*operands), donate_argnums=0, keep_unused=True)
            operands = [jax.device_put(_filled(shape, kind)) for shape, kind in product.operands]
            held = [jnp.zeros_like(jax.eval_shape(product.run, *operands))]

            def run() -> list[Array]:
                held[0] = over(held[0], *operands)
                return held

            self._seconds[product] = timed(run, self.repeats, AT_LEAST).best
        return self._seconds[product]

    def total(self, counts: Counts) -> float:
        """Seconds that all products of a stage take alone."""
        return sum(times * self.seconds(product) for product, times in counts.items())

    def ceilings(self, counts: Counts, work: float) -> list[Ceiling]:
        """Every kind of product of a stage, the most costly first, for one of ``work`` units."""
        found = [Ceiling(product, times / work, self.seconds(product)) for product, times in counts.items()]
        return sorted(found, key=lambda each: -each.times * each.seconds)


def by_role(ceilings: Iterable[Ceiling]) -> dict[str, float]:
    """Operations a second of all products of a role together, for the roles there are."""
    operations, seconds = Counter[str](), Counter[str]()
    for each in ceilings:
        operations[each.product.role] += each.times * each.product.flops  # pyright: ignore[reportArgumentType]
        seconds[each.product.role] += each.times * each.seconds  # pyright: ignore[reportArgumentType]
    return {
        role: operations[role] / seconds[role] for role in (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT) if seconds[role]
    }


def _filled(shape: tuple[int, ...], kind: str) -> np.ndarray:
    count = int(np.prod(shape))
    return (np.arange(count) % 251 / 251 - 0.5).reshape(shape).astype(kind)
