"""Of DICOM files."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.inputs.mutations.changed import BOMB, HOSTILE, SECRET, Random, deflated

SHAPE = (12, 10)
"""Rows and columns."""
NAMING = ("PatientName", "PatientID", "OtherPatientIDs", "ReferringPhysicianName", "InstitutionName", "AccessionNumber")
NAMING += ("StudyDescription", "ImageComments", "PatientComments", "PatientAddress", "OperatorsName", "Manufacturer")
"""Tags of text that may name a person."""
READ = ("PhotometricInterpretation", "NumberOfFrames", "WindowCenter", "WindowWidth", "RescaleSlope", "Rows", "Columns")
READ += ("VOILUTFunction", "RescaleType", "BitsStored", "SamplesPerPixel", "PixelRepresentation", "PlanarConfiguration")
"""Tags that are looked at to read pixels."""

# The SOP class and the transfer syntaxes by their numbers, so that this file is loaded without pydicom.
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
JPEG, JPEG_LS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80"


def dataset() -> Any:
    """A grey picture of 12 bits with a window, and with a patient's name and identifier."""
    import pydicom

    made = pydicom.Dataset()
    made.preamble = b"\0" * 128
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.FileMetaInformationGroupLength = 0  # is set when it is written
    made.file_meta.TransferSyntaxUID = EXPLICIT
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.PatientName, made.PatientID = SECRET, f"{SECRET} 7"
    made.WindowCenter, made.WindowWidth = 2_000, 3_000
    _pixels(np.random.default_rng(3).integers(0, 4_096, SHAPE).astype("<u2"), BitsStored=12)(made, None)
    return made


def content(dataset: Any) -> bytes:
    """A data set as a file; what is mutated is written as it is."""
    import pydicom

    out, syntax = io.BytesIO(), dataset.file_meta.get("TransferSyntaxUID", EXPLICIT)
    how = {"implicit_vr": syntax == IMPLICIT, "little_endian": syntax != BIG_ENDIAN, "force_encoding": True}
    before = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        pydicom.dcmwrite(out, dataset, enforce_file_format=False, **how)
    finally:
        pydicom.config.settings.writing_validation_mode = before
    return out.getvalue()


Mutation = Callable[[Any, Random], bytes | None]
"""Changes a data set, or returns the bytes of the file."""


def _raw(keyword: str, value: bytes, vr: str) -> Callable[[Any, Any], None]:
    """A tag with a value that its kind may not have."""

    def mutate(made: Any, random: Any) -> None:
        from pydicom.datadict import tag_for_keyword
        from pydicom.dataelem import RawDataElement
        from pydicom.tag import Tag

        tag, padded = Tag(tag_for_keyword(keyword)), value + b" " * (len(value) % 2)
        made[tag] = RawDataElement(tag, vr, len(padded), padded, 0, False, True)

    return mutate


def _set(**values: Any) -> Callable[[Any, Any], None]:
    def mutate(made: Any, random: Any) -> None:
        made.update(values)

    return mutate


def _without(*keywords: str) -> Mutation:
    def mutate(made: Any, random: Random) -> None:
        for keyword in keywords:
            delattr(made, keyword)

    return mutate


def _pixels(values: np.ndarray, kind: str = "MONOCHROME2", **others: Any) -> Callable[[Any, Any], None]:
    """Other pixels, [h, w] or [h, w, colour], with all tags that describe them."""
    bits = values.dtype.itemsize * 8
    tags = {
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "PhotometricInterpretation": kind,
        "BitsAllocated": bits,
    }
    tags |= {"BitsStored": bits, "PixelRepresentation": int(values.dtype.kind == "i")}
    tags["SamplesPerPixel"] = (*values.shape, 1)[2]
    tags |= {"PlanarConfiguration": 0} if values.ndim == 3 else {}
    tags |= others

    def mutate(made: Any, random: Any) -> None:
        made.update(tags | {"HighBit": tags["BitsStored"] - 1})
        made["PixelData"] = _element("PixelData", "OB" if bits <= 8 else "OW", values.tobytes())

    return mutate


def _element(keyword: str, vr: str, value: Any) -> Any:
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import DataElement

    return DataElement(tag_for_keyword(keyword), vr, value)


