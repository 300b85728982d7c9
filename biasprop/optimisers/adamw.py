"""AdamW (Loshchilov and Hutter, ICLR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import jax
from jaxtyping import Array, Float

from biasprop.component import Component
from biasprop.interfaces import Params, RateOfStep

if TYPE_CHECKING:
    import optax


class AdamW(Component):
    """Adam with decoupled weight decay, of matrices only."""

    kind: Literal["adamw"] = "adamw"

    def transformation(self, rate: RateOfStep, weight_decay: float | Float[Array, ""]) -> optax.GradientTransformation:
        """The gradient transformation.

        Args:
            rate: learning rate at a step.
            weight_decay: per unit of the learning rate.
        """
        import optax

        return optax.adamw(
            rate,  # pyright: ignore[reportArgumentType] - optax passes an integer step
            weight_decay=weight_decay,  # pyright: ignore[reportArgumentType] - may be traced
            mask=matrices,
        )


def matrices(params: Params) -> Params:
    """Whether each parameter is a matrix: biases, gains and tokens do not decay."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
