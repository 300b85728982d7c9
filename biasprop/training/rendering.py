"""Images and latents of everyone on a roster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.hardware import memory
from biasprop.interfaces import Params, Subjects
from biasprop.keys import Stream
from biasprop.population import sampling
from biasprop.population.rosters import Roster
from biasprop.population.shifts import Shift
from biasprop.training.batching import Batch, broadcast, over_cells, stream

CHUNK = 250
"""Images rendered or encoded at once: one compiled program whatever the size of a set, and memory that stays small."""

Chunks = list[Float[Array, "w 250 h w c"]]
"""The images of a set, ``CHUNK`` at a time; the last chunk is filled up with repetitions."""


@dataclass(frozen=True)
class RerenderedImages:
    """Images of everyone on a roster, in chunks as :data:`Chunks` has them, rendered whenever they are looked at."""

    batch: Batch
    key: Key[Array, " w"]
    roster: Roster

    def __iter__(self) -> Iterator[Float[Array, "w 250 h w c"]]:
        for rows in _rows(self.batch, self.roster):
            yield over_cells(_render)(self.batch.condition.generator, self.key, *rows)


class ImageSets(NamedTuple):
    """Images of those who select, calibrate and test, and of the first draw of labelled subjects."""

    train: Chunks
    selection: Chunks
    calibration: Chunks | RerenderedImages
    test: list[Chunks | RerenderedImages]
    """One for each subgroup: the twins."""


class Latents(NamedTuple):
    """Key latents of those who are scored."""

    test: np.ndarray
    """[w, latent, subgroup, t]: the twins"""
    selection: np.ndarray
    """[w, latent, m]"""
    calibration: np.ndarray
    """[w, latent, k]"""


def render_sets(batch: Batch, who: dict[str, Roster]) -> ImageSets:
    """Render everyone who selects, the first draw of labelled subjects, and those who calibrate and test, if they fit
    on the shelf (:data:`biasprop.hardware.memory.IMAGE_CACHE_BYTES`)."""
    twins = _twins(batch, who["test"])
    judged = len(who["calibration"].label) + sum(len(roster.label) for roster in twins)
    judges = rendered if judged <= memory.image_cache_capacity(batch.condition) else RerenderedImages
    return ImageSets(
        train=rendered(batch, labelled_key(batch, 0), who["train"]),
        selection=rendered(batch, stream(batch, Stream.SELECTION), who["selection"]),
        calibration=judges(batch, stream(batch, Stream.CALIBRATION), who["calibration"]),
        test=[judges(batch, stream(batch, Stream.TEST), roster) for roster in twins],
    )


def latents(batch: Batch, who: dict[str, Roster]) -> Latents:
    """Key latents of everyone who is scored."""
    twins = [_latents_of(batch, Stream.TEST, roster) for roster in _twins(batch, who["test"])]
    return Latents(
        np.stack(twins, axis=2),
        _latents_of(batch, Stream.SELECTION, who["selection"]),
        _latents_of(batch, Stream.CALIBRATION, who["calibration"]),
    )


def _latents_of(batch: Batch, name: Stream, roster: Roster) -> np.ndarray:
    key, generator = stream(batch, name), batch.condition.generator
    drawn = [over_cells(_latents)(generator, key, *rows) for rows in _rows(batch, roster)]
    return np.moveaxis(concatenated(drawn, len(roster.label)), -1, 1)


def rendered(batch: Batch, key: Key[Array, " w"], roster: Roster) -> Chunks:
    """Images of everyone on a roster."""
    return list(RerenderedImages(batch, key, roster))


def rendered_masks(batch: Batch, key: Key[Array, " w"], roster: Roster) -> list[Float[Array, "w 250 h w"]]:
    """Where the disease is in everyone on a roster, in chunks as :func:`rendered` has them."""
    return [over_cells(_mask)(batch.condition.generator, key, *rows) for rows in _rows(batch, roster)]


def _rows(batch: Batch, roster: Roster) -> Iterator[tuple[Any, ...]]:
    """Index, subgroup, label and shifts of a roster, a chunk at a time."""
    for first in range(0, len(roster.label), CHUNK):
        rows = np.arange(first, first + CHUNK) % len(roster.label)
        yield broadcast(batch, (rows, roster.subgroup[rows], roster.label[rows], roster.shifts))


def concatenated(chunks: list[Array], n: int) -> np.ndarray:
    """Rows of all chunks, without those that only fill the last one: [w, n, ...]."""
    return np.concatenate([np.asarray(chunk) for chunk in chunks], axis=1)[:, :n]


def _twins(batch: Batch, roster: Roster) -> list[Roster]:
    """The same subjects in every subgroup."""
    return [
        roster._replace(subgroup=np.full_like(roster.subgroup, g))
        for g in range(len(batch.condition.generator.subgroups))
    ]


def labelled_key(batch: Batch, draw: int) -> Key[Array, " w"]:
    """The key of the labelled subjects of one draw."""
    return keys.at_batched(stream(batch, Stream.FINETUNE_SUBJECTS), draw)


def _subjects(
    key: Key[Array, ""],
    index: Int[Array, " n"],
    subgroup: Int[Array, " n"],
    label: Int[Array, " n"],
    shifts: tuple[Shift, ...],
) -> Subjects:
    return jax.vmap(lambda own, a, y: sampling.apply_shifts(own, a, y, shifts))(
        keys.at_each(key, index), subgroup, label
    )


def _render(generator: Any, *rows: Any) -> Float[Array, "n h w c"]:
    return jax.vmap(generator.render)(_subjects(*rows))


def _mask(generator: Any, *rows: Any) -> Float[Array, "n h w"]:
    return jax.vmap(generator.mask)(_subjects(*rows))


def _latents(generator: Any, *rows: Any) -> Float[Array, "n k"]:
    return jax.vmap(generator.latents)(_subjects(*rows))


def encoded(batch: Batch, params: Params, images: Chunks | RerenderedImages, n: int) -> np.ndarray:
    """Features of the ``n`` people of a set: [w, n, d]."""
    return concatenated([over_cells(_encode)(batch.condition.encoder, params, chunk) for chunk in images], n)


def _encode(encoder: Any, params: Params, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
    return encoder.apply(params, images)
