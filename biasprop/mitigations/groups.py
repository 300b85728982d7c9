"""Groups of labelled subjects, and the weights that balance them."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from biasprop.interfaces import Labelled

Grouping = Literal["subgroup_and_label", "subgroup"]
"""Definition of a group: subgroup and recorded label, as in common benchmarks, or subgroup alone."""


def group_membership(train: Labelled, balanced: Grouping) -> Float[Array, "n k"]:
    """One-hot group of every labelled subject: by subgroup and, within it, healthy before diseased.

    Raises:
        ValueError: ``train`` has no subgroups.
    """
    if train.subgroup is None:
        raise ValueError("balancing groups needs subgroup labels")
    if balanced == "subgroup":
        return train.subgroup
    label = jax.nn.one_hot(train.labels, 2)
    return (train.subgroup[:, :, None] * label[:, None, :]).reshape(len(label), -1)


def group_shares(train: Labelled, balanced: Grouping) -> Float[Array, " k"]:
    """Share of every group in the labelled set."""
    labelled = jnp.arange(len(train.labels)) < train.count
    return labelled.astype(jnp.float32) @ group_membership(train, balanced) / train.count


def balanced_weights(train: Labelled, balanced: Grouping) -> Float[Array, " n"]:
    """Weights of mean 1 that give all groups with members the same total weight; all 1 if they have it already."""
    return group_membership(train, balanced) @ inverse_share_weights(group_shares(train, balanced))


def inverse_share_weights(shares: Float[Array, " k"]) -> Float[Array, " k"]:
    """Weight of a member of each group: the balanced share over its own share; 0 for groups without members."""
    return jnp.where(shares > 0, equal_shares(shares) / jnp.maximum(shares, 1e-9), 0)


def equal_shares(shares: Float[Array, " g"]) -> Float[Array, " g"]:
    """Equal shares of all groups with members, 0 for the others."""
    has_members = (jnp.asarray(shares) > 0).astype(jnp.float32)
    return has_members / jnp.sum(has_members)
