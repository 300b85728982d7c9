"""A table whose header has been read: text or parquet, told by the first bytes of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biasprop.component import InputError
from biasprop.paths import reason
from biasprop.tables import delimited, parquet

REFUSED = {
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
    b"PK\x03\x04": "is an Excel workbook or a zip archive; export the table as CSV or parquet",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; export the table as CSV or parquet",
    b"\x1f\x8b": "is compressed (gzip); decompress it first",
    b"BZh": "is compressed (bzip2); decompress it first",
    b"\xfd7zXZ": "is compressed (xz); decompress it first",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd); decompress it first",
    b"\x93NUMPY": "is a NumPy array; export the table as CSV or parquet",
    b"\x89HDF": "is an HDF5 file; export the table as CSV or parquet",
}
"""First bytes of files that are no table -> what they are."""


class Source(Protocol):
    """An open table."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns, in order."""
        ...

    @property
    def unit(self) -> str:
        """What ``places`` count: "line" or "row"."""
        ...

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Sequence[str]]]]:
        """Read the whole table once, some rows at a time.

        Args:
            columns: their names.

        Yields:
            Places [row], the line of the file that each row ends on, or its number, from 1; and column -> text of its
            cells, of which missing ones are empty.
        """
        ...


@contextmanager
def open_table(file: Path, wanted: Iterable[str] = ()) -> Iterator[Source]:
    """Open a table and read its header.

    Args:
        file: CSV (commas, semicolons, tabs or bars; UTF-8 with or without a byte-order mark) or parquet.
        wanted: names of columns that are looked for; they decide which separator a header is split by.

    Yields:
        The table, which can be read once, while the file is open.

    Raises:
        InputError: the file cannot be read or is no table.
    """
    try:
        binary = open(file, "rb")  # noqa: SIM115  (closed below; errors of what is done with the table are not of it)
    except OSError as error:
        raise InputError(f"{file}: {reason(error)}") from error
    with binary:
        try:
            head = binary.peek(8)[:8]
        except OSError as error:
            raise InputError(f"{file}: {reason(error)}") from error
        for magic, what in REFUSED.items():
            if head.startswith(magic):
                raise InputError(f"{file}: {what}")
        opened = parquet.Parquet if head.startswith(b"PAR1") else partial(delimited.Delimited, wanted=tuple(wanted))
        yield opened(file, binary)
