"""Pictures of every format become squares of one size by the stated rule."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from biasprop.datasets import pictures
from biasprop.datasets.pictures import Unreadable, picture, resized
from tests.inputs.mutations.nifti import volume

RAMP = np.arange(16 * 24, dtype=np.float64).reshape(16, 24) / (16 * 24 - 1)


def eight(values: np.ndarray) -> np.ndarray:
    return np.round(values * 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.jpg"])
def test_grey_and_colour_pictures_of_pillow(tmp_path: Path, name: str) -> None:
    Image.fromarray(eight(RAMP)).save(tmp_path / name)
    grey = picture(tmp_path / name, 16, 1, "crop")
    assert grey.shape == (16, 16, 1) and np.abs(grey[..., 0].astype(int) - eight(RAMP)[:, 4:20]).max() < 4
    colour = picture(tmp_path / name, 16, 3, "crop")
    assert colour.shape == (16, 16, 3) and (colour == grey).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_keep_their_scale(tmp_path: Path, name: str) -> None:
    Image.fromarray((RAMP * 65_535).astype(np.uint16)).save(tmp_path / name)
    found = picture(tmp_path / name, 16, 1, "crop")[..., 0]
    assert np.abs(found.astype(int) - eight(RAMP)[:, 4:20]).max() <= 1


def test_squares() -> None:
    wide = np.zeros((10, 20), np.uint8)
    wide[:, :5] = 200  # cut off in the middle square, a quarter of the stretched one
    assert resized(wide, 10, 1, "crop").max() == 0
    padded = resized(wide, 10, 1, "pad")[..., 0]
    assert padded[:2].max() == 0 and padded[5, 0] == 200 and padded[-2:].max() == 0
    stretched = resized(wide, 10, 1, "stretch")[..., 0]
    assert (stretched[:, 0] == 200).all() and (stretched[:, 5:] == 0).all()


def test_fewer_pixels_are_averages() -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.uint8) * 255
    assert np.abs(resized(checks, 8, 1, "crop").astype(int) - 127).max() < 6


def test_floats_are_from_0_to_1() -> None:
    assert (resized(RAMP[:, :16], 16, 1, "crop")[..., 0] == eight(RAMP[:, :16])).all()
    with pytest.raises(Unreadable, match="from 0 to 1"):
        resized(2 * RAMP, 8, 1, "crop")
    with pytest.raises(Unreadable, match="is of type int64"):
        resized(np.zeros((8, 8), np.int64), 8, 1, "crop")


def dicom(file: Path, **tags: Any) -> None:
    """Write a DICOM file that names a patient."""
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    made = pydicom.Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientName = "Doe^Jane"
    made.Rows, made.Columns = RAMP.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = (RAMP * 4_000).astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    made.save_as(file, enforce_file_format=True)


def test_dicom(tmp_path: Path) -> None:
    dicom(tmp_path / "a.dcm")
    found = picture(tmp_path / "a.dcm", 16, 1, "crop")[..., 0]
    assert np.abs(found.astype(int) - eight(RAMP)[:, 4:20]).max() <= 1
    dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1")
    assert np.abs(picture(tmp_path / "b.dcm", 16, 1, "crop")[..., 0].astype(int) - (255 - found)).max() <= 1
    dicom(tmp_path / "c.dcm", BurnedInAnnotation="YES")
    with pytest.raises(Unreadable, match="annotations burnt into its pixels"):
        picture(tmp_path / "c.dcm", 16, 1, "crop")
    (tmp_path / "d.dcm").write_text("Doe^Jane")
    with pytest.raises(Unreadable, match="cannot be read as DICOM") as error:
        picture(tmp_path / "d.dcm", 16, 1, "crop")
    assert "Doe" not in str(error.value)
    dicom(tmp_path / "e.dcm", NumberOfFrames=2)
    with pytest.raises(Unreadable, match="has 2 frames"):
        picture(tmp_path / "e.dcm", 16, 1, "crop")
    dicom(tmp_path / "f.dcm", Rows=60_000, Columns=60_000)
    with pytest.raises(Unreadable, match="pixels; at most"):
        picture(tmp_path / "f.dcm", 16, 1, "crop")


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (2, -1_024)])
def test_a_window_of_dicom_is_a_range_of_values_and_not_of_the_picture(
    tmp_path: Path, function: str, slope: int | None, intercept: int | None
) -> None:
    scale = {} if slope is None else {"RescaleSlope": slope, "RescaleIntercept": intercept}
    stated = RAMP * 4_000 * (slope or 1) + (intercept or 0)  # the values before the window, which differ between files
    for low, high in ((-2_000, 18_000), (0, 4_000), (1_000, 3_000)):
        window = {"WindowCenter": (low + high) / 2, "WindowWidth": high - low, "VOILUTFunction": function}
        dicom(tmp_path / "a.dcm", **window, **scale)
        expected = eight(np.clip((stated - low) / (high - low), 0, 1))[:, 4:20]
        found = picture(tmp_path / "a.dcm", 16, 1, "crop")[..., 0]
        assert np.abs(found.astype(int) - expected).max() <= 1
        dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1", **window, **scale)
        assert (picture(tmp_path / "b.dcm", 16, 1, "crop")[..., 0] == 255 - found).all()


def test_a_real_dicom_file() -> None:
    data = pytest.importorskip("pydicom.data")
    found = picture(Path(data.get_testdata_file("CT_small.dcm")), 64, 1, "crop")
    assert found.shape == (64, 64, 1) and found.std() > 20


def test_a_slice_of_nifti(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = np.stack([np.roll(RAMP, k, axis=0) for k in range(5)], axis=2).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    middle = picture(tmp_path / "a.nii.gz", 16, 1, "stretch")
    assert (middle == picture(tmp_path / "a.nii.gz", 16, 1, "stretch", 2)).all()
    assert (middle != picture(tmp_path / "a.nii.gz", 16, 1, "stretch", 0)).any()
    with pytest.raises(Unreadable, match="has no slice 5; allowed: 0 to 4"):
        picture(tmp_path / "a.nii.gz", 16, 1, "stretch", 5)
    (tmp_path / "b.nii").write_bytes(b"\0" * 400)
    with pytest.raises(Unreadable, match="cannot be read as NIfTI"):
        picture(tmp_path / "b.nii", 16, 1, "stretch")


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.stack([GREY, GREY.T, GREY[::-1]], axis=2)


def coloured(file: Path, pixels: np.ndarray, kind: str, **tags: Any) -> np.ndarray:
    """The picture of a DICOM file with such pixels."""
    bits = 8 * pixels.dtype.itemsize
    samples = {"SamplesPerPixel": (*pixels.shape, 1)[2], "PlanarConfiguration": 0, "PhotometricInterpretation": kind}
    size = {"Rows": 16, "Columns": 16, "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    dicom(file, **samples | size | {"PixelData": pixels.tobytes()} | tags)
    return picture(file, 16, 3, "crop")


def test_colours_of_dicom_of_every_depth(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    assert (coloured(file, COLOURS, "RGB") == COLOURS).all()
    assert (coloured(file, COLOURS.astype("<u2") * 257, "RGB") == COLOURS).all()
    twelve = np.round(COLOURS * (16 * 255 / 4_095))
    assert (coloured(file, COLOURS.astype("<u2") * 16, "RGB", BitsStored=12, HighBit=11) == twelve).all()
    with pytest.raises(Unreadable, match="colours with a sign"):
        coloured(file, COLOURS, "RGB", PixelRepresentation=1)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_dicom_is_looked_up(tmp_path: Path, bits: int) -> None:
    palette = {}
    for i, name in enumerate(("Red", "Green", "Blue")):
        entries = (np.roll(np.arange(256), 50 * i) * (257 if bits == 16 else 1)).astype(f"<u{bits // 8}")
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        palette[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    window = {"WindowCenter": 100, "WindowWidth": 50}  # has no meaning for colours
    found = coloured(tmp_path / "a.dcm", GREY, "PALETTE COLOR", **palette, **window)
    assert (found == np.stack([np.roll(np.arange(256), 50 * i)[GREY] for i in range(3)], axis=2)).all()


def grown(n: int) -> bytes:
    return np.zeros((n, 16, 24), "<u2").tobytes()


MEANINGLESS: dict[str, tuple[dict[str, Any], str]] = {
    "no pixels": ({"PixelData": b""}, "has no pixel data"),
    "no rows": ({"Rows": 0}, "has 0 x 24 x 1 pixels; every side needs at least one"),
    "pictures of which nothing tells": ({"PixelData": grown(2)}, "has pixels for more than one picture of 16 x 24"),
    "pictures as if they were colours": (
        {"PixelData": grown(8), "Columns": 3},
        "has pixels for more than one picture of 16 x 3",
    ),
    "an interpretation of nothing": (
        {"PhotometricInterpretation": "Doe^Jane"},
        "has no meaning for 1 samples; allowed",
    ),
    "colours of one sample": ({"PhotometricInterpretation": "RGB"}, "allowed: MONOCHROME1, MONOCHROME2, PALETTE COLOR"),
    "an infinite window": ({"WindowCenter": "inf", "WindowWidth": 5}, "WindowCenter has to be a finite number"),
    "a slope of NaN": ({"RescaleSlope": "nan", "RescaleIntercept": 0}, "RescaleSlope has to be a finite number"),
    "an intercept alone": ({"RescaleIntercept": -1024}, "one of RescaleSlope and RescaleIntercept without the other"),
    "names in some pixels": ({"BurnedInAnnotation": ["NO", "yes"]}, "annotations burnt into its pixels"),
    "an unknown kind of window": (
        {"WindowCenter": 9, "WindowWidth": 9, "VOILUTFunction": "Doe^Jane"},
        "VOI LUT Function value ...\\)",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", MEANINGLESS)
def test_dicom_that_has_no_or_several_meanings(tmp_path: Path, case: str) -> None:
    tags, expected = MEANINGLESS[case]
    dicom(tmp_path / "a.dcm", **tags)
    with pytest.raises(Unreadable, match=expected) as error:
        picture(tmp_path / "a.dcm", 16, 1, "crop")
    assert "Doe" not in str(error.value), "text of a file may name a person"


def test_empty_tags_of_dicom_are_none(tmp_path: Path) -> None:
    dicom(tmp_path / "a.dcm")
    none = {"RescaleSlope": None, "RescaleIntercept": None, "WindowCenter": None, "WindowWidth": None}
    dicom(tmp_path / "b.dcm", VOILUTFunction="", **none)
    assert (picture(tmp_path / "a.dcm", 16, 1, "crop") == picture(tmp_path / "b.dcm", 16, 1, "crop")).all()


def test_a_compressed_dicom_file_without_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = pytest.importorskip("pydicom.pixels")
    dicom(tmp_path / "a.dcm")
    monkeypatch.setattr(type(pixels.get_decoder("1.2.840.10008.1.2.1")), "is_available", False)
    with pytest.raises(Unreadable, match=r"is compressed as Explicit VR .*, for which pydicom lacks a decoder: pip"):
        picture(tmp_path / "a.dcm", 16, 1, "crop")


def test_a_deflated_dicom_file_is_not_decompressed_beyond_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = pytest.importorskip("pydicom.uid")
    read = pytest.importorskip("pydicom").dcmread
    dicom(tmp_path / "a.dcm")
    deflated = read(tmp_path / "a.dcm")
    deflated.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    deflated.ImageComments = "a" * 9_000
    deflated.save_as(tmp_path / "b.dcm")
    assert (picture(tmp_path / "a.dcm", 16, 1, "crop") == picture(tmp_path / "b.dcm", 16, 1, "crop")).all()
    monkeypatch.setattr(pictures, "MAX_UNPACKED", 9_000)
    content = (tmp_path / "b.dcm").read_bytes()
    for length in (content[140:144], (2**30).to_bytes(4, "little")):  # of the meta information: pydicom ignores it
        (tmp_path / "b.dcm").write_bytes(content[:140] + length + content[144:])
        with pytest.raises(Unreadable, match="has more than 9,000 bytes when it is decompressed"):
            picture(tmp_path / "b.dcm", 16, 1, "crop")


def nifti(file: Path, values: np.ndarray, **fields: Any) -> Path:
    """Write a volume, whose header has these fields."""
    pytest.importorskip("nibabel")
    whole = volume(values, **fields)
    file.write_bytes(gzip.compress(whole) if file.suffix == ".gz" else whole)
    return file


@pytest.mark.parametrize("scale", [1.7e308, 1e-320])
def test_the_range_of_a_volume_may_be_any(tmp_path: Path, scale: float) -> None:
    file = nifti(tmp_path / "a.nii", np.tile(np.array([[-scale], [scale]]), (1, 2))[..., None])
    assert set(picture(file, 2, 1, "stretch")[..., 0].ravel().tolist()) == {0, 255}


VOLUMES: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "complex": (np.ones((4, 4, 2), np.complex64), {}, "has values of type complex64; real numbers are needed"),
    "a side of 0": (np.ones((4, 4, 2), "i2"), {"dim": [3, 4, 0, 2, 1, 1, 1, 1]}, "has 4 x 0 x 2 pixels; every side"),
    "a negative side": (np.ones((4, 4, 2), "i2"), {"dim": [3, -4, -4, 2, 1, 1, 1, 1]}, "every side needs at least one"),
    "a huge header": (np.ones((4, 4, 2), "i2"), {"vox_offset": 7e8}, "header of 700,000,000 bytes .vox_offset."),
    "an offset of NaN": (np.ones((4, 4, 2), "i2"), {"vox_offset": np.nan}, "has a header of nan bytes"),
}


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("case", VOLUMES)
def test_volumes_without_a_meaning(tmp_path: Path, case: str, ending: str) -> None:
    values, fields, expected = VOLUMES[case]
    with pytest.raises(Unreadable, match=expected):
        picture(nifti(tmp_path / f"a.{ending}", values, **fields), 4, 1, "crop")


@pytest.mark.parametrize(("offset", "size"), [(400, 300 << 20), (0, 300 << 20), (400, 7), (0, -16)])
def test_an_extension_of_nifti_is_not_read_beyond_a_limit(tmp_path: Path, offset: int, size: int) -> None:
    file = nifti(tmp_path / "a.nii", np.ones((4, 4, 2), "i2"), vox_offset=offset)
    content = file.read_bytes()
    extension = b"\1\0\0\0" + size.to_bytes(4, "little", signed=True) + bytes(60)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[:348] + extension + content[352:]))
    with pytest.raises(Unreadable, match=f"has an extension of {size:,} bytes"):
        picture(tmp_path / "a.nii.gz", 4, 1, "crop")


def test_a_volume_with_an_extension_is_read(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(np.arange(32, dtype="i2").reshape(4, 4, 2), np.eye(4))
    image.to_filename(tmp_path / "plain.nii")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"nothing"))
    image.to_filename(tmp_path / "more.nii.gz")
    one, other = (picture(tmp_path / name, 4, 1, "crop") for name in ("plain.nii", "more.nii.gz"))
    assert (one == other).all()


def test_libraries_log_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = nifti(tmp_path / "a.nii", np.arange(32, dtype="i2").reshape(4, 4, 2), datatype=7)
    with pytest.raises(Unreadable, match="data code 7 not recognized"):
        picture(file, 4, 1, "crop")
    assert not caplog.records, "nibabel writes them on stderr, beside the message"
