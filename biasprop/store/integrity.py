"""Checksums of arms, and the check of one stored arm."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import zarr

from biasprop.status import Status
from biasprop.store import group
from biasprop.store.layout import Label
from biasprop.store.variables import DATA, RECORD


@dataclass(frozen=True)
class Damage:
    """Something stored that cannot be trusted."""

    reason: str
    arm: dict[str, Label] | None = None
    """The arm's levels, or None where the damage is not in an arm."""
    replicate: int | None = None

    def __str__(self) -> str:
        where = ", ".join(f"{name}={label}" for name, label in (self.arm or {}).items())
        return f"{where}, replicate={self.replicate}: {self.reason}" if self.arm is not None else self.reason


def hash64(*parts: bytes) -> int:
    """64-bit blake2b of the parts joined; never 0, which stands for absent."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "big") or 1


def planned(states: np.ndarray) -> int:
    """Number of planned draws of an arm with these statuses: up to the last that is OK, diverged or failed."""
    return int(np.flatnonzero(np.isin(states, (Status.OK, Status.DIVERGED, Status.FAILED))).max(initial=-1)) + 1


def checksum(data: Mapping[str, np.ndarray], draws: int) -> np.uint64:
    """The hash of an arm's data, in the order and the little-endian types of ``variables.DATA``.

    Args:
        data: every variable of ``DATA``.
        draws: number of planned draws; the others are no part of the hash, so a store can get more draws.
    """
    data = {name: data[name][:draws] if v.dims[0] == "draw" else data[name] for name, v in DATA.items()}
    parts = (
        np.ascontiguousarray(data[name], np.dtype(v.dtype).newbyteorder("<")).tobytes() for name, v in DATA.items()
    )
    return np.uint64(hash64(*parts))


def inspect(arrays: Mapping[str, zarr.Array], index: tuple[int, ...]) -> tuple[str | None, int | None]:
    """Read one arm and compare it with its checksum.

    Returns:
        The damage (None: sound, or not written yet), and the fingerprint if it is sound.
    """
    values: dict[str, np.ndarray] = {}
    for names in (("status",), (*DATA, *RECORD)):  # an open arm has nothing else
        for name, value in group.read(arrays, names, index).items():
            if isinstance(value, group.UNREADABLE):
                return f"{name}: {str(value).partition(chr(10))[0] or type(value).__name__}", None
            if isinstance(value, BaseException):
                raise value
            values[name] = value
        if (values["status"] == Status.OPEN).all():
            return None, None
        if not np.isin(values["status"], list(Status)).all():
            return "status: values out of range", None
    if checksum(values, planned(values["status"])) != values["checksum"]:
        return "the data do not match their checksum", None
    if not values["fingerprint"]:
        return "the fingerprint is missing", None
    return None, int(values["fingerprint"])
