"""People of a table as subjects: which of them are in a cohort and on a roster, each at most once.

A table has disjoint parts (:class:`biasprop.interfaces.Part`). Within a part, the people of a subgroup and
label are taken in an order that the replicate decides, each with one image; for pretraining, every image counts as a
person. A cohort of 80 % women and one of 20 % therefore have their
women in common as far as they go: changing the shares adds people of one subgroup and takes away people of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from numpy.typing import NDArray

from biasprop.interfaces import HasPeople, Part, Subjects

STEPS = {"subgroup": 0x9E3779B9, "label": 0x6A09E667}
"""Steps of a low-discrepancy sequence, as fractions of 2^32: the golden ratio, and sqrt 2, less 1 each."""


class Places(NamedTuple):
    """Which people of a table a list of subjects is."""

    part: Part
    rank: NDArray[np.int32]
    """[n] how many subjects of the same subgroup and label come before each."""
    first: NDArray[np.int32]
    """[subgroup, label] how many people are taken for other lists of this part."""
    per_draw: NDArray[np.int32]
    """[subgroup, label] how many people a draw takes."""

    def of_draw(self, draw: int) -> Places:
        """Those of one of several draws, which are disjoint."""
        return self._replace(first=self.first + draw * self.per_draw)

    def ranks(self, rows: NDArray[np.integer], subgroup: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray:
        """Ranks within the part of some of the subjects, given their subgroups and labels."""
        return (self.first[subgroup, label] + self.rank[rows]).astype(np.int32)


def places(
    part: Part, subgroup: NDArray[np.integer], label: NDArray[np.integer], subgroups: int, after: NDArray | None = None
) -> Places:
    """The people that a list of subjects is.

    Args:
        part: of the table.
        subgroup, label: [n] of the list.
        subgroups: number of subgroups.
        after: [subgroup, label] how many people other lists of the part take before; None for none.
    """
    shape = (subgroups, 2)
    counts = counted(subgroup, label, subgroups)
    first = np.zeros(shape, np.int32) if after is None else after.astype(np.int32)
    return Places(part, ranks(2 * subgroup + label), first, counts.astype(np.int32))


def counted(subgroup: NDArray[np.integer], label: NDArray[np.integer], subgroups: int) -> NDArray[np.int64]:
    """Number of subjects of each subgroup and label: [subgroup, label]."""
    return np.bincount(2 * subgroup + label, minlength=2 * subgroups).reshape(subgroups, 2)


def ranks(codes: NDArray[np.integer]) -> NDArray[np.int32]:
    """How many equal entries come before each."""
    order = np.argsort(codes, kind="stable")
    run = codes[order]
    found = np.empty(len(codes), np.int32)
    found[order] = np.arange(len(codes)) - np.searchsorted(run, run, side="left")
    return found


def largest(codes: NDArray[np.integer], available: NDArray[np.integer]) -> int:
    """Length of the longest prefix of a list for which there are enough people.

    Args:
        codes: ``2 * subgroup + label`` of each subject.
        available: people by code.
    """
    short = np.flatnonzero(ranks(codes) >= np.asarray(available)[codes])
    return int(short[0]) if len(short) else len(codes)


def slots(indices: Any, shares: Sequence[Any], prevalences: Sequence[Any]) -> tuple[Any, Any]:
    """Subgroup and label of the members of a cohort, from low-discrepancy sequences instead of random numbers.

    So the number of people that a cohort needs of every subgroup and label is known beforehand. Raising a share only
    moves members into that subgroup where there are two.

    Args:
        indices: [n] uint32, NumPy or JAX.
        shares: P(subgroup).
        prevalences: P(disease | subgroup).
    """

    def sequence(step: int) -> Any:
        return ((indices + np.uint32(1)) * np.uint32(step) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)

    u, v = sequence(STEPS["subgroup"]), sequence(STEPS["label"])
    subgroup, edge, threshold = 0, np.float32(0), prevalences[0] + 0 * u
    for share, prevalence in zip(shares[:-1], prevalences[1:], strict=True):
        edge = edge + share
        above = u >= edge
        subgroup = subgroup + above
        threshold = above * prevalence + (1 - above) * threshold
    return subgroup + 0 * indices, v < threshold


def cohort(
    generator: HasPeople, rows: Int[Array, " n"], shares: Mapping[str, Any], prevalences: Sequence[Any]
) -> Subjects:
    """Members of a pretraining cohort by index, without keys.

    Args:
        generator: has the people.
        rows: indices of members. Those beyond the size of the cohort, for which there need be no people, may have
            images of NaN.
        shares: P(subgroup), in the order of the generator's subgroups.
        prevalences: P(disease | subgroup), shifts included.
    """
    size = max(int(generator.available[Part.PRETRAINING].sum()), 1)
    share = [jnp.asarray(share, jnp.float32) for share in shares.values()]
    subgroup, label = slots(jnp.arange(size, dtype=jnp.uint32), share, prevalences)
    subgroup, label = subgroup.astype(jnp.int32), label.astype(jnp.int32)
    own = (2 * subgroup + label)[:, None] == jnp.arange(2 * len(share))
    rank = jnp.sum(jnp.where(own, jnp.cumsum(own, axis=0) - 1, 0), axis=1)
    index = rows % size
    row = generator.row(Part.PRETRAINING, subgroup[index], label[index], rank[index])
    return Subjects(None, subgroup[index], label[index], row=row)  # pyright: ignore[reportArgumentType] - no key
