"""Groups of labelled subjects, and how much a member of each has to count for all groups to count alike."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.interfaces import Labelled

Balanced = Literal["subgroup_and_label", "subgroup"]
"""What defines a group: subgroup and recorded label together, as in the field's benchmarks, or the subgroup alone."""


def members(train: Labelled, balanced: Balanced) -> Float[Array, "n k"]:
    """1 where a labelled subject is in a group, subgroup by subgroup and, within, healthy before diseased.

    Raises:
        ValueError: nobody told the subgroups.
    """
    if train.subgroup is None:
        raise ValueError("whoever balances groups has to be told the subgroups")
    if balanced == "subgroup":
        return train.subgroup
    label = jax.nn.one_hot(train.labels, 2)
    return (train.subgroup[:, :, None] * label[:, None, :]).reshape(len(label), -1)


def shares(train: Labelled, balanced: Balanced) -> Float[Array, " k"]:
    """Share of every group in the label budget."""
    there = jnp.arange(len(train.labels)) < train.count
    return there.astype(jnp.float32) @ members(train, balanced) / train.count


def balancing(train: Labelled, balanced: Balanced) -> Float[Array, " n"]:
    """Weights under which all groups that are present count alike: of mean 1, and 1 where they do anyhow."""
    return members(train, balanced) @ over_shares(shares(train, balanced))


def over_shares(found: Float[Array, " k"]) -> Float[Array, " k"]:
    """What a member of each group has to count for: the equal share over its own; 0 where there is no member."""
    return jnp.where(found > 0, present(found) / jnp.maximum(found, 1e-9), 0)


def present(shares: Float[Array, " g"]) -> Float[Array, " g"]:
    """Equal shares of all groups that have any."""
    there = (jnp.asarray(shares) > 0).astype(jnp.float32)
    return there / jnp.sum(there)
