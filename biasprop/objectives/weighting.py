"""Weighted mean of a loss over a batch."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def weighted_mean(losses: Float[Array, "n *s"], weight: Float[Array, " n"] | None) -> Float[Array, ""]:
    """Mean over all entries; ``weight`` (1 on average) weights the images, None weights them equally."""
    if weight is None:
        return jnp.mean(losses)
    return jnp.mean(weight * losses.reshape(len(weight), -1).mean(axis=1))
