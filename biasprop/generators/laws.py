"""Laws of patients, and the levers of one subgroup; shared by generators whose subgroups are laws of patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from biasprop.component import Component

Level = TypeVar("Level", bound=Component)


def of_subgroup(levels: Sequence[Level], subgroup: Int[Array, ""]) -> Level:
    """The levers of one subgroup, which may be traced.

    Args:
        levels: of every subgroup, of one class whose fields are all floats.
        subgroup: index.
    """
    cls = type(levels[0])
    values = {n: jnp.stack([jnp.asarray(getattr(p, n), jnp.float32) for p in levels]) for n in cls.model_fields}
    return cls.model_construct(None, **{name: value[subgroup] for name, value in values.items()})


def truncated_normal(
    mean: float | Float[Array, ""], sd: float | Float[Array, ""], low: float, high: float, quantile: Float[Array, ""]
) -> Float[Array, ""]:
    """The value at a quantile in [0, 1) of a normal law that is truncated to a range."""
    spread = jnp.maximum(sd, 1e-3)
    below, above = (jax.scipy.stats.norm.cdf((bound - mean) / spread) for bound in (low, high))
    p = jnp.clip(below + quantile * (above - below), 1e-6, 1 - 1e-6)
    return jnp.clip(mean + spread * jax.scipy.special.ndtri(p), low, high)
