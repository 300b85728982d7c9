"""Pictures of one size from files: PNG, JPEG, TIFF and others by Pillow, DICOM by pydicom, NIfTI slices by nibabel.

Every picture becomes ``size`` x ``size`` pixels of 8 bits: colours are converted to grey or from it, 16 bits are scaled
to 8, and values of DICOM and NIfTI by the window of the file or by their range; then it is cut, padded or stretched to
a square and interpolated linearly, with antialiasing where pixels become fewer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Square = Literal["crop", "pad", "stretch"]
"""How a picture becomes a square: the middle is cut out, borders are added in black, or the sides are scaled."""

MAX_PIXELS = 100_000_000
"""Pixels of a picture, or of a volume of which a slice is read."""


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
def _reading(kind: str) -> Iterator[None]:
    """Errors of a library as :class:`Unreadable`; libraries and their decoders raise errors of many kinds."""
    try:
        yield
    except (Unreadable, OSError):
        raise
    except Exception as error:
        words = str(error).partition("\n")[0]
        raise Unreadable(f"cannot be read as {kind} ({type(error).__name__}: {words})") from error


def _check_size(*shape: int) -> None:
    """Refuse what is too large before it is read."""
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
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
        from pydicom.pixels.utils import pixel_array
    except ImportError as error:
        raise Unreadable("is DICOM, which needs pydicom: pip install 'biasprop[dicom]'") from error
    from PIL import Image

    with _reading("DICOM"):
        read = pydicom.dcmread(file)
        if str(read.get("BurnedInAnnotation", "")).upper() == "YES":
            raise Unreadable("has annotations burnt into its pixels (BurnedInAnnotation), which may name a person")
        frames = int(read.get("NumberOfFrames", 1) or 1)
        _check_size(int(read.get("Rows", 0)), int(read.get("Columns", 0)), frames)
        if frames > 1:
            raise Unreadable(f"has {frames} frames; a file of one picture is needed")
        pixels = pixel_array(read)  # colours as RGB
        if pixels.ndim == 3:
            return Image.fromarray(pixels.astype(np.uint8))
        values = apply_voi_lut(apply_modality_lut(pixels, read), read).astype(np.float64)
        inverted = read.get("PhotometricInterpretation") == "MONOCHROME1"
        return Image.fromarray(_to_8_bits(-values if inverted else values))


def _nifti(file: Path, index: int | None) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise Unreadable("is NIfTI, which needs nibabel: pip install 'biasprop[nifti]'") from error
    from PIL import Image

    with _reading("NIfTI"):
        volume: Any = nibabel.load(file)
        shape = volume.shape
        if not 2 <= len(shape) <= 3:
            raise Unreadable(f"is {' x '.join(map(str, shape))}; two or three dims are read")
        _check_size(*shape)
        at = (*shape, 1)[2] // 2 if index is None else index
        if not 0 <= at < (*shape, 1)[2]:
            raise Unreadable(f"has no slice {at}; allowed: 0 to {(*shape, 1)[2] - 1}")
        values = volume.dataobj[:, :, at] if len(shape) == 3 else volume.dataobj
        return Image.fromarray(_to_8_bits(np.rot90(np.asarray(values, np.float64))))


def _to_8_bits(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values scaled from their range."""
    if not np.isfinite(values).all():
        raise Unreadable("has values that are not finite")
    low, high = values.min(), values.max()
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
