"""Rule 2: the replicate owns the randomness; the condition never does.

The only file that makes or folds keys. A key is ``fold_in(fold_in(key(seed), replicate), STREAM)``, then an index of a
subject, a draw or a step, then, inside a generator, the frozen integer of one latent. Nothing is ever split by
position and no condition, cell or place in a grid enters a key, so every contrast between conditions is a paired
difference under common random numbers, and replicates, subjects and levels can be added later without changing any old
number. Integers in these tables are never reused and never renumbered.
"""

from __future__ import annotations

import enum

import jax
from jaxtyping import Array, Int, Key


class Stream(enum.IntEnum):
    """What a replicate's randomness is for. 8 is retired: it was DRAW, which is not used any more."""

    INIT = 0
    PRETRAIN_SUBJECTS = 1
    FINETUNE_SUBJECTS = 2
    SELECTION = 3
    CALIBRATION = 4
    TEST = 5
    AUGMENT = 6
    ORDER = 7
    BOOTSTRAP = 9
    HEAD = 10
    FINETUNE_ORDER = 11
    CONTINUED = 12
    SOURCE = 13
    PRETEXT = 14
    TRUTH = 20


class Subject(enum.IntEnum):
    """What a subject's key is for, apart from its generator's latents (which are numbered from 0)."""

    SUBGROUP = 1_000
    LABEL = 1_001
    MARKER = 1_002
    FOLLOW_UP = 1_003


def replicate(seed: int | Int[Array, ""], index: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key that owns one replicate."""
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


def at_each(key: Key[Array, ""], indices: Int[Array, " n"]) -> Key[Array, " n"]:
    """The keys of many subjects inside ``key``."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
