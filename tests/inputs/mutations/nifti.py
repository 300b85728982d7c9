"""Of NIfTI volumes, compressed or not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.inputs.mutations.changed import BOMB, HOSTILE, SECRET, Random, deflated

HEADER = 348
"""Bytes of a header."""


def volume(values: np.ndarray | None = None, version: int = 1, **fields: Any) -> bytes:
    """A volume, by default one of 8 x 6 x 3 integers of 16 bits, uncompressed.

    Args:
        values: [x, y, z].
        version: of NIfTI.
        fields: of the header, as they are written.
    """
    import nibabel

    if values is None:
        values = np.random.default_rng(3).integers(-50, 1_000, (8, 6, 3)).astype(np.int16)
    made: Any = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}[version](values, np.eye(4), dtype=values.dtype)
    return _with_fields(made.to_bytes(), fields) if fields else made.to_bytes()


def _with_fields(whole: bytes, fields: dict[str, Any]) -> bytes:
    import nibabel

    header: Any = nibabel.Nifti1Header(whole[:HEADER], check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + whole[HEADER:]


Mutation = Callable[[bytes, Random], bytes]


def _fields(**fields: Any) -> Mutation:
    return lambda whole, random: _with_fields(whole, fields)


def _dims(*dims: int) -> Mutation:
    return _fields(dim=np.array([*dims, *[1] * (8 - len(dims))]))


def _values(make: Callable[[Random], Any], **fields: Any) -> Mutation:
    """Other values, in the order x, y, z."""
    return lambda whole, random: volume(make(random), **fields)


def _floats(*values: float) -> Mutation:
    """Floats of 64 bits, all of them of these, which are in every slice."""
    return _values(lambda random: np.resize(np.array(values, float), (3, 6, 8)).T)


def _colours(random: Random) -> Any:
    return random.integers(0, 256, (8, 6, 3, 3), np.uint8).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]


def _extension(size: int, text: bytes, offset: float = 0) -> Mutation:
    """A header with an extension, which says that it has a size."""

    def mutate(whole: bytes, random: Random) -> bytes:
        head = _with_fields(whole, {"vox_offset": offset or HEADER + 4 + 8 + len(text)})[:HEADER]
        code = (6).to_bytes(4, "little")
        return head + b"\1\0\0\0" + size.to_bytes(4, "little", signed=True) + code + text + whole[HEADER + 4 :]

    return mutate


def _hostile(whole: bytes, random: Random) -> bytes:
    text = f"{SECRET} {random.choice(np.array(HOSTILE, object))}".encode()
    sizes = {"descrip": 80, "aux_file": 24, "intent_name": 16, "db_name": 18, "data_type": 10}
    return _with_fields(whole, {name: text[:size] for name, size in sizes.items()})


NIFTIS: dict[str, tuple[Mutation, bool | None]] = {
    "a side of 0": (_dims(3, 8, 0, 3), True),
    "no slices": (_dims(3, 8, 6, 0), True),
    "a negative side": (_dims(3, 8, -6, 3), True),
    "two negative sides": (_dims(3, -8, -6, 3), True),
    "a huge side": (_dims(3, 32_767, 32_767, 32_767), True),
    "more than there is": (_dims(3, 80, 60, 30), True),
    "less than there is": (_dims(3, 4, 3, 2), False),
    "four dims": (_dims(4, 4, 6, 3, 2), True),
    "four dims, the last of 1": (_dims(4, 8, 6, 3, 1), None),
    "two dims": (_dims(2, 8, 6), False),
    "one dim": (_dims(1, 144), True),
    "no dims": (_dims(0), True),
    "9 dims": (_dims(9, 8, 6, 3), True),
    "-1 dims": (_dims(-1, 8, 6, 3), True),
    "an unknown type": (_fields(datatype=7), True),
    "no type": (_fields(datatype=0), True),
    "bits that are not those of the type": (_fields(bitpix=3), None),
    "truth values": (_fields(datatype=1, bitpix=1), True),
    "complex numbers": (_values(lambda random: (random.normal(size=(8, 6, 3)) * 1j).astype(np.complex64)), True),
    "colours": (_values(_colours), True),
    "floats": (_values(lambda random: random.normal(size=(8, 6, 3)).astype(np.float32)), False),
    "64-bit integers": (_values(lambda random: random.integers(-(2**62), 2**62, (8, 6, 3))), False),
    "long doubles": (_fields(datatype=1536, bitpix=128, dim=[3, 4, 3, 1, 1, 1, 1, 1]), None),
    "huge floats": (_floats(-1.7e308, 1.7e308, 0), False),
    "tiny floats": (_floats(0, 5e-324, 1e-323), False),
    "NaN": (_floats(1, 2, np.nan), True),
    "infinite": (_floats(1, 2, -np.inf), True),
    "all equal": (_floats(3), False),
    "a slope of NaN": (_fields(scl_slope=np.nan), None),
    "an infinite slope": (_fields(scl_slope=np.inf, scl_inter=0), None),
    "a slope of 0": (_fields(scl_slope=0, scl_inter=3), False),
    "a slope of 1e38": (_fields(scl_slope=1e38, scl_inter=0), False),
    "an intercept of NaN": (_fields(scl_slope=1, scl_inter=np.nan), True),
    "values in the header": (_fields(vox_offset=0), None),
    "values before the header": (_fields(vox_offset=-16), True),
    "values behind the end": (_fields(vox_offset=100_000), True),
    "values far behind the end": (_fields(vox_offset=3e38), True),
    "values nowhere": (_fields(vox_offset=np.nan), True),
    "values in another file": (_fields(magic=b"ni1"), None),
    "another magic": (_fields(magic=b"xyz"), None),
    "another header size": (_fields(sizeof_hdr=1_543), None),
    "NIfTI-2": (lambda whole, random: volume(version=2), False),
    "big-endian": (lambda whole, random: _swapped(whole), False),
    "a qform that is none": (_fields(qform_code=1, quatern_b=9, quatern_c=np.nan, pixdim=np.full(8, np.nan)), None),
    "pixels of no size": (_fields(pixdim=np.zeros(8)), None),
    "codes that are none": (_fields(qform_code=99, sform_code=-7, xyzt_units=255, intent_code=9_999), None),
    "an extension": (_extension(48, b"x" * 40), False),
    "an extension with markup": (_extension(48, f"{SECRET} <script>".encode().ljust(40)), False),
    "an extension of odd size": (_extension(50, b"x" * 40), None),
    "an extension of size 0": (_extension(0, b"x" * 40), None),
    "an extension of negative size": (_extension(-16, b"x" * 40), None),
    "an extension beyond the end": (_extension(2**31 - 16, b"x" * 40, 2**31), True),
    "hostile text": (_hostile, False),
}  # fmt: skip
"""Of volumes: new bytes, before they are compressed, and whether they have to be refused."""


def _swapped(whole: bytes) -> bytes:
    import nibabel

    found: Any = nibabel.Nifti1Image.from_bytes(whole)
    header = found.header.as_byteswapped(">")
    return nibabel.Nifti1Image(np.asarray(found.dataobj), found.affine, header).to_bytes()


def _bomb(whole: bytes) -> bytes:
    """A volume with zeros behind it, without the checksum that would be at their end."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(whole, BOMB)


