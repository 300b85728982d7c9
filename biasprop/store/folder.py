"""The folder of a store as zarr sees it: nothing is written through a link, nothing unpacks to more than an arm has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from zarr.core.buffer import Buffer
from zarr.core.buffer.core import default_buffer_prototype
from zarr.storage import LocalStore

from biasprop.store import safe_files

MAX_METADATA_BYTES = 64_000_000
"""Bytes of a file of metadata."""


class Folder(LocalStore):
    """A local zarr store that somebody else may have made."""

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.chunks: dict[str, int] = {}
        """Name of an array -> bytes of its largest chunk, once that is known."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Buffer | None:
        """See zarr: the content of a file, None where there is none.

        Raises:
            ValueError: it is no plain file, or too large, or unpacks to too much.
        """
        if byte_range is not None:
            raise ValueError("files of a store are read whole")
        if prototype is None:
            prototype = default_buffer_prototype()
        try:
            return prototype.buffer.from_bytes(await asyncio.to_thread(self.chunk, key))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        self._not_through_a_link(key)
        await super()._set(key, value, exclusive)

    def put(self, key: str, content: bytes | None) -> None:
        """Write a file in one step; for None there is none any more.

        Raises:
            OSError: a link leads there, or the file cannot be written.
        """
        if content is None:
            self._not_through_a_link(key.rpartition("/")[0])
            self.delete_sync(key)
        else:
            self._not_through_a_link(key)
            self.set_sync(key, default_buffer_prototype().buffer.from_bytes(content))

    def _not_through_a_link(self, key: str) -> None:
        if linked := safe_files.first_link(self.root, key):
            raise OSError(f"{self.root / linked} is a link that leads out of the store; it is not written through")

    def chunk(self, key: str) -> bytes:
        """A file's bytes: metadata, or an arm's chunk as it is packed.

        Raises:
            FileNotFoundError: there is none.
            ValueError: see :meth:`get`.
        """
        most = self.chunks.get(key.partition("/")[0])
        if most is None or key.endswith("zarr.json"):
            return safe_files.read_bytes(self.root / key, MAX_METADATA_BYTES)
        packed = safe_files.read_bytes(self.root / key, 2 * most + 1024)
        if safe_files.unpacked(packed) > most:
            raise ValueError(f"{key} unpacks to more than an arm has")
        return packed
