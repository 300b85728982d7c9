"""The mean of a loss over a batch whose images may count differently."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def mean(losses: Float[Array, "n *s"], weight: Float[Array, " n"] | None) -> Float[Array, ""]:
    """Mean over everything, each image counting by its weight, which is 1 on average, or all alike."""
    if weight is None:
        return jnp.mean(losses)
    return jnp.mean(weight * losses.reshape(len(weight), -1).mean(axis=1))
