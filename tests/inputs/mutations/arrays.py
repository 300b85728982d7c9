"""Of arrays in .npz files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.inputs.mutations.changed import Changed, Random


@dataclass
class Arrays:
    """Arrays of an .npz file, of which one is the main one."""

    named: dict[str, Any]
    main: str
    """What is observed: images or features."""
    keys: str = ""
    """Identifiers, if they are read."""
    extra: dict[str, bytes] = field(default_factory=dict)
    """Members of the archive that are written as they are."""


def archive(arrays: Arrays) -> bytes:
    """The arrays as .npz."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, values in arrays.named.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(values))
            opened.writestr(f"{name}.npy", member.getvalue())
        for name, content in arrays.extra.items():
            opened.writestr(name, content)
    return out.getvalue()


def claim(shape: tuple[int, ...], content: bytes = b"", dtype: str = "<f4") -> bytes:
    """A member that says that it has a shape and a type."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    return head.getvalue() + content


def _main(change: Callable[[Any, Random], Any], refused: bool | None = None) -> Callable[[Arrays, Random], Changed]:
    """Another main array."""

    def mutate(arrays: Arrays, random: Random) -> Changed:
        arrays.named[arrays.main] = change(arrays.named[arrays.main], random)
        return Changed(refused)

    return mutate


def _with(value: Any) -> Callable[[Arrays, Random], Changed]:
    """One number of the main array is another one; images of 8 bits become floats."""

    def mutate(arrays: Arrays, random: Random) -> Changed:
        values = arrays.named[arrays.main] = arrays.named[arrays.main] / np.float64(255.0)
        row = int(random.integers(len(values)))
        values[row].flat[int(random.integers(values[row].size))] = value
        return Changed(True, (row,))

    return mutate


def _keys(
    change: Callable[[Any, Random], Any], refused: bool | None = True
) -> Callable[[Arrays, Random], Changed | None]:
    def mutate(arrays: Arrays, random: Random) -> Changed | None:
        if not arrays.keys:
            return None
        arrays.named[arrays.keys] = change(arrays.named[arrays.keys], random)
        return Changed(refused, column=arrays.keys)

    return mutate


def _member(name: str, content: bytes, instead: bool = True) -> Callable[[Arrays, Random], Changed]:
    """A member of the archive with these bytes, in place of the main array or beside it."""

    def mutate(arrays: Arrays, random: Random) -> Changed:
        if instead:
            del arrays.named[arrays.main]
        arrays.extra[name or f"{arrays.main}.npy"] = content
        return Changed(True)

    return mutate


def _other_name(arrays: Arrays, random: Random) -> Changed:
    arrays.named[str(random.choice(["<script>", "=x", "a b", "../x", "größe"]))] = arrays.named.pop(arrays.main)
    return Changed()


def _dropped(arrays: Arrays, random: Random) -> Changed:
    del arrays.named[arrays.main]
    return Changed(True)


ARRAYS: dict[str, Callable[[Arrays, Random], Changed | None]] = {
    "Python objects": _main(lambda x, random: np.array([{"a": 1}] * len(x), dtype=object), True),
    "Python objects beside": lambda arrays, random: arrays.named.update(o=np.array([[{}]], object)) or Changed(True),
    "an array that is not there": _dropped,
    "another name": _other_name,
    "two arrays": lambda arrays, random: arrays.named.update(z=arrays.named[arrays.main]) or Changed(True),
    "one row less": _main(lambda x, random: x[:-1], None),
    "one row more": _main(lambda x, random: np.concatenate([x, x[:1]]), True),
    "no rows": _main(lambda x, random: x[:0], True),
    "nothing per row": _main(lambda x, random: x[..., :0], True),
    "transposed": _main(lambda x, random: x.T, True),
    "flat": _main(lambda x, random: x.reshape(-1), True),
    "one dim more": _main(lambda x, random: np.stack([x] * 5, axis=-1), True),
    "a single value": _main(lambda x, random: np.float32(1.0), True),
    "complex numbers": _main(lambda x, random: x.astype(complex), True),
    "text": _main(lambda x, random: x.astype(str), True),
    "dates": _main(lambda x, random: x.astype("datetime64[s]"), True),
    "records": _main(lambda x, random: np.zeros(x.shape, [("a", "f4"), ("b", "i2")]), True),
    "truth values": _main(lambda x, random: x > 0),
    "64-bit integers": _main(lambda x, random: x.astype(np.int64)),
    "half precision": _main(lambda x, random: (x / np.float16(255)).astype(np.float16)),
    "long doubles": _main(lambda x, random: (x / np.longdouble(255))),
    "big-endian": _main(lambda x, random: (x / 255.0).astype(">f8"), False),
    "Fortran order": _main(lambda x, random: np.asfortranarray(x), False),
    "all equal": _main(lambda x, random: np.ones_like(x)),
    "NaN": _with(np.nan),
    "infinite": _with(np.inf),
    "too large for 32 bits": _with(1e300),
    "a huge claim": _member("", claim((10**9, 64))),
    "a negative claim": _member("", claim((-1, 4))),
    "a claim of 2^64 values": _member("", claim((2**40, 2**24))),
    "a zip bomb": _member("", claim((4_000_000, 4)) + bytes(64_000_000), True),
    "a claim in code": _member("", b"\x93NUMPY\x01\0\x40\0{'descr': __import__('os'), 'shape': ()}".ljust(90) + b"\n"),
    "no array in it": _member("notes.txt", b"text", False),
    "a path out of it": _member("../../x.npy", b"text", False),
    "identifiers missing": _keys(lambda keys, random: keys[:-1]),
    "identifiers of two dims": _keys(lambda keys, random: keys[:, None]),
    "an identifier twice": _keys(lambda keys, random: np.array([keys[1], *keys[1:]])),
    "an empty identifier": _keys(lambda keys, random: np.array(["", *keys[1:]])),
    "identifiers as bytes": _keys(lambda keys, random: keys.astype("S"), False),
    "other identifiers": _keys(lambda keys, random: np.array([f"<b>{key}" for key in keys])),
    "identifiers as objects": _keys(lambda keys, random: keys.astype(object)),
}  # fmt: skip
"""Of .npz files."""
