"""What tells sound results from damaged ones: checksums of arms, and looking at one stored arm."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import zarr

from biasprop.status import Status
from biasprop.store import zarr_arrays
from biasprop.store.layout import Label, Layout
from biasprop.store.variables import DATA, RECORD, VARIABLES


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
    """How many draws an arm with these statuses has: those up to the last that is OK, diverged or failed."""
    return int(np.flatnonzero(np.isin(states, (Status.OK, Status.DIVERGED, Status.FAILED))).max(initial=-1)) + 1


def checksum(data: Mapping[str, np.ndarray], draws: int) -> np.uint64:
    """The hash of an arm's data, in the order and the little-endian types of ``variables.DATA``.

    Args:
        data: every variable of ``DATA``.
        draws: how many of them count; what is not planned is no part of the hash, so a store can get more draws.
    """
    data = {name: data[name][:draws] if v.dims[0] == "draw" else data[name] for name, v in DATA.items()}
    parts = (
        np.ascontiguousarray(data[name], np.dtype(v.dtype).newbyteorder("<")).tobytes() for name, v in DATA.items()
    )
    return np.uint64(hash64(*parts))


def inspect(arrays: Mapping[str, zarr.Array], index: tuple[int, ...], layout: Layout) -> tuple[str | None, int | None]:
    """Read one arm and compare it with its checksum.

    Returns:
        What is wrong with it (None: sound, or not written yet), and its fingerprint where it is sound.
    """
    name = "status"
    try:
        states = zarr_arrays.read(arrays["status"], index, VARIABLES["status"].shape(layout.sizes))
        if (states == Status.OPEN).all():
            return None, None
        if not np.isin(states, list(Status)).all():
            return "status: values out of range", None
        values: dict[str, np.ndarray] = {}
        for name in (*DATA, *RECORD):
            values[name] = zarr_arrays.read(arrays[name], index, VARIABLES[name].shape(layout.sizes))
    except zarr_arrays.UNREADABLE as error:
        return f"{name}: {str(error).partition(chr(10))[0] or type(error).__name__}", None
    if checksum(values, planned(states)) != values["checksum"]:
        return "the data do not match their checksum", None
    if not values["fingerprint"]:
        return "the fingerprint is missing", None
    return None, int(values["fingerprint"])
