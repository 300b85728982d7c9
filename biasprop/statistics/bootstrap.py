"""Resamples of independent people or clusters, as weights (how often each entry is drawn), and their random orders.

This is the only module that uses NumPy's random numbers: the people of a user's table belong to no replicate, so they
have no key (``biasprop.keys``). Each stratum has a generator of its own, made from the seed and the stratum's name, so
that strata, measures or attributes can be added without changing the resamples of the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**20
"""Entries of all resamples that are made at a time."""


def orders(number: int, seed: int, stratum: str, draws: int) -> NDArray[np.int64]:
    """Put people or clusters in random orders.

    Args:
        number: of people.
        seed: >= 0.
        stratum: name of what is ordered.
        draws: number of orders; more of them leave the first ones as they are.

    Returns:
        [draw, number] numbers of people.
    """
    generator = np.random.default_rng([seed, zlib.crc32(stratum.encode())])
    return np.array([generator.permutation(number) for _ in range(draws)]).reshape(draws, number)


def resamples(cluster: NDArray[np.integer], seed: int, stratum: str, number: int) -> Iterator[NDArray[np.float64]]:
    """Draw as many clusters as there are, with replacement, and yield how often each entry is drawn.

    Args:
        cluster: [n], which cluster each entry belongs to (any integers); a cluster is drawn as a whole.
        seed: >= 0.
        stratum: name of the group of entries that is resampled by itself.
        number: of resamples.

    Yields:
        Blocks [block, n] of at most 2**20 counts, ``number`` rows in all.
    """
    generator = np.random.default_rng([seed, zlib.crc32(stratum.encode())])
    _, member = np.unique(cluster, return_inverse=True)
    clusters = int(member.max()) + 1 if len(member) else 0
    rows = max(1, BLOCK // max(len(member), 1))
    for start in range(0, number, rows):
        block = min(rows, number - start)
        if not clusters:
            yield np.zeros((block, 0))
            continue
        drawn = generator.integers(clusters, size=(block, clusters)) + clusters * np.arange(block)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=block * clusters).reshape(block, clusters)
        yield counts[:, member].astype(np.float64)
