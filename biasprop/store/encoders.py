"""Pretrained encoders on disk, shared by all studies; every file is checked when it is read."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from biasprop.store import safe_files, whole_files
from biasprop.store.file_lock import locked

MAX_BYTES = 4_000_000_000
"""A larger file is not read; encoders of these studies are far smaller."""

_INFO = "__info__"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class EncoderStore:
    """A folder of encoders, one file ``<root>/<key>.npz`` each; keys are made by :func:`encoder_key`.

    Args:
        root: the folder, for example ``results/encoders``; made when the first encoder is saved.
        report: called with one line about a damaged file, which counts as absent.
    """

    def __init__(self, root: str | os.PathLike[str], report: Callable[[str], None] | None = None):
        self.root = Path(root)
        self._report = report or (lambda line: None)

    def path(self, key: str) -> Path:
        """The file of an encoder.

        Raises:
            ValueError: the key could lead outside the folder.
        """
        parts = key.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"an encoder's key is names joined by '/', not {key!r}")
        return self.root.joinpath(*parts[:-1], f"{parts[-1]}.npz")

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """An encoder's arrays in the order they were saved; None where it is absent or damaged (which is reported)."""
        content = self._read(key)
        return None if content is None else content[0]

    def info(self, key: str) -> dict[str, Any] | None:
        """The information saved with an encoder; None where it is absent or damaged."""
        content = self._read(key)
        return None if content is None else content[1]

    def save(self, key: str, arrays: Mapping[str, np.ndarray], info: Mapping[str, Any]) -> Path:
        """Store an encoder, whole or not at all; an existing one is replaced.

        Args:
            key: see :func:`encoder_key`.
            arrays: name -> numbers; names are free text.
            info: plain values to keep with it (losses, seconds, fingerprint).

        Raises:
            ValueError: an array is not of a plain numeric type, or the key is not valid.
        """
        plain = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
        for name, array in plain.items():
            if array.dtype.kind not in "biufc":
                raise ValueError(f"{name} has type {array.dtype}, which a file cannot hold; convert it first")
        meta = {"checksum": _checksum(plain), "names": list(plain), "info": dict(info)}
        members = {_INFO: np.frombuffer(json.dumps(meta).encode(), np.uint8)}
        members |= {f"{number:05d}": array for number, array in enumerate(plain.values())}
        target = self.path(key)
        if linked := safe_files.first_link(self.root, f"{key}.npz".rpartition("/")[0]) if "/" in key else None:
            raise safe_files.link_error(self.root / linked)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_files.replaced(target) as aside, aside.open("wb") as file:
            np.savez(file, **members)  # type: ignore[arg-type]
        return target

    def delete(self, key: str) -> None:
        """Remove an encoder, if it is there."""
        self.path(key).unlink(missing_ok=True)

    @contextmanager
    def locked(self, keys: Iterable[str]) -> Iterator[None]:
        """Hold the locks of these encoders inside the context; waits for a process that holds one, until it ends."""
        with ExitStack() as locks:
            for path in sorted({self.path(key) for key in keys}):  # one order everywhere, against deadlock
                path.parent.mkdir(parents=True, exist_ok=True)
                locks.enter_context(locked(path.with_name(f".{path.stem}.lock")))
            yield

    def _read(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        path = self.path(key)
        try:
            content = safe_files.read_bytes(path, MAX_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._report(f"{path}: cannot be read and is left out ({error})")
            return None
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:  # never unpack a small file into a large one
                if sum(member.file_size for member in archive.infolist()) > len(content):
                    raise ValueError("it unpacks to more than its size")
                for member in archive.infolist():
                    with archive.open(member) as file:
                        _check_array_size(file, member.file_size)
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                meta = json.loads(stored[_INFO].tobytes())
                arrays = {name: stored[f"{number:05d}"] for number, name in enumerate(meta["names"])}
            if _checksum(arrays) != meta["checksum"]:
                raise ValueError("it does not match its checksum")
            return arrays, dict(meta["info"])
        except Exception as error:  # zipfile and NumPy raise anything on damaged archives
            self._report(f"{path}: damaged and left out ({str(error) or type(error).__name__})")
            return None


def encoder_key(digest: str, fingerprint: str, replicate: int) -> str:
    """The key of an encoder: its pretraining condition's digest, what its bits depend on, and the replicate."""
    return f"{digest}-{fingerprint}/replicate-{replicate}"


def _check_array_size(file: Any, size: int) -> None:
    """Check the header: NumPy allocates what it says before it reads on."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > size:
        raise ValueError("an array is larger than the file")


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in arrays.items():
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
