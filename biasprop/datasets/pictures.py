"""Pictures of one size from files: PNG, JPEG, TIFF and others by Pillow, DICOM by pydicom, NIfTI slices by nibabel.

Every picture becomes ``size`` x ``size`` pixels of 8 bits: colours are converted to grey or from it, more bits are
scaled to 8, and grey values of DICOM and NIfTI by the window of the file or by their range; then it is cut, padded or
stretched to a square and interpolated linearly, with antialiasing where pixels become fewer.
"""

from __future__ import annotations

import gzip
import io
import logging
import math
import re
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Square = Literal["crop", "pad", "stretch"]
"""How a picture becomes a square: the middle is cut out, borders are added in black, or the sides are scaled."""

MAX_PIXELS = 100_000_000
"""Pixels of a picture, or of a volume of which a slice is read."""

MAX_UNPACKED = 4 * MAX_PIXELS
"""Bytes of a deflated DICOM file when it is decompressed."""

MAX_HEADER = 50_000_000
"""Bytes of a NIfTI file before its values, extensions included."""

FLAGS, LEAST_EXTENSION = 4, 16
"""Bytes behind the header of a NIfTI file, which say whether extensions follow, and of the smallest one."""

BEYOND = 1e12
"""A value that is beyond every window of DICOM, whose pixels have at most 32 bits."""

BLOCK = 65_536
"""Bytes that are decompressed at a time."""

LOGGING = threading.RLock()
"""One picture at a time is read while nothing is logged."""

# What of DICOM has a meaning here, in the names of its standard.
REQUIRED_NUMBERS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
WINDOW = ("WindowCenter", "WindowWidth")
OPTIONAL_NUMBERS = (*WINDOW, "RescaleSlope", "RescaleIntercept")
OPTIONAL = (*OPTIONAL_NUMBERS, "VOILUTFunction")
GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422")
COLOURS_OF_JPEG_2000 = ("YBR_ICT", "YBR_RCT")


class Unreadable(Exception):
    """Why a file is no picture that can be read, without the file's name."""


