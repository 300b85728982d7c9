"""Of files of every format, and of pictures."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from tests.inputs.mutations.changed import Random


def _flipped(content: bytes, random: Random) -> bytes:
    data = bytearray(content)
    for at in random.integers(0, len(data), int(random.integers(1, 6))):
        data[at] = int(random.integers(256))
    return bytes(data)


def _inserted(content: bytes, random: Random) -> bytes:
    at = int(random.integers(len(content) + 1))
    return content[:at] + random.bytes(int(random.integers(1, 20))) + content[at:]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(1, len(content)))]


BYTES: dict[str, tuple[Callable[[bytes, Random], bytes], bool | None]] = {
    "truncated": (_cut, None),
    "bytes changed": (_flipped, None),
    "bytes inserted": (_inserted, None),
    "bytes behind the end": (lambda content, random: content + random.bytes(30), None),
    "empty": (lambda content, random: b"", True),
    "blank": (lambda content, random: b"\n \n", True),
    "NULs": (lambda content, random: b"\0" * 4_000, True),
    "random bytes": (lambda content, random: random.bytes(4_000), True),
    "gzip": (lambda content, random: b"\x1f\x8b\x08\0" + zlib.compress(content), True),
    "an HTML page": (lambda content, random: b"<!doctype html>\n<html><script>alert(1)</script></html>\n", True),
    "PDF": (lambda content, random: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", True),
    "a pickle": (lambda content, random: b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93.", True),
}
"""Of every format: new bytes, and whether they have to be refused."""


def _replaced_by(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def mutate(file: Path) -> None:
        file.unlink()
        make(file)

    return mutate


def _no_access(file: Path) -> None:
    """A file whose bytes cannot be read; root may read everything that has bytes at all."""
    if os.geteuid():
        file.chmod(0)
    else:
        file.unlink()
        file.symlink_to("/proc/self/mem")  # opens, and has nothing at its beginning


FILES: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "a folder": _replaced_by(Path.mkdir),
    "a loop of links": _replaced_by(lambda file: file.symlink_to(file.name)),
    "a dangling link": _replaced_by(lambda file: file.symlink_to("nowhere/at/all")),
    "unreadable": _no_access,
}
"""Of every file; all have to be refused."""


def _ihdr(content: bytes, width: int, height: int) -> bytes:
    """A PNG that says that it has another size, with a valid checksum."""
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + head + zlib.crc32(head).to_bytes(4, "big") + content[33:]


def _saved(change: Callable[[Any], Any], format: str = "PNG", **options: Any) -> Callable[[bytes, Random], bytes]:
    """The picture, changed and saved in some way."""

    def mutate(content: bytes, random: Random) -> bytes:
        out = io.BytesIO()
        change(Image.open(io.BytesIO(content))).save(out, format, **options)
        return out.getvalue()

    return mutate


def _described(content: bytes, random: Random) -> bytes:
    """A PNG with a text chunk that is large when it is decompressed."""
    out, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add(b"zTXt", b"k\0\0" + zlib.compress(bytes(5_000_000)))
    Image.open(io.BytesIO(content)).save(out, "PNG", pnginfo=text)
    return out.getvalue()


PICTURES: dict[str, tuple[Callable[[bytes, Random], bytes], bool | None]] = {
    "a huge size": (lambda content, random: _ihdr(content, 60_000, 60_000), True),
    "a size of 0": (lambda content, random: _ihdr(content, 0, 9), True),
    "a size of 2^31": (lambda content, random: _ihdr(content, 2**31 - 1, 2**31 - 1), True),
    "a larger size": (lambda content, random: _ihdr(content, 100, 100), True),
    "text": (lambda content, random: b"no picture\n", True),
    "a text bomb": (_described, None),
    "grey with alpha": (_saved(lambda image: image.convert("LA")), False),
    "a palette": (_saved(lambda image: image.convert("P")), False),
    "one bit": (_saved(lambda image: image.convert("1")), False),
    "16 bits": (_saved(lambda image: image.convert("I;16")), False),
    "CMYK in JPEG": (_saved(lambda image: image.convert("CMYK"), "JPEG"), False),
    "floats in TIFF": (_saved(lambda image: image.convert("F"), "TIFF"), True),
    "one pixel": (_saved(lambda image: image.resize((1, 1))), False),
    "a line of pixels": (_saved(lambda image: image.resize((1, 3_000))), False),
    "a GIF": (_saved(lambda image: image, "GIF"), False),
    "a broken profile": (_saved(lambda image: image, icc_profile=b"nothing"), False),
    "SVG": (lambda content, random: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", True),
    "PostScript": (lambda content, random: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", True),
}
"""Of pictures: new bytes, and whether they have to be refused."""