def _floats(*values: float) -> Mutation:
    """Pixels of floats, of which the first ones are these."""

    def mutate(made: Any, random: Random) -> None:
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation", *WINDOW):
            delattr(made, keyword)
        found = random.normal(size=SHAPE).astype("<f4")
        found.flat[: len(values)] = values
        made.BitsAllocated = 32
        made["FloatPixelData"] = _element("FloatPixelData", "OF", found.tobytes())

    return mutate


def _both(*mutations: Callable[[Any, Any], Any]) -> Mutation:
    def mutate(made: Any, random: Random) -> bytes | None:
        return [mutation(made, random) for mutation in mutations][-1]

    return mutate


def _syntax(uid: str | None) -> Callable[[Any, Any], None]:
    """Another transfer syntax, which the pixels do not have."""

    def mutate(made: Any, random: Any) -> None:
        if uid is None:
            del made.file_meta.TransferSyntaxUID
        else:
            made.file_meta.TransferSyntaxUID = uid

    return mutate


def _encapsulated(made: Any, random: Any) -> None:
    """Pixels that are compressed, in a way that the transfer syntax states."""
    from pydicom.encaps import encapsulate

    made["PixelData"] = _element("PixelData", "OB", encapsulate([b"\xff\xd8" + random.bytes(300)]))
    made["PixelData"].is_undefined_length = True


def _rle(made: Any, random: Random) -> None:
    from pydicom.uid import RLELossless

    made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)


def _bomb(made: Any, random: Random) -> bytes:
    """A deflated file that is large when it is decompressed."""
    made.file_meta.TransferSyntaxUID = DEFLATED
    whole = content(made)
    at = 144 + int.from_bytes(whole[140:144], "little")
    padding = b"\xfc\xff\xfc\xffOB\0\0" + (BOMB << 20).to_bytes(4, "little")
    return whole[:at] + deflated(zlib.decompress(whole[at:], -zlib.MAX_WBITS) + padding, BOMB)


def _bomb_elsewhere(made: Any, random: Random) -> bytes:
    """As :func:`_bomb`, and the length of the meta information is wrong, which pydicom ignores."""
    whole = _bomb(made, random)
    return whole[:140] + (2**30).to_bytes(4, "little") + whole[144:]


def _palette(bits: int) -> Callable[[Any, Any], None]:
    """Colours of a table of 256 entries."""

    def mutate(made: Any, random: Any) -> None:
        for i, colour in enumerate(("Red", "Green", "Blue")):
            entries = np.roll(np.arange(256) << (bits - 8), 60 * i).astype(f"<u{bits // 8}")
            made[f"{colour}PaletteColorLookupTableData"] = _element(
                f"{colour}PaletteColorLookupTableData", "OW", entries.tobytes()
            )
            name = f"{colour}PaletteColorLookupTableDescriptor"
            made[name] = _element(name, "US", [256, 0, bits])

    return mutate


def _hostile(keywords: tuple[str, ...], one: bool = False) -> Mutation:
    """Text in tags; it has to stay there."""

    def mutate(made: Any, random: Random) -> None:
        for keyword in (str(random.choice(keywords)),) if one else keywords:
            text = f"{SECRET} {random.choice(np.array(HOSTILE, object))}".encode()
            _raw(keyword, text, "CS" if one else "LT")(made, random)

    return mutate


def _no_length(made: Any, random: Any) -> None:
    del made.file_meta.FileMetaInformationGroupLength


def _private(made: Any, random: Random) -> None:
    made.private_block(0x99, SECRET, create=True).add_new(1, "PN", SECRET)


def _nested(depth: int) -> Mutation:
    def mutate(made: Any, random: Random) -> bytes:
        """Of explicit length, written by hand: pydicom itself would fail to write it."""
        open_ = b"\x40\0\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
        close = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        whole = content(made)
        at = whole.index(b"\xe0\x7f\x10\0")
        return whole[:at] + (open_ * depth + close * depth if depth else b"") + whole[at:]

    return mutate


def _bytes(change: Callable[[bytes, Random], bytes]) -> Mutation:
    return lambda made, random: change(content(made), random)


def _in_bytes(old: bytes, new: bytes) -> Mutation:
    return _bytes(lambda whole, random: whole.replace(old, new))


GREY = np.random.default_rng(4).integers(0, 256, SHAPE).astype(np.uint8)
COLOURS = np.stack([GREY, GREY.T.reshape(SHAPE), GREY[::-1]], axis=2)
WINDOW = ("WindowCenter", "WindowWidth")