def picture(file: Path, size: int, channels: int, square: Square, index: int | None = None) -> NDArray[np.uint8]:
    """A picture of a file: [size, size, channels].

    Args:
        file: the format is told by its name: DICOM (.dcm, .dicom, or no ending), NIfTI (.nii, .nii.gz), else Pillow's.
        size: pixels along a side.
        channels: 1 or 3.
        square: how it becomes a square.
        index: slice of a NIfTI volume along its last axis, from 0; None for the middle one.

    Raises:
        Unreadable: it cannot be read, is too large, or names a person.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _squared(_reader(file)(file, index), size, channels, square)
    except OSError as error:
        raise Unreadable(error.strerror or str(error).partition("\n")[0]) from error


def resized(image: NDArray[Any], size: int, channels: int, square: Square) -> NDArray[np.uint8]:
    """An image of an array, [h, w] or [h, w, 1 or 3], of 8 bits, or floats in [0, 1]: [size, size, channels].

    Raises:
        Unreadable: it is none of these.
    """
    if image.dtype.kind == "f":
        if not (image.min() >= 0 and image.max() <= 1):
            raise Unreadable(f"values of floats have to be from 0 to 1; these are {image.min():g} to {image.max():g}")
        image = np.round(image * 255).astype(np.uint8)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise Unreadable(f"is of type {image.dtype}; has to be uint8, uint16, or floats from 0 to 1")
    from PIL import Image

    return _squared(
        Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image), size, channels, square
    )


def _reader(file: Path) -> Callable[[Path, int | None], Any]:
    name = file.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti
    return _dicom if name.endswith((".dcm", ".dicom")) or "." not in name else _pillow


@contextmanager
def _reading(kind: str, quotes: bool = True) -> Iterator[None]:
    """Errors of a library as :class:`Unreadable`; libraries and their decoders raise errors of many kinds.

    Args:
        kind: of file, in words.
        quotes: whether a message may quote the file; if not, it ends before what is quoted.
    """
    with LOGGING:  # of the whole process
        logged = logging.root.manager.disable
        logging.disable()  # of what a library has to say on stderr, too
        try:
            yield
        except (Unreadable, OSError):
            raise
        except Exception as error:
            words = str(error).partition("\n")[0]
            if not quotes and len(told := re.split("['\"]", words)[0].strip()) < len(words):
                words = f"{told} ..."
            raise Unreadable(f"cannot be read as {kind} ({type(error).__name__}: {words})") from error
        finally:
            logging.disable(logged)


def _check_size(*shape: int) -> None:
    """Refuse what is empty or too large before it is read."""
    if min(shape, default=0) < 1:
        raise Unreadable(f"has {' x '.join(map(str, shape))} pixels; every side needs at least one")
    if math.prod(shape) > MAX_PIXELS:
        raise Unreadable(f"has {' x '.join(map(str, shape))} pixels; at most {MAX_PIXELS:,} are read")


def _pillow(file: Path, index: int | None) -> Any:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with _reading("a picture"), Image.open(file) as image:
            _check_size(image.width, image.height)
            image.load()
            upright = ImageOps.exif_transpose(image)
            if not upright.mode.startswith("I") and upright.mode != "F":
                return upright.copy()
            values = np.asarray(upright)
    except UnidentifiedImageError as error:
        raise Unreadable("is no picture in a format that Pillow reads") from error
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
        raise Unreadable(f"has pixels of 32 bits (mode {upright.mode}); save it with 8 or 16 bits")
    return Image.fromarray((values.astype(np.int64) >> 8).astype(np.uint8))


def _dicom(file: Path, index: int | None) -> Any:
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
        from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
        from pydicom.pixels.utils import pixel_array
    except ImportError as error:
        raise Unreadable("is DICOM, which needs pydicom: pip install 'biasprop[dicom]'") from error
    from PIL import Image

    with _reading("DICOM", quotes=False):
        try:
            with DicomFile(io.FileIO(file)) as stream:
                read = pydicom.dcmread(stream)
        except InvalidDicomError as error:
            raise Unreadable("cannot be read as DICOM: a preamble and DICM are not at its beginning") from error
        for name in OPTIONAL:
            if name in read and not _tag_values(read, name):
                del read[name]  # empty, which pydicom does not take for left out
        _check_dicom(read)
        pixels = pixel_array(read)  # colours as RGB
        shape = (read.Rows, read.Columns, *[3] * (read.SamplesPerPixel == 3))
        if pixels.shape != shape:
            raise Unreadable(f"has pixels for more than one picture of {read.Rows} x {read.Columns}")
        if read.PhotometricInterpretation == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, read)[..., :3]  # without opacity
            return Image.fromarray(_to_8_bits(pixels, (0.0, 2.0 ** (8 * pixels.dtype.itemsize) - 1)))
        if pixels.ndim == 3:
            return Image.fromarray(_to_8_bits(pixels, (0.0, 2.0**read.BitsStored - 1)))
        values = apply_voi_lut(apply_modality_lut(pixels, read), read)
        windowed = all(_tag_values(read, name) for name in WINDOW) and not read.get("VOILUTSequence")
        ends = apply_voi_lut(np.array([-BEYOND, BEYOND]), read).tolist() if windowed else None  # as the window has them
        grey = _to_8_bits(values, ends)
        return Image.fromarray(255 - grey if read.PhotometricInterpretation == "MONOCHROME1" else grey)


class DicomFile(io.BufferedReader):
    """A DICOM file. The data of a deflated one, and nothing else, pydicom reads at once, from where the meta
    information really ends, and then decompresses at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        Raises:
            Unreadable: these are the data, and become too large.
        """
        found = super().read(size)
        if size is None or size < 0:
            unpacker, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
            for start in range(0, len(found), BLOCK):
                unpacked += len(unpacker.decompress(found[start : start + BLOCK]))
                if unpacked > MAX_UNPACKED:
                    raise Unreadable(f"has more than {MAX_UNPACKED:,} bytes when it is decompressed")
                if unpacker.eof:
                    break
        return found


def _check_dicom(read: Any) -> None:
    """Refuse what names a person, is too large or has several meanings; text of the file is in no message."""
    from pydicom.pixels.decoders.base import get_decoder

    if any(str(value).strip().upper() == "YES" for value in _tag_values(read, "BurnedInAnnotation")):
        raise Unreadable("has annotations burnt into its pixels (BurnedInAnnotation), which may name a person")
    for name in (*REQUIRED_NUMBERS, "NumberOfFrames"):
        values = _tag_values(read, name) or [1 if name == "NumberOfFrames" else None]
        if len(values) != 1 or not isinstance(values[0], int) or values[0] < 0:
            raise Unreadable(f"{name} has to be a whole number")
    _check_size(read.Rows, read.Columns, frames := int(read.get("NumberOfFrames") or 1))
    if frames > 1:
        raise Unreadable(f"has {frames} frames; a file of one picture is needed")
    if not any(read.get(name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise Unreadable("has no pixel data")
    if (syntax := read.file_meta.get("TransferSyntaxUID")) is None:
        raise Unreadable("has no TransferSyntaxUID")
    try:
        decoder = get_decoder(syntax)
    except RuntimeError as error:
        raise Unreadable("has a TransferSyntaxUID that pydicom does not read") from error
    if not decoder.is_available:
        needed = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise Unreadable(f"is compressed as {syntax.name}, for which pydicom lacks a decoder: {needed}")
    allowed = {1: GREY, 3: COLOURS + COLOURS_OF_JPEG_2000 * syntax.is_compressed}.get(read.SamplesPerPixel, ())
    if read.get("PhotometricInterpretation") not in allowed:
        one_of = f"; allowed: {', '.join(allowed)}" if allowed else ""
        raise Unreadable(f"PhotometricInterpretation has no meaning for {read.SamplesPerPixel} samples{one_of}")
    if read.SamplesPerPixel == 3 and read.get("PixelRepresentation"):
        raise Unreadable("has colours with a sign (PixelRepresentation)")
    for name in OPTIONAL_NUMBERS:
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in _tag_values(read, name)):
            raise Unreadable(f"{name} has to be a finite number")
    if ("RescaleSlope" in read) != ("RescaleIntercept" in read):
        raise Unreadable("has one of RescaleSlope and RescaleIntercept without the other")


def _tag_values(read: Any, name: str) -> list[Any]:
    """Values of a tag, of which there may be none or several."""
    value = read.get(name)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | bytes) or not isinstance(value, Sequence) else list(value)


def _nifti(file: Path, index: int | None) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise Unreadable("is NIfTI, which needs nibabel: pip install 'biasprop[nifti]'") from error
    from PIL import Image

    with _reading("NIfTI"):
        _check_header(file)
        volume: Any = nibabel.load(file)
        shape = volume.shape
        if not 2 <= len(shape) <= 3:
            raise Unreadable(f"is {' x '.join(map(str, shape))}; two or three dims are read")
        _check_size(*shape)
        if (dtype := volume.get_data_dtype()).kind not in "fiu":
            raise Unreadable(f"has values of type {dtype.name}; real numbers are needed")
        at = (*shape, 1)[2] // 2 if index is None else index
        if not 0 <= at < (*shape, 1)[2]:
            raise Unreadable(f"has no slice {at}; allowed: 0 to {(*shape, 1)[2] - 1}")
        values = volume.dataobj[:, :, at] if len(shape) == 3 else volume.dataobj
        return Image.fromarray(_to_8_bits(np.rot90(np.asarray(values))))


def _check_header(file: Path) -> None:
    """Refuse a header that is large with its extensions, which may be so only when it is decompressed."""
    import nibabel

    opened = gzip.open if file.name.lower().endswith(".gz") else open
    with opened(file, "rb") as stream:
        head = stream.read(nibabel.Nifti2Header.sizeof_hdr + FLAGS)
        for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
            if not kind.may_contain_header(head):
                continue
            header, end = kind(head[: kind.sizeof_hdr], check=False), kind.sizeof_hdr + FLAGS
            offset = float(header["vox_offset"])
            if not offset <= MAX_HEADER:
                raise Unreadable(f"has a header of {offset:,.0f} bytes (vox_offset); at most {MAX_HEADER:,} are read")
            if head[kind.sizeof_hdr : end][:1] in (b"", b"\0"):
                return  # no extensions
            order, left = "big" if header.endianness == ">" else "little", offset - end
            while left >= LEAST_EXTENSION or left < 0:  # as nibabel reads them: to the end of the file, then
                stream.seek(end)
                if len(start := stream.read(8)) < 8:
                    return
                size = int.from_bytes(start[:4], order, signed=True)
                if size < 8 or end + size > MAX_HEADER:
                    raise Unreadable(f"has an extension of {size:,} bytes; at most {MAX_HEADER:,} are read")
                end, left = end + size, left - size


def _to_8_bits(values: NDArray[Any], ends: Sequence[float] | None = None) -> NDArray[np.uint8]:
    """Values scaled from the range between two ends, and cut there; by default from their own."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise Unreadable("has values that are not finite")
    low, high = (values.min(), values.max()) if ends is None else ends
    # By a power of 2, which is exact, so that neither the range nor its inverse is beyond what floats can hold.
    exponent = -int(np.frexp(np.abs(values).max())[1])
    values, low, high = (np.ldexp(each, exponent) for each in (np.clip(values, low, high), low, high))
    return np.round((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)


def _squared(image: Any, size: int, channels: int, square: Square) -> NDArray[np.uint8]:
    """A Pillow image as an array of the wanted size."""
    from PIL import Image, ImageOps

    if image.mode == "P" and channels == 1:
        image = image.convert("RGB")
    image = image.convert({1: "L", 3: "RGB"}[channels])
    linear = Image.Resampling.BILINEAR
    if square == "crop":
        image = ImageOps.fit(image, (size, size), linear)
    elif square == "pad":
        image = ImageOps.pad(image, (size, size), linear)
    else:
        image = image.resize((size, size), linear)
    return np.asarray(image, np.uint8).reshape(size, size, channels)
