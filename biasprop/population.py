"""Who is in a data set: shares and prevalences -> subgroup and label of every subject."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.interfaces import Subjects
from biasprop.keys import Subject, at, each


def cohort(
    key: Key[Array, ""],
    indices: Int[Array, " n"],
    shares: Mapping[str, float | Float[Array, ""]],
    prevalence: float | Float[Array, ""],
) -> Subjects:
    """Members of a virtual cohort, addressed by index; nothing is stored.

    Subgroup and label each compare one uniform of the subject's own key with a probability, so raising a share moves
    subjects into that subgroup only and leaves everything else about them as it was.

    Args:
        key: of the cohort.
        indices: which members.
        shares: P(subgroup), in the order of the generator's subgroups.
        prevalence: P(disease | subgroup).
    """
    edges = jnp.cumsum(jnp.stack([jnp.asarray(share, jnp.float32) for share in shares.values()]))[:-1]

    def member(subject: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        subgroup = jnp.sum(jax.random.uniform(at(subject, Subject.SUBGROUP)) >= edges)
        label = jax.random.uniform(at(subject, Subject.LABEL)) < prevalence
        return subgroup.astype(jnp.int32), label.astype(jnp.int32)

    subject_keys = each(key, indices)
    subgroup, label = jax.vmap(member)(subject_keys)
    return Subjects(subject_keys, subgroup, label)


def exact(shares: dict[str, float], prevalence: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Subgroups and labels of a list whose every prefix has the stated counts to within one subject.

    Each next subject goes to the subgroup and label that lag furthest behind their expected count (ties to the first),
    so smaller budgets are nested in larger ones.

    Returns:
        Two int32 arrays of length ``n``: index into ``shares`` and label.
    """
    target = np.array([[share * (1 - prevalence), share * prevalence] for share in shares.values()])
    subgroup_target = target.sum(axis=1)
    label_target = target.sum(axis=0)
    count = np.zeros_like(target)
    subgroups, labels = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for i in range(n):
        behind = (i + 1) * target - count
        # The margins lag too; they decide between equally late cells, so that 50 of 4 cells are 25 and 25 both ways.
        behind += 1e-3 * (((i + 1) * subgroup_target - count.sum(axis=1))[:, None])
        behind += 1e-3 * ((i + 1) * label_target - count.sum(axis=0))
        behind[target == 0] = -np.inf
        cell = np.unravel_index(np.argmax(np.round(behind, 9)), target.shape)
        count[cell] += 1
        subgroups[i], labels[i] = cell
    return subgroups, labels