DICOMS: dict[str, tuple[Mutation, bool | None]] = {
    "no pixel data": (_without("PixelData"), True),
    "empty pixel data": (_set(PixelData=b""), True),
    "pixel data too short": (_set(PixelData=b"\0" * 100), True),
    "pixel data too long": (_set(PixelData=b"\0" * 1_000), None),
    "pixel data of another kind": (_raw("PixelData", b"text", "UT"), True),
    "a length beyond the end": (_in_bytes(b"OW\0\0\xf0\0\0\0", b"OW\0\0\xfe\xff\xff\x7f"), None),
    **{f"{name} of {n}": (_set(**{name: n}), True) for name in ("Rows", "Columns") for n in (0, 65_535)},
    **{f"no {name}": (_without(name), True) for name in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")},
    "both of 65535": (_set(Rows=65_535, Columns=65_535), True),
    "fewer rows": (_set(Rows=3), None),
    "three columns of several pictures": (_set(Rows=4, Columns=3), True),
    "more rows": (_set(Rows=13), True),
    "rows as text": (_raw("Rows", b"12", "LO"), None),
    "several rows": (_raw("Rows", b"\x0c\0\x0c\0", "US"), True),
    "8 bits": (_both(_pixels(GREY), _without(*WINDOW)), False),
    "8 of 16 bits": (_both(_pixels(GREY.astype("<u2"), BitsStored=8), _without(*WINDOW)), False),
    "16 bits": (_pixels(GREY.astype("<u2") * 257), False),
    "16 bits with sign": (_pixels(GREY.astype("<i2") - 100), False),
    "12 bits with sign": (_pixels(GREY.astype("<i2") - 100, BitsStored=12), False),
    "32 bits": (_pixels(GREY.astype("<u4") << 20), False),
    "64 bits": (_pixels(GREY.astype("<u8")), None),
    "one bit": (_pixels(np.packbits(GREY > 99)[None], Rows=12, Columns=10, BitsAllocated=1, BitsStored=1), None),
    "13 bits": (_set(BitsAllocated=13), True),
    "no bits": (_set(BitsAllocated=0, BitsStored=0, HighBit=0), True),
    "more bits stored than there are": (_set(BitsStored=40), None),
    "floats": (_floats(), False),
    "NaN": (_floats(np.nan), True),
    "infinite": (_floats(np.inf), True),
    "large floats": (_floats(3e38, -3e38), False),
    "MONOCHROME1": (_set(PhotometricInterpretation="MONOCHROME1"), False),
    "RGB": (_pixels(COLOURS, "RGB"), False),
    "RGB by colour": (
        _pixels(COLOURS.transpose(2, 0, 1), "RGB", Rows=12, Columns=10, SamplesPerPixel=3, PlanarConfiguration=1),
        False,
    ),
    "RGB of 16 bits": (_pixels(COLOURS.astype("<u2") * 257, "RGB"), False),
    "RGB of 32 bits": (_pixels(COLOURS.astype("<u4") << 24, "RGB"), False),
    "RGB with sign": (_pixels(COLOURS.astype("i1"), "RGB"), True),
    "YBR_FULL": (_pixels(COLOURS, "YBR_FULL"), False),
    "YBR_FULL of 16 bits": (_pixels(COLOURS.astype("<u2") * 257, "YBR_FULL"), None),
    "YBR_FULL_422": (_pixels(COLOURS[:, :, :2], "YBR_FULL_422", SamplesPerPixel=3), False),
    "YBR_ICT without JPEG": (_pixels(COLOURS, "YBR_ICT"), True),
    "RGB of one sample": (_set(PhotometricInterpretation="RGB"), True),
    "two samples": (_pixels(COLOURS[:, :, :2], "RGB"), True),
    "four samples": (_pixels(np.concatenate([COLOURS] * 2, axis=2)[:, :, :4], "ARGB"), True),
    "MONOCHROME2 of three samples": (_pixels(COLOURS), True),
    "PALETTE COLOR": (_both(_pixels(GREY, "PALETTE COLOR"), _palette(16)), False),
    "PALETTE COLOR of 8 bits": (_both(_pixels(GREY, "PALETTE COLOR"), _palette(8)), False),
    "PALETTE COLOR without a palette": (_pixels(GREY, "PALETTE COLOR"), True),
    "an unknown interpretation": (_set(PhotometricInterpretation="CMYK"), True),
    "no interpretation": (_without("PhotometricInterpretation"), True),
    "RLE": (_both(_pixels(GREY), _rle), False),
    "JPEG that is none": (_both(_pixels(GREY), _syntax(JPEG), _encapsulated), True),
    "JPEG-LS without a decoder": (_both(_pixels(GREY), _syntax(JPEG_LS), _encapsulated), True),
    "JPEG that is not encapsulated": (_in_bytes(EXPLICIT.encode() + b"\0", JPEG.encode()), True),
    "an unknown transfer syntax": (_syntax("1.2.3.4"), True),
    "no transfer syntax": (_syntax(None), None),
    "implicit value representations": (_syntax(IMPLICIT), False),
    "big-endian": (_both(_syntax(BIG_ENDIAN), _pixels(GREY.astype(">u2"))), False),
    "deflated": (_syntax(DEFLATED), False),
    "deflated, and where is not told": (_both(_syntax(DEFLATED), _no_length), False),
    "no length of the meta information": (_no_length, False),
    "a deflate bomb": (_bomb, True),
    "a deflate bomb elsewhere than is told": (_bomb_elsewhere, True),
    "two frames": (_set(NumberOfFrames=2), True),
    "65535 frames": (_set(NumberOfFrames=65_535), True),
    "-1 frames": (_set(NumberOfFrames=-1), None),
    "no frames": (_set(NumberOfFrames=0), None),
    "frames as text": (_raw("NumberOfFrames", b"two", "IS"), True),
    "names in pixels": (_set(BurnedInAnnotation="YES"), True),
    "names in pixels in lower case": (_raw("BurnedInAnnotation", b" yes", "CS"), True),
    "names in some pixels": (_raw("BurnedInAnnotation", b"NO\\YES", "CS"), True),
    "no names in pixels": (_set(BurnedInAnnotation="NO"), False),
    "a window of width 0": (_set(WindowWidth=0), True),
    "a window of negative width": (_set(WindowWidth=-5), True),
    "a window of width NaN": (_raw("WindowWidth", b"nan", "DS"), True),
    "a window at text": (_raw("WindowCenter", SECRET.encode(), "DS"), True),
    "a window at infinity": (_raw("WindowCenter", b"inf", "DS"), True),
    "several windows": (_set(WindowCenter=[40, 2_000], WindowWidth=[80, 3_000]), False),
    "a width without a centre": (_without("WindowCenter"), None),
    "an empty window": (_both(_raw("WindowCenter", b"", "DS"), _raw("WindowWidth", b"", "DS")), False),
    "a sigmoid window": (_set(VOILUTFunction="SIGMOID"), False),
    "a window of an unknown kind": (_set(VOILUTFunction="NONE"), None),
    "a slope of NaN": (_both(_set(RescaleIntercept=0), _raw("RescaleSlope", b"nan", "DS")), True),
    "a slope of text": (_both(_set(RescaleIntercept=0), _raw("RescaleSlope", SECRET.encode(), "DS")), True),
    "an intercept alone": (_set(RescaleIntercept=-1024), True),
    "an empty slope and intercept": (_set(RescaleSlope=None, RescaleIntercept=None), False),
    "an empty kind of window": (_set(VOILUTFunction=""), False),
    "a slope of 0": (_set(RescaleSlope=0, RescaleIntercept=1), None),
    "a slope of 1e300": (_both(_set(RescaleIntercept=0), _raw("RescaleSlope", b"1e300", "DS")), None),
    "a slope of 1e300, no window": (
        _both(_set(RescaleIntercept=0), _raw("RescaleSlope", b"1e300", "DS"), _without(*WINDOW)),
        False,
    ),
    "a slope beyond floats": (
        _both(_set(RescaleIntercept=0), _raw("RescaleSlope", b"1e306", "DS"), _without(*WINDOW)),
        True,
    ),
    "a slope alone": (_set(RescaleSlope=2), True),
    "nested 20 deep": (_nested(20), False),
    "nested 5,000 deep": (_nested(5_000), None),
    "no preamble": (_bytes(lambda whole, random: whole[132:]), True),
    "another preamble": (_bytes(lambda whole, random: b"II*\0" + whole[4:]), False),
    "no SOP class": (_without("SOPClassUID"), False),
    "an unknown character set": (_set(SpecificCharacterSet="KLINGON"), False),
    "hostile text": (_hostile(NAMING), False),
    "hostile text in a tag that is read": (_hostile(READ, one=True), None),
    "private tags": (_private, False),
}  # fmt: skip
"""Of DICOM files: how they are changed, and whether they have to be refused."""
