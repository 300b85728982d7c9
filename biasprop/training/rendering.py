"""Examples, masks, latents and features of the subjects on a roster, in chunks of fixed size."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from biasprop import keys
from biasprop.hardware import memory
from biasprop.interfaces import Encoder, Example, Generator, HasPeople, Params, Part, RendersImages, Subjects
from biasprop.keys import Stream
from biasprop.population import sampling
from biasprop.population.random_attributes import level_parameters, with_levels, with_levers
from biasprop.population.rosters import Roster
from biasprop.population.shifts import Shift
from biasprop.training.batching import Batch, broadcast, over_cells, stream

CHUNK = 250
"""Examples rendered or encoded per call: one compiled program for sets of any size, and bounded memory."""

Chunks = list[Example]
"""Examples of a set in chunks of ``CHUNK``, arrays [w, 250, ...]; the last chunk is padded with repetitions."""


@dataclass(frozen=True)
class RerenderedExamples:
    """Examples of a roster in chunks like :data:`Chunks`, rendered again on every iteration instead of cached."""

    batch: Batch
    key: Key[Array, " w"]
    roster: Roster

    def __iter__(self) -> Iterator[Example]:
        generator = _generators(self.batch)
        for rows in _chunked_rows(self.batch, self.roster):
            yield over_cells(_observe)(generator, self.key, *rows)


def missed_labels(batch: Batch) -> np.ndarray | None:
    """P(recorded healthy | diseased) that each cell's replicate has drawn for the levels of random attributes:
    [w, subgroup]; None without any."""
    attributes = batch.condition.attributes
    if attributes is None or not attributes.random:
        return None
    return np.asarray(over_cells(level_parameters)(attributes, batch.key).missed)


class ExampleSets(NamedTuple):
    """Examples of the first draw of labelled subjects and of the validation, calibration and test sets."""

    train: Chunks
    selection: Chunks
    calibration: Chunks | RerenderedExamples
    test: list[Chunks | RerenderedExamples]
    """One per subgroup: the twins."""


class Latents(NamedTuple):
    """Stored latents of all scored subjects."""

    test: np.ndarray
    """[w, latent, subgroup, t] of the twins."""
    selection: np.ndarray
    """[w, latent, m]"""
    calibration: np.ndarray
    """[w, latent, k]"""


def render_sets(batch: Batch, rosters: dict[str, Roster]) -> ExampleSets:
    """Render every set; the calibration and test sets are re-rendered when read if they exceed the image cache
    (:data:`biasprop.hardware.memory.IMAGE_CACHE_BYTES`)."""
    twins = _twin_rosters(batch, rosters["test"])
    evaluated = len(rosters["calibration"].label) + sum(len(roster.label) for roster in twins)
    examples = rendered if evaluated <= memory.image_cache_capacity(batch.condition) else RerenderedExamples
    return ExampleSets(
        train=rendered(batch, labelled_key(batch, 0), rosters["train"]),
        selection=rendered(batch, stream(batch, Stream.SELECTION), rosters["selection"]),
        calibration=examples(batch, stream(batch, Stream.CALIBRATION), rosters["calibration"]),
        test=[examples(batch, stream(batch, Stream.TEST), roster) for roster in twins],
    )


def latents(batch: Batch, rosters: dict[str, Roster]) -> Latents:
    """Stored latents of all scored subjects."""
    twins = [_latents_of(batch, Stream.TEST, roster) for roster in _twin_rosters(batch, rosters["test"])]
    return Latents(
        np.stack(twins, axis=2),
        _latents_of(batch, Stream.SELECTION, rosters["selection"]),
        _latents_of(batch, Stream.CALIBRATION, rosters["calibration"]),
    )


def _latents_of(batch: Batch, name: Stream, roster: Roster) -> np.ndarray:
    key, generator = stream(batch, name), _generators(batch)
    chunks = [over_cells(_latents)(generator, key, *rows) for rows in _chunked_rows(batch, roster)]
    return np.moveaxis(concatenated(chunks, len(roster.label)), -1, 1)


def rendered(batch: Batch, key: Key[Array, " w"], roster: Roster) -> Chunks:
    """Examples of the subjects on a roster."""
    return list(RerenderedExamples(batch, key, roster))


def rendered_masks(batch: Batch, key: Key[Array, " w"], roster: Roster) -> list[Float[Array, "w 250 h w"]]:
    """Disease masks of the subjects on a roster, in chunks like :func:`rendered`."""
    generator = _generators(batch)
    return [over_cells(_mask)(generator, key, *rows) for rows in _chunked_rows(batch, roster)]


def _generators(batch: Batch) -> Any:
    """The generator of every cell, with the levers that its replicate has drawn."""
    generator, attributes = batch.condition.generator, batch.condition.attributes
    if attributes is None or not any(law.lever_sd for law in attributes.random.values()):
        return generator
    return over_cells(with_levers)(generator, attributes, batch.key)


def _chunked_rows(batch: Batch, roster: Roster) -> Iterator[tuple[Any, ...]]:
    """Yield index, subgroup, label, shifts, disease and, of people of a table, their rows of a roster in chunks."""
    shifts = broadcast(batch, roster.shifts)
    if batch.condition.attributes is not None and batch.condition.attributes.random:
        shifts = over_cells(with_levels)(shifts, batch.condition.attributes, batch.key)
    for first in range(0, len(roster.label), CHUNK):
        rows = np.arange(first, first + CHUNK) % len(roster.label)
        disease = None if roster.disease is None else np.full(len(rows), roster.disease, np.int32)
        subgroup, label = roster.subgroup[rows], roster.label[rows]
        table_row = None
        if roster.places is not None:
            ranks = broadcast(batch, (subgroup, label, roster.places.ranks(rows, subgroup, label)))
            table_row = over_cells(_ROWS[roster.places.part])(batch.condition.generator, *ranks)
        index, subgroup, label, disease = broadcast(batch, (rows, subgroup, label, disease))
        yield index, subgroup, label, shifts, disease, table_row


def concatenated(chunks: list[Array], n: int) -> np.ndarray:
    """Rows of all chunks without the padding of the last: [w, n, ...]."""
    return np.concatenate([np.asarray(chunk) for chunk in chunks], axis=1)[:, :n]


def _twin_rosters(batch: Batch, roster: Roster) -> list[Roster]:
    """Rosters of the same subjects, one per subgroup."""
    return [
        roster._replace(subgroup=np.full_like(roster.subgroup, g))
        for g in range(len(batch.condition.generator.subgroups))
    ]


def labelled_key(batch: Batch, draw: int) -> Key[Array, " w"]:
    """Keys of the labelled subjects of one draw."""
    return keys.at_batched(stream(batch, Stream.FINETUNE_SUBJECTS), draw)


def _subjects(
    key: Key[Array, ""],
    index: Int[Array, " n"],
    subgroup: Int[Array, " n"],
    label: Int[Array, " n"],
    shifts: tuple[Shift, ...],
    disease: Int[Array, " n"] | None,
    row: Int[Array, " n"] | None,
) -> Subjects:
    subjects = jax.vmap(lambda subject, a, y: sampling.apply_shifts(subject, a, y, shifts))(
        keys.at_each(key, index), subgroup, label
    )
    return subjects._replace(disease=disease, row=row)


def _rows_of(part: Part, generator: HasPeople, *ranks: Any) -> Int[Array, " n"]:
    return generator.row(part, *ranks)


_ROWS = {part: functools.partial(_rows_of, part) for part in Part}
"""Part of a table -> function of a generator, subgroups, labels and ranks."""


def _observe(generator: Generator, *rows: Any) -> Example:
    return jax.vmap(generator.observe)(_subjects(*rows))


def _mask(generator: RendersImages, *rows: Any) -> Float[Array, "n h w"]:
    return jax.vmap(generator.mask)(_subjects(*rows))


def _latents(generator: Generator, *rows: Any) -> Float[Array, "n k"]:
    return jax.vmap(generator.latents)(_subjects(*rows))


def encoded(batch: Batch, params: Params, examples: Chunks | RerenderedExamples, n: int) -> np.ndarray:
    """Features of the ``n`` subjects of a set: [w, n, d]."""
    return concatenated([over_cells(_encode)(batch.condition.encoder, params, chunk) for chunk in examples], n)


def _encode(encoder: Encoder, params: Params, examples: Example) -> Float[Array, "n d"]:
    return encoder.apply(params, examples)
