"""Coupling of shares: which subgroup a subject has, so that a change of the shares moves few subjects.

Two levels are decided by one uniform random number. Among more, a race decides: the level with the smallest
``E / share`` wins, with one exponential random number E for each level. P(level) is its share, and two laws at a total
variation distance d give at most 2 d / (1 + d) of the subjects another level, whereas comparing one uniform with
cumulated shares would also move subjects between levels whose shares are the same. The random number of a level depends
on the level's name alone, so that levels can be added or reordered.

Subgroups with attributes are drawn attribute by attribute, each given the attributes before it, with random numbers of
the attribute's own. In a product law, changing the shares of one attribute therefore changes no other attribute.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop.keys import Subject, at, at_each, integer_of
from biasprop.population.attributes import Attributes

COUPLING = 2
"""Version of the coupling of more than two subgroups, part of their digests; 1 compared one uniform with cumulated
shares."""

DECIMALS = 6
"""Conditional shares are rounded to this, so that in a product law they do not depend on how products are rounded."""


def drawn_level(key: Key[Array, ""], names: Sequence[str], shares: Float[Array, " g"]) -> Int[Array, ""]:
    """Index of one of several levels by an exponential race: argmin of ``E / share``, with E exponential.

    The coupling of Moulton and Jiang (ICDM 2018).

    Args:
        key: of the subject, for this choice.
        names: of the levels.
        shares: P(level); a level of share 0 never wins.
    """
    waits = jax.vmap(jax.random.exponential)(at_each(key, jnp.array([integer_of(name) for name in names])))
    return jnp.argmin(jnp.where(shares > 0, waits / jnp.where(shares > 0, shares, 1.0), jnp.inf))


def by_attribute(key: Key[Array, ""], shares: Float[Array, " g"], attributes: Attributes) -> Int[Array, ""]:
    """Index of a subject's subgroup, drawn attribute by attribute.

    Args:
        key: of the subject.
        shares: P(subgroup).
        attributes: of the subgroups.
    """
    possible = jnp.ones(len(attributes.subgroups), bool)
    for i, (name, values) in enumerate(zip(attributes.names, attributes.values, strict=True)):
        own = np.array([values.index(subgroup[i]) for subgroup in attributes.subgroups])
        weights = jnp.stack([jnp.sum(jnp.where(possible & (own == v), shares, 0.0)) for v in range(len(values))])
        conditional = jnp.round(weights / jnp.sum(weights), DECIMALS)
        attribute_key = at(at(key, Subject.ATTRIBUTE), integer_of(name))
        if len(values) == 2:
            value = (jax.random.uniform(attribute_key) >= conditional[0]).astype(jnp.int32)
        else:
            value = drawn_level(attribute_key, values, conditional)
        possible = possible & (jnp.asarray(own) == value)
    return jnp.argmax(possible)
