"""Pictures of every format become squares of one size by the stated rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from biasprop.datasets.pictures import Unreadable, picture, resized

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