def _extension_bomb(whole: bytes, random: Random) -> bytes:
    """An extension that is large when it is decompressed."""
    return _bomb(_extension(BOMB << 20, b"", HEADER + 4.0 + (BOMB << 20))(whole, random))


COMPRESSED: dict[str, tuple[Mutation, bool | None]] = {
    "cut in the header": (lambda whole, random: gzip.compress(whole)[:40], True),
    "cut in the values": (lambda whole, random: gzip.compress(whole)[:-12], None),
    "a wrong checksum": (lambda whole, random: gzip.compress(whole)[:-8] + bytes(8), None),
    "not compressed": (lambda whole, random: whole, None),
    "compressed twice": (lambda whole, random: gzip.compress(gzip.compress(whole)), True),
    "two members": (lambda whole, random: gzip.compress(whole[:400]) + gzip.compress(whole[400:]), False),
    "text behind the end": (lambda whole, random: gzip.compress(whole) + b"text", None),
    "a bomb behind the values": (lambda whole, random: _bomb(whole), False),
    "a bomb of a huge volume": (
        lambda whole, random: _bomb(_dims(3, 9_000, 9_000, 9_000)(whole, random)),
        True,
    ),
    "a bomb before the values": (
        lambda whole, random: _bomb(_fields(vox_offset=float(BOMB << 20))(whole, random)),
        True,
    ),
    "a bomb in the header": (_extension_bomb, True),
    "a bomb in an extension": (lambda whole, random: _bomb(_extension(BOMB << 20, b"", 400.0)(whole, random)), True),
    "a bomb in an extension of no size": (lambda whole, random: _bomb(_extension(7, b"", 400.0)(whole, random)), True),
}  # fmt: skip
"""Of compressed volumes: new bytes, from uncompressed ones, and whether they have to be refused."""
