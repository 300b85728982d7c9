"""People with their pictures and embeddings, which a process reads once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from biasprop.component import FieldProblems
from biasprop.datasets import people as tables
from biasprop.datasets import pixels
from biasprop.datasets.arrays import is_array
from biasprop.datasets.people import Files, People
from biasprop.datasets.pictures import Square


@dataclass(frozen=True)
class Dataset:
    """People, and what is observed of them."""

    people: People
    digest: str
    """Of all contents."""
    cached: dict[str, pixels.Cached]
    """``image`` and ``features``, as far as there are any."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array of an example."""
        return {name: array.shape[1:] for name, array in self.cached.items()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Name -> [n, ...], 8 bits for images."""
        return {name: array.read() for name, array in self.cached.items()}


_read: dict[str, Dataset] = {}
"""What this process has read, by the digest of its contents."""
_known: dict[Any, str] = {}
"""How something was read, and the state of its files -> digest."""


def read(files: Files, images: str, embeddings: str, size: int, channels: int, square: Square) -> Dataset:
    """Read a table and its images and embeddings, or take them from the cache.

    Args:
        files: the table and its columns.
        images: folder, or file of arrays.
        embeddings: file; empty for none.
        size, channels, square: how images are resized.

    Raises:
        FieldProblems: something cannot be read; fields are those of the generator.
    """
    has_images = bool(files.file) or is_array(images)
    if not has_images and not embeddings:
        what = "there is nothing to look at: name a column of image files (generator.file), a file of arrays "
        raise FieldProblems([((), f"{what}(generator.images), or embeddings (generator.embeddings)")])
    if files.file and is_array(images):
        what = f"is a file of arrays, {images}, in the order of the rows, so that generator.file ({files.file}) has no "
        raise FieldProblems([(("images",), f"{what}meaning; leave one of them out")])
    state = (files, images, embeddings, size, channels, square, pixels.state(files, images, embeddings))
    if state in _known:
        return _read[_known[state]]
    people = tables.read(files)
    cached = {}
    if has_images:
        cached["image"] = pixels.images(people, pixels.ImageOptions(images, size, channels, square))
    if embeddings:
        cached["features"] = pixels.embeddings(people, embeddings)
    content = [people.digest(), {name: array.digest for name, array in cached.items()}]
    digest = hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
    _known[state] = digest
    return _read.setdefault(digest, Dataset(people, digest, cached))


def of(digest: str) -> Dataset:
    """What this process has read, by its digest."""
    return _read[digest]
