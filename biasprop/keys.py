"""Random keys (rule 2): random numbers depend on the replicate, never on the condition.

No other file creates or folds keys. A key is ``fold_in(fold_in(key(seed), replicate), STREAM)``, then an index of a
subject, a draw or a step, then, inside a generator, the fixed integer of one latent. ``jax.random.split`` is not used,
and no condition, cell or position in a grid enters a key, so every contrast between conditions is a paired
difference under common random numbers, and replicates, subjects and levels can be added later without changing any old
number. Integers in these tables are never reused and never renumbered.
"""

from __future__ import annotations

import enum
import hashlib

import jax
from jaxtyping import Array, Int, Key


class Stream(enum.IntEnum):
    """Purposes of the random numbers of a replicate. 8 (formerly DRAW) is retired."""

    INIT = 0
    PRETRAIN_SUBJECTS = 1
    FINETUNE_SUBJECTS = 2
    SELECTION = 3  # validation set
    CALIBRATION = 4
    TEST = 5
    AUGMENT = 6
    ORDER = 7  # batches of pretraining
    BOOTSTRAP = 9
    HEAD = 10
    FINETUNE_ORDER = 11
    CONTINUED = 12  # second of two pretraining runs in sequence
    SOURCE = 13  # non-medical images
    PRETEXT = 14  # held-out subjects for the pretraining loss
    RANDOM_ATTRIBUTES = 15  # parameters of the levels of random attributes
    SITES = 16  # which sites take part in a round, for each site
    PEOPLE = 17  # order in which the people of a table are taken
    IMAGES_OF_PEOPLE = 18  # by which of several images each of them is represented
    TRUTH = 20  # ideal observers and expected values


class Subject(enum.IntEnum):
    """Purposes of the random numbers of a subject, apart from its generator's latents (numbered from 0)."""

    SUBGROUP = 1_000
    LABEL = 1_001
    MARKER = 1_002
    FOLLOW_UP = 1_003
    ATTRIBUTE = 1_004  # then the integer of the attribute's name
    SCORE_NOISE = 1_005


def replicate(seed: int | Int[Array, ""], index: int | Int[Array, ""]) -> Key[Array, ""]:
    """The root key of one replicate."""
    return jax.random.fold_in(jax.random.key(seed), index)


def stream(key: Key[Array, ""], name: Stream) -> Key[Array, ""]:
    """A replicate's key for one purpose."""
    return jax.random.fold_in(key, int(name))


def at(key: Key[Array, ""], index: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of one subject, draw, step or latent inside ``key``."""
    return jax.random.fold_in(key, index)


@jax.jit
def at_batched(keys: Key[Array, " w"], index: int | Int[Array, ""]) -> Key[Array, " w"]:
    """:func:`stream` or :func:`at` for several replicates at once."""
    return jax.vmap(lambda key: jax.random.fold_in(key, index))(keys)


def integer_of(name: str) -> int:
    """The frozen integer of a named thing, such as a level of an attribute: 31 bits of the blake2b hash of its name.

    Positions in a list would not do, because adding or reordering levels would change the numbers of all others.
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") & 0x7FFF_FFFF


def at_each(key: Key[Array, ""], indices: Int[Array, " n"]) -> Key[Array, " n"]:
    """The keys of many subjects inside ``key``."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
