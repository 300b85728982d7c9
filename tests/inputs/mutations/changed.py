"""What every mutation returns, and text that is data, whatever it looks like."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

Random = np.random.Generator

HOSTILE = (
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "=cmd|' /C calc'!A0",
    "@SUM(A1)",
    "+1+1",
    "-1+1",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred",
    "\u202egnp.exe",
    "| a | b |",
    "javascript:alert(1)",
    "x" * 3_000,
    "../../etc/passwd",
    "$x^2$ \\frac",
    "None",
    "%s %(x)s {0}",
)
"""Text that is data, whatever it looks like."""

SECRET = "Doe^Jane"
"""Name of a patient, which no command may write anywhere."""


BOMB = 700
"""Megabytes that a bomb has when it is decompressed: more than a command may use."""


def deflated(front: bytes, zeros: int) -> bytes:
    """A raw deflate stream.

    Args:
        front: bytes at the beginning.
        zeros: megabytes of zeros after it; they are compressed once and repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = packer.compress(front) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * zeros + packer.flush()


@dataclass(frozen=True)
class Changed:
    """What a mutation has changed."""

    refused: bool | None = None
    """Whether the command has to refuse the file (False: must not); None = it may do either."""
    rows: tuple[int, ...] = ()
    """Rows, from 0, of which a message has to name one."""
    column: str = ""
    """Column, array or key that a message has to name."""
    line: int = 0
    """Line of a text file that a message has to name."""
