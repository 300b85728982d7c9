"""Parquet, by pyarrow (the extra ``parquet``); only the columns that are asked for are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError
from biasprop.terminal import one_line

CHUNK = 2**16
"""Rows that are read at a time."""


class Parquet:
    """A table in a parquet file whose schema has been read."""

    unit = "row"

    def __init__(self, file: Path, binary: BinaryIO):
        """Read the schema.

        Args:
            file: named in messages.
            binary: its bytes, which can be read in any order.

        Raises:
            InputError: pyarrow is not installed, or the file is damaged.
        """
        try:
            import pyarrow as arrow  # pyright: ignore[reportMissingImports]
            from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            needs = "is parquet, which needs pyarrow; install it with: pip install 'biasprop[parquet]'"
            raise InputError(f"{file}: {needs}") from error
        self.file, self._arrow = file, arrow
        self._damaged = (arrow.ArrowException, OSError)
        try:
            self._table = ParquetFile(binary)
            self.names = list(self._table.schema_arrow.names)
        except self._damaged as error:
            raise InputError(f"{file}: is no whole parquet file ({one_line(error)})") from error

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Sequence[str]]]]:
        """Read all rows; see ``Source``.

        Raises:
            InputError: a column has no text form, or the file is damaged.
        """
        row = 1
        try:
            for batch in self._table.iter_batches(CHUNK, columns=list(columns)):
                cells = {name: self._text(name, batch.column(name)) for name in columns}
                yield np.arange(row, row + len(batch), dtype=np.int32), cells
                row += len(batch)
        except self._damaged as error:
            raise InputError(f"{self.file}: row {row:,} or one after it cannot be read ({one_line(error)})") from error

    def _text(self, name: str, column: Any) -> list[str]:
        """Cells as text; what is missing is empty."""
        try:
            return column.cast(self._arrow.string()).fill_null("").to_pylist()
        except self._arrow.ArrowException as error:
            raise InputError(f"{self.file}: {name}: {column.type} cannot be read as text or numbers") from error
